// SPDX-License-Identifier: Apache-2.0
#include "store_fixture.h"

#include "base/clock.h"

enum { HOUR_MS = 3600 * 1000 };

struct count {
    struct fixture *f;
    int n;
    char newest[32], oldest[32];
};

static void counted(void *arg, const struct store_job *row, const struct error *err)
{
    struct count *count = arg;
    assert_null(err);
    if (!row) {
        fixture_answered(count->f);
        return;
    }
    if (count->n++ == 0)
        snprintf(count->newest, sizeof count->newest, "%s", row->id);
    snprintf(count->oldest, sizeof count->oldest, "%s", row->id);
}

static struct count count_jobs(struct fixture *f)
{
    struct count count = {.f = f};
    store_job_list(f->store, &(struct store_job_filter){.uid = -1, .limit = 1000}, counted, &count);
    fixture_wait(f, 1);
    return count;
}

// Jobs "000", "001" …, each a minute older than the next, with two events and a key.
static void add_jobs(struct fixture *f, int n, const char *state)
{
    int64_t now_ms = clock_wall_ms();
    for (int i = 0; i < n; i++) {
        AUTO_FREE char *id = mem_printf("%03d", i);
        AUTO_FREE char *key = mem_printf("key %03d", i);
        struct store_job job = fixture_job(id, state);
        job.created_ms = job.finished_ms = now_ms - (n - i) * 60000;
        store_job_insert(f->store, &job, key, "fp", fixture_done, f);
        for (int seq = 1; seq <= 2; seq++)
            store_event_append(
                f->store,
                &(struct store_event){.job = id, .seq = seq, .cursor = i * 2 + seq, .text = "0123456789"});
    }
    fixture_wait(f, n);
}

static void prune(struct fixture *f, struct store_retention limits)
{
    store_prune(f->store, &limits, fixture_done, f);
    fixture_wait(f, 1);
    assert_int_equal(f->last, ERR_NONE);
}

static void counted_event(void *arg, const struct store_event *row, const struct error *err)
{
    struct count *count = arg;
    assert_null(err);
    if (row)
        count->n++;
    else
        fixture_answered(count->f);
}

static int count_events(struct fixture *f)
{
    struct count count = {.f = f};
    store_event_list_all(f->store, 0, 10000, counted_event, &count);
    fixture_wait(f, 1);
    return count.n;
}

static void found_key(void *arg, const char *text, const struct error *err)
{
    struct count *count = arg;
    assert_null(err);
    count->n = text != NULL;
    fixture_answered(count->f);
}

static bool has_key(struct fixture *f, const char *key)
{
    struct count count = {.f = f};
    store_key_find(f->store, key, found_key, &count);
    fixture_wait(f, 1);
    return count.n == 1;
}

static void test_no_limits(void **state)
{
    struct fixture *f = *state;
    add_jobs(f, 10, "succeeded");
    prune(f, (struct store_retention){0});
    assert_int_equal(count_jobs(f).n, 10);
    assert_int_equal(count_events(f), 20);
}

// More than one piece.
static void test_by_count(void **state)
{
    struct fixture *f = *state;
    add_jobs(f, 300, "failed");
    prune(f, (struct store_retention){.jobs_count = 7});
    struct count count = count_jobs(f);
    assert_int_equal(count.n, 7);
    assert_string_equal(count.newest, "299");
    assert_string_equal(count.oldest, "293");
    assert_int_equal(count_events(f), 14);
    assert_true(has_key(f, "key 293"));
    assert_false(has_key(f, "key 292"));
}

static void test_by_age(void **state)
{
    struct fixture *f = *state;
    add_jobs(f, 100, "cancelled");
    prune(f, (struct store_retention){.jobs_age_ms = HOUR_MS});
    struct count count = count_jobs(f);
    assert_in_range(count.n, 58, 60);
    assert_string_equal(count.newest, "099");
}

