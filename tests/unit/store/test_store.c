// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>

#include "store_fixture.h"

#include "base/clock.h"
#include "base/json.h"

enum { ROWS_MAX = 64 };

struct rows {
    struct fixture *f;
    int n;
    char ids[ROWS_MAX][32];
    struct store_job last; // texts dup'ed where a test looks at them
    char *spec, *error, *checkpoint, *sealed;
    size_t sealed_len;
    enum error_code end;
    bool ended;
};

static void rows_clear(struct rows *rows)
{
    struct fixture *f = rows->f;
    free(rows->spec);
    free(rows->error);
    free(rows->checkpoint);
    free(rows->sealed);
    *rows = (struct rows){.f = f};
}

static void row(void *arg, const struct store_job *job, const struct error *err)
{
    struct rows *rows = arg;
    if (!job) {
        rows->ended = true;
        rows->end = err ? err->code : ERR_NONE;
        fixture_answered(rows->f);
        return;
    }
    assert_false(rows->ended);
    assert_true(rows->n < ROWS_MAX);
    snprintf(rows->ids[rows->n++], 32, "%s/%s", job->id, job->state);
    rows->last = *job;
    free(rows->spec);
    free(rows->error);
    free(rows->checkpoint);
    free(rows->sealed);
    rows->spec = mem_strdup_null(job->spec);
    rows->error = mem_strdup_null(job->error);
    rows->checkpoint = mem_strdup_null(job->checkpoint);
    rows->sealed = job->sealed ? mem_dup(job->sealed, job->sealed_len) : NULL;
    rows->sealed_len = job->sealed_len;
}

static void find(struct rows *rows, const char *id)
{
    rows_clear(rows);
    store_job_find(rows->f->store, id, row, rows);
    fixture_wait(rows->f, 1);
    assert_int_equal(rows->end, ERR_NONE);
}

static void list(struct rows *rows, struct store_job_filter filter)
{
    rows_clear(rows);
    store_job_list(rows->f->store, &filter, row, rows);
    fixture_wait(rows->f, 1);
    assert_int_equal(rows->end, ERR_NONE);
}

static void recover(struct rows *rows, int64_t *ret_cursor)
{
    struct error err = ERROR_INIT;
    rows_clear(rows);
    rows->f->expected = 2; // the end is told within the call: no loop to stop
    assert_int_equal(store_recover(rows->f->store, row, rows, ret_cursor, &err), 0);
    rows->f->expected = 0;
    assert_true(rows->ended);
}

static void test_insert_and_find(void **state)
{
    struct fixture *f = *state;
    struct rows rows = {.f = f};
    struct store_job job = fixture_job("A", "queued");
    job.priority = -3;
    job.checkpoint = "{\"c\":1}";
    store_job_insert(f->store, &job, NULL, NULL, fixture_done, f);
    fixture_wait(f, 1);
    assert_int_equal(f->last, ERR_NONE);
    find(&rows, "A");
    assert_int_equal(rows.n, 1);
    assert_string_equal(rows.spec, "{\"kind\":\"build\"}");
    assert_string_equal(rows.checkpoint, "{\"c\":1}");
    assert_int_equal(rows.last.priority, -3);
    assert_int_equal(rows.last.uid, 1000);
    assert_int_equal(rows.last.created_ms, 1000);
    find(&rows, "B");
    assert_int_equal(rows.n, 0);
    rows_clear(&rows);
}

static void test_same_id_twice(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fixture_insert(f, "A", "queued"), ERR_NONE);
    assert_int_equal(fixture_insert(f, "A", "queued"), ERR_CONFLICT);
    assert_int_equal(fixture_insert(f, "B", "queued"), ERR_NONE);
}

// One refused call in a group must not take the others of the group along, nor leave a part of itself.
static void test_refused_in_a_group(void **state)
{
    struct fixture *f = *state;
    struct rows rows = {.f = f};
    struct store_job first = fixture_job("A", "queued"), second = fixture_job("B", "queued"),
                     third = fixture_job("C", "queued");
    store_job_insert(f->store, &first, "key", "f1", fixture_done, f);
    store_job_insert(f->store, &second, "key", "f2", fixture_done, f);
    store_job_insert(f->store, &third, "other", "f3", fixture_done, f);
    fixture_wait(f, 3);
    assert_int_equal(f->n_ok, 2);
    assert_int_equal(f->n_failed, 1);
    find(&rows, "B");
    assert_int_equal(rows.n, 0);
    find(&rows, "C");
    assert_int_equal(rows.n, 1);
    rows_clear(&rows);
}

static void text(void *arg, const char *value, const struct error *err)
{
    struct fixture *f = ((void **)arg)[0];
    assert_null(err);
    ((void **)arg)[1] = mem_strdup_null(value);
    fixture_answered(f);
}