static void test_by_event_bytes(void **state)
{
    struct fixture *f = *state;
    add_jobs(f, 50, "succeeded");
    prune(f, (struct store_retention){.events_bytes = 205}); // 20 a job
    assert_int_equal(count_jobs(f).n, 10);
    assert_string_equal(count_jobs(f).oldest, "040");
}

static void test_jobs_under_way_stay(void **state)
{
    struct fixture *f = *state;
    add_jobs(f, 10, "running");
    prune(f, (struct store_retention){.jobs_age_ms = 1, .jobs_count = 1, .events_bytes = 1});
    assert_int_equal(count_jobs(f).n, 10);
    assert_int_equal(count_events(f), 20);
}

static void test_keys_by_age(void **state)
{
    struct fixture *f = *state;
    add_jobs(f, 100, "queued");
    prune(f, (struct store_retention){.keys_age_ms = HOUR_MS});
    assert_false(has_key(f, "key 000"));
    assert_true(has_key(f, "key 099"));
    assert_int_equal(count_jobs(f).n, 100);
}

static void counted_fact(void *arg, const char *key, const char *value, int64_t expires_wall_ms)
{
    (void)key;
    (void)value;
    (void)expires_wall_ms;
    ++*(int *)arg;
}

static void test_orphaned_events_and_old_facts(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    int facts = 0;
    add_jobs(f, 4, "succeeded");
    for (int i = 1; i <= 30; i++)
        store_event_append(f->store, &(struct store_event){
                                         .job = "gone", .seq = i, .cursor = 1000 + i, .text = "0123456789"});
    store_fact_put(f->store, "k", "old", "v", 1);
    store_fact_put(f->store, "k", "new", "v", 0);
    prune(f, (struct store_retention){0});
    // If the orphans still counted, all jobs would go now.
    prune(f, (struct store_retention){.events_bytes = 100});
    assert_int_equal(count_jobs(f).n, 4);
    assert_int_equal(store_fact_each(f->store, "k", counted_fact, &facts, &err), 0);
    assert_int_equal(facts, 1);
}

static void no_row(void *arg, const struct store_job *row, const struct error *err)
{
    (void)arg;
    assert_null(row);
    assert_null(err);
}

static void test_cursor_survives_its_events(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    int64_t cursor = 0;
    add_jobs(f, 3, "succeeded");
    prune(f, (struct store_retention){.jobs_age_ms = 1});
    assert_int_equal(count_events(f), 0);
    fixture_reopen(f);
    assert_int_equal(store_recover(f->store, no_row, NULL, &cursor, &err), 0);
    assert_int_equal(cursor, 6);
}

static int64_t bytes(struct fixture *f)
{
    struct store_stats stats;
    store_stats(f->store, &stats);
    return stats.bytes;
}

static void test_space_is_given_back(void **state)
{
    struct fixture *f = *state;
    char *long_text = mem_alloc(5001);
    memset(long_text, 'x', 5000);
    long_text[5000] = '\0';
    add_jobs(f, 100, "succeeded");
    for (int i = 0; i < 1000; i++)
        store_event_append(f->store, &(struct store_event){
                                         .job = "000", .seq = 10 + i, .cursor = 1000 + i, .text = long_text});
    store_flush(f->store, fixture_done, f);
    fixture_wait(f, 1);
    int64_t before = bytes(f);
    assert_true(before > 5000000);
    for (int i = 0; i < 20; i++) // each gives back a piece
        prune(f, (struct store_retention){.jobs_count = 1});
    assert_true(bytes(f) < before / 2);
    free(long_text);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(test_no_limits),
        WITH_STORE(test_by_count),
        WITH_STORE(test_by_age),
        WITH_STORE(test_by_event_bytes),
        WITH_STORE(test_jobs_under_way_stay),
        WITH_STORE(test_keys_by_age),
        WITH_STORE(test_orphaned_events_and_old_facts),
        WITH_STORE(test_cursor_survives_its_events),
        WITH_STORE(test_space_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