static char *key_find(struct fixture *f, const char *key)
{
    void *answer[2] = {f, NULL};
    store_key_find(f->store, key, text, answer);
    fixture_wait(f, 1);
    return answer[1];
}

static void test_key(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct store_job job = fixture_job("A", "queued");
    store_job_insert(f->store, &job, "u1\nkey \"x\"", "fp", fixture_done, f);
    fixture_wait(f, 1);
    AUTO_FREE char *record_text = key_find(f, "u1\nkey \"x\"");
    assert_non_null(record_text);
    AUTO_JSON json_t *record = json_parse(record_text, strlen(record_text), &json_limits_small, &err);
    assert_string_equal(json_get_string(record, "job"), "A");
    assert_string_equal(json_get_string(record, "fingerprint"), "fp");
    assert_int_equal(json_get_int(record, "created_ms", 0), 1000);
    assert_null(key_find(f, "u1"));
}

static void test_delete_takes_everything(void **state)
{
    struct fixture *f = *state;
    struct rows rows = {.f = f};
    struct store_job job = fixture_job("A", "failed");
    store_job_insert(f->store, &job, "key", "fp", fixture_done, f);
    store_event_append(f->store, &(struct store_event){.job = "A", .seq = 1, .cursor = 1, .text = "{}"});
    store_job_delete(f->store, "A", fixture_done, f);
    store_job_delete(f->store, "A", fixture_done, f);
    fixture_wait(f, 3);
    assert_int_equal(f->last, ERR_NOT_FOUND);
    assert_int_equal(f->n_ok, 2);
    find(&rows, "A");
    assert_int_equal(rows.n, 0);
    assert_null(key_find(f, "key"));
    rows_clear(&rows);
}

static void test_update(void **state)
{
    struct fixture *f = *state;
    struct rows rows = {.f = f};
    fixture_insert(f, "A", "queued");
    struct store_job job = {.id = "A",
                            .kind = "build",
                            .state = "failed",
                            .attempt = 2,
                            .started_ms = 5,
                            .finished_ms = 6,
                            .error = "{\"code\":\"internal\"}",
                            .last_seq = 9,
                            .uid = 7};
    store_job_update(f->store, &job, false, fixture_done, f);
    fixture_wait(f, 1);
    assert_int_equal(f->last, ERR_NONE);
    find(&rows, "A");
    assert_string_equal(rows.ids[0], "A/failed");
    assert_string_equal(rows.error, "{\"code\":\"internal\"}");
    assert_string_equal(rows.spec, "{\"kind\":\"build\"}"); // untouched
    assert_int_equal(rows.last.uid, 1000);                  // untouched
    assert_int_equal(rows.last.attempt, 2);
    assert_int_equal(rows.last.last_seq, 9);
    job.id = "B";
    store_job_update(f->store, &job, false, fixture_done, f);
    fixture_wait(f, 1);
    assert_int_equal(f->last, ERR_NOT_FOUND);
    rows_clear(&rows);
}

static struct store_job_filter any(void)
{
    return (struct store_job_filter){.uid = -1, .limit = 100};
}

static void test_list_filters(void **state)
{
    struct fixture *f = *state;
    struct rows rows = {.f = f};
    const char *ids[] = {"01", "02", "03", "04"};
    for (int i = 0; i < 4; i++) {
        struct store_job job = fixture_job(ids[i], i == 2 ? "failed" : "queued");
        job.uid = i == 1 ? 7 : 1000;
        job.kind = i == 3 ? "copy" : "build";
        job.labels = i == 0 ? "{\"a \\\"b\":\"c\",\"n\":\"1\"}" : i == 1 ? NULL : "not json";
        store_job_insert(f->store, &job, NULL, NULL, fixture_done, f);
    }
    struct store_job_filter filter = any();
    f->expected = 4; // their answers come before that of the list
    list(&rows, filter);
    assert_int_equal(rows.n, 4); // sees the inserts that are still under way
    assert_string_equal(rows.ids[0], "04/queued");
    assert_string_equal(rows.ids[3], "01/queued");
    filter.before = "03";
    filter.limit = 1;
    list(&rows, filter);
    assert_int_equal(rows.n, 1);
    assert_string_equal(rows.ids[0], "02/queued");
    filter = any();
    filter.state = "failed";
    list(&rows, filter);
    assert_int_equal(rows.n, 1);
    filter = any();
    filter.kind = "copy";
    list(&rows, filter);
    assert_string_equal(rows.ids[0], "04/queued");
    filter = any();
    filter.uid = 7;
    list(&rows, filter);
    assert_string_equal(rows.ids[0], "02/queued");
    filter = any();
    filter.label_key = "a \"b";
    filter.label_value = "c";
    list(&rows, filter);
    assert_int_equal(rows.n, 1);
    assert_string_equal(rows.ids[0], "01/queued");
    filter.label_value = "d";
    list(&rows, filter);
    assert_int_equal(rows.n, 0);
    filter.label_value = NULL;
    list(&rows, filter);
    assert_int_equal(rows.n, 1);
    rows_clear(&rows);
}

static void test_recover(void **state)
{
    struct fixture *f = *state;
    struct rows rows = {.f = f};
    int64_t cursor = -1;
    struct store_job job = fixture_job("B", "running");
    job.sealed = "s\0x";
    job.sealed_len = 3;
    job.last_seq = 5;
    store_job_insert(f->store, &job, NULL, NULL, fixture_done, f);
    fixture_wait(f, 1);
    fixture_insert(f, "A", "queued");
    fixture_insert(f, "C", "succeeded");
    store_event_append(f->store, &(struct store_event){.job = "B", .seq = 2, .cursor = 17, .text = "{}"});
    fixture_reopen(f);
    recover(&rows, &cursor);
    assert_int_equal(rows.n, 2);
    assert_string_equal(rows.ids[0], "A/queued");
    assert_string_equal(rows.ids[1], "B/running");
    assert_int_equal(rows.sealed_len, 3);
    assert_memory_equal(rows.sealed, "s\0x", 3);
    assert_int_equal(rows.last.last_seq, 2); // from the events
    assert_int_equal(cursor, 17);
    rows_clear(&rows);
}

static bool holds(const char *directory, const char *name, const char *needle)
{
    struct error err = ERROR_INIT;
    AUTO_FREE char *path = mem_printf("%s/%s", directory, name);
    size_t len = 0;
    AUTO_FREE char *bytes = file_read(path, 1 << 28, &len, &err);
    error_clear(&err);
    return bytes && memmem(bytes, len, needle, strlen(needle));
}

// Long enough to need overflow pages, so that those are covered too.
static char *marked_text(const char *mark)
{
    char *bytes = mem_alloc(20001);
    for (size_t i = 0; i < 20000; i++)
        bytes[i] = mark[i % strlen(mark)];
    bytes[20000] = '\0';
    return bytes;
}

static void test_sealed_is_wiped(void **state)
{
    struct fixture *f = *state;
    struct rows rows = {.f = f};
    int64_t cursor;
    AUTO_FREE char *sealed = marked_text("SEALEDMARK");
    struct store_job job = fixture_job("A", "queued");
    job.sealed = sealed;
    job.sealed_len = 20000;
    store_job_insert(f->store, &job, NULL, NULL, fixture_done, f);
    fixture_wait(f, 1);
    fixture_reopen(f); // moves the log into the file
    assert_true(holds(f->directory, "dray.db", "SEALEDMARK"));
    job.state = "succeeded";
    store_job_update(f->store, &job, true, fixture_done, f);
    fixture_wait(f, 1);
    fixture_close(f);
    assert_false(holds(f->directory, "dray.db", "SEALEDMARK"));
    assert_false(holds(f->directory, "dray.db-wal", "SEALEDMARK"));
    fixture_open(f);
    recover(&rows, &cursor);
    assert_int_equal(rows.n, 0);
    rows_clear(&rows);
}

struct events {
    struct fixture *f;
    int n;
    int64_t seqs[ROWS_MAX];
    char last[64];
};

static void event(void *arg, const struct store_event *row_, const struct error *err)
{
    struct events *events = arg;
    assert_null(err);
    if (!row_) {
        fixture_answered(events->f);
        return;
    }
    assert_int_equal(row_->uid, 1000);
    events->seqs[events->n++] = row_->seq;
    snprintf(events->last, sizeof events->last, "%s %s", row_->job, row_->text);
}

static void append(struct fixture *f, const char *job, int64_t seq, int64_t cursor)
{
    AUTO_FREE char *line = mem_printf("{\"seq\":%lld}", (long long)seq);
    store_event_append(f->store,
                       &(struct store_event){.job = job, .seq = seq, .cursor = cursor, .text = line});
}

static void test_events(void **state)
{
    struct fixture *f = *state;
    struct events events = {.f = f};
    fixture_insert(f, "A", "running");
    fixture_insert(f, "B", "running");
    append(f, "C", 1, 1000); // of no job
    for (int i = 1; i <= 10; i++) {
        append(f, "A", i, 2 * i);
        append(f, "B", i, 2 * i + 1);
    }
    append(f, "B", 10, 100); // known: the first stays, and the others of the group with it
    store_event_list(f->store, "A", 3, 4, event, &events);
    fixture_wait(f, 1);
    assert_int_equal(events.n, 4);
    assert_int_equal(events.seqs[0], 4);
    assert_string_equal(events.last, "A {\"seq\":7}");
    events.n = 0;
    store_event_list_all(f->store, 18, 100, event, &events);
    fixture_wait(f, 1);
    assert_int_equal(events.n, 3); // B 9, A 10, B 10
    assert_string_equal(events.last, "B {\"seq\":10}");
}

static void test_flush(void **state)
{
    struct fixture *f = *state;
    struct events events = {.f = f};
    fixture_insert(f, "A", "running");
    append(f, "A", 1, 1);
    store_flush(f->store, fixture_done, f);
    fixture_wait(f, 1);
    assert_int_equal(f->last, ERR_NONE);
    store_event_list(f->store, "A", 0, 10, event, &events);
    fixture_wait(f, 1);
    assert_int_equal(events.n, 1);
}

static void test_facts(void **state)
{
    struct fixture *f = *state;
    void *answer[2] = {f, NULL};
    store_fact_put(f->store, "blob", "k", "one", 0);
    store_fact_put(f->store, "blob", "k", "two", 0);
    store_fact_put(f->store, "blob", "old", "x", 1);
    store_fact_put(f->store, "layer", "k", "other", 0);
    store_fact_find(f->store, "blob", "k", text, answer);
    fixture_wait(f, 1);
    assert_string_equal(answer[1], "two");
    free(answer[1]);
    store_fact_find(f->store, "blob", "old", text, answer);
    fixture_wait(f, 1);
    assert_null(answer[1]); // expired
    store_fact_delete(f->store, "blob", "k");
    store_fact_find(f->store, "blob", "k", text, answer);
    fixture_wait(f, 1);
    assert_null(answer[1]);
    store_fact_find(f->store, "layer", "k", text, answer);
    fixture_wait(f, 1);
    assert_string_equal(answer[1], "other");
    free(answer[1]);
}

static void count_fact(void *arg, const char *key, const char *value, int64_t expires_wall_ms)
{
    (void)value;
    (void)expires_wall_ms;
    assert_string_equal(key, "kept");
    ++*(int *)arg;
}

static void test_fact_each(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    int n = 0;
    store_fact_put(f->store, "blob", "kept", "v", clock_wall_ms() + 1000000);
    store_fact_put(f->store, "blob", "expired", "v", 5);
    store_fact_put(f->store, "layer", "elsewhere", "v", 0);
    fixture_reopen(f);
    assert_int_equal(store_fact_each(f->store, "blob", count_fact, &n, &err), 0);
    assert_int_equal(n, 1);
}

static int order[500];
static int order_next;

static void ordered(void *arg, const struct error *err)
{
    assert_null(err);
    assert_int_equal(*(int *)arg, order_next++);
}

static void test_close_answers_everything_in_order(void **state)
{
    struct fixture *f = *state;
    char id[16];
    order_next = 0;
    for (int i = 0; i < 500; i++) {
        snprintf(id, sizeof id, "%04d", i);
        struct store_job job = fixture_job(id, "queued");
        order[i] = i;
        store_job_insert(f->store, &job, NULL, NULL, ordered, &order[i]);
    }
    fixture_close(f);
    assert_int_equal(order_next, 500);
}

static void again(void *arg, const struct error *err)
{
    struct fixture *f = arg;
    assert_null(err);
    if (++f->n_ok < 4)
        store_job_delete(f->store, f->n_ok == 1 ? "A" : f->n_ok == 2 ? "B" : "C", again, f);
}

static void test_calls_from_callbacks_while_closing(void **state)
{
    struct fixture *f = *state;
    fixture_insert(f, "A", "queued");
    fixture_insert(f, "B", "queued");
    fixture_insert(f, "C", "queued");
    f->n_ok = 0;
    struct store_job job = fixture_job("D", "queued");
    store_job_insert(f->store, &job, NULL, NULL, again, f);
    fixture_close(f);
    assert_int_equal(f->n_ok, 4);
}

static void test_stats(void **state)
{
    struct fixture *f = *state;
    struct store_stats stats;
    fixture_insert(f, "A", "queued");
    store_stats(f->store, &stats);
    assert_true(stats.commits >= 1);
    assert_true(stats.bytes > 0);
    assert_false(stats.failing);
    assert_false(stats.out_of_space);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(test_insert_and_find),
        WITH_STORE(test_same_id_twice),
        WITH_STORE(test_refused_in_a_group),
        WITH_STORE(test_key),
        WITH_STORE(test_delete_takes_everything),
        WITH_STORE(test_update),
        WITH_STORE(test_list_filters),
        WITH_STORE(test_recover),
        WITH_STORE(test_sealed_is_wiped),
        WITH_STORE(test_events),
        WITH_STORE(test_flush),
        WITH_STORE(test_facts),
        WITH_STORE(test_fact_each),
        WITH_STORE(test_close_answers_everything_in_order),
        WITH_STORE(test_calls_from_callbacks_while_closing),
        WITH_STORE(test_stats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
