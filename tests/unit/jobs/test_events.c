// SPDX-License-Identifier: Apache-2.0
//
// Readers: since, follow, pages of the store, all jobs, progress, expiry, attached jobs.
#include "base/strbuf.h"
#include "jobs/hall.h"

// A job with `count` log events from one step, and its usual seven.
static void make_long_job(struct hall *h, char id[32], int count, bool hold)
{
    char spec[200];
    snprintf(spec, sizeof spec, "{\"steps\":[{\"name\":\"talks\",\"events\":%d,\"hold\":%s}]}", count,
             hold ? "true" : "false");
    SUBMIT(h, id, spec);
}

static void test_since(void **state)
{
    struct hall h;
    struct hall_reader r;
    char id[32];
    (void)state;
    hall_begin(&h);
    make_long_job(&h, id, 10, false);
    hall_expect(&h, id, "succeeded", NULL);
    AUTO_JSON json_t *all = hall_events(&h, id);
    events_check(all, 1, true);
    int64_t last = (int64_t)json_array_size(all);
    assert_int_equal(last, 15);
    for (int64_t since = 0; since <= last + 2; since++) {
        reader_open(&h, &r,
                    (struct event_reader_options){.job = id, .since = since, .follow = since % 2 == 0});
        reader_finish(&h, &r);
        assert_int_equal(json_array_size(r.events), since < last ? last - since : 0);
        for (int64_t i = since; i < last; i++)
            assert_true(
                json_equal(json_array_get(all, (size_t)i), json_array_get(r.events, (size_t)(i - since))));
        reader_close(&r);
    }
    reader_open(&h, &r, (struct event_reader_options){.job = "01ARZ3NDEKTSV4RRFFQ69G5FAV"});
    assert_int_equal(r.code, ERR_NOT_FOUND);
    reader_close(&r);
    reader_open_as(&h, &r, (struct event_reader_options){.job = id}, &(struct engine_caller){.uid = 7});
    assert_int_equal(r.code, ERR_NOT_FOUND);
    reader_close(&r);
    hall_end(&h);
}

static bool last_seq_is(void *arg)
{
    struct hall_reader *r = arg;
    if (r->awake)
        reader_drain(r);
    return events_count(r->events, "log") == 2000;
}

// Far more events than memory keeps: a reader from the start, one that follows, one that begins late and one
// that is asleep all the time see the same.
static void test_pages(void **state)
{
    struct hall h;
    struct hall_reader live, late, sleepy;
    char id[32];
    (void)state;
    hall_begin(&h);
    make_long_job(&h, id, 2000, true);
    reader_open(&h, &sleepy, (struct event_reader_options){.job = id, .follow = true});
    reader_open(&h, &live, (struct event_reader_options){.job = id, .follow = true});
    hall_until(&h, last_seq_is, &live);
    reader_open(&h, &late, (struct event_reader_options){.job = id, .follow = true});
    board_release(NULL);
    reader_finish(&h, &live);
    reader_finish(&h, &late);
    hall_expect(&h, id, "succeeded", NULL);
    reader_finish(&h, &sleepy);
    events_check(live.events, 1, true);
    events_check(late.events, 1, true);
    events_check(sleepy.events, 1, true);
    assert_int_equal(events_count(live.events, "log"), 2000);
    assert_int_equal(events_count(late.events, "log"), 2000);
    assert_int_equal(events_count(sleepy.events, "log"), 2000);
    reader_close(&live);
    reader_close(&late);
    reader_close(&sleepy);
    AUTO_JSON json_t *events = hall_events(&h, id);
    events_check(events, 1, true);
    assert_int_equal(json_array_size(events), 2005);
    hall_end(&h);
}

// follow=0 of a running job: what there is, then the end.
static void test_what_there_is(void **state)
{
    struct hall h;
    struct hall_reader r;
    char id[32];
    (void)state;
    hall_begin(&h);
    make_long_job(&h, id, 3, true);
    hall_until_ran(&h, "talks", 1);
    do {
        reader_open(&h, &r, (struct event_reader_options){.job = id});
        reader_finish(&h, &r);
        events_check(r.events, 1, false);
        assert_int_equal(events_count(r.events, "progress"), 0);
        int count = (int)json_array_size(r.events);
        reader_close(&r);
        if (count == 6) // queued, started, step.started, three logs
            break;
    } while (true);
    hall_end(&h);
}

static bool has_progress(void *arg)
{
    struct hall_reader *r = arg;
    if (r->awake)
        reader_drain(r);
    const json_t *event = events_find(r->events, "blob.progress");
    return events_find(r->events, "progress") && event && json_get_string(event, "phase");
}

static void test_progress(void **state)
{
    struct hall h;
    struct hall_reader r, late, ended;
    char id[32];
    (void)state;
    hall_begin(&h);
    SUBMIT(&h, id,
           "{\"bytes_total\":1000,\"steps\":[{\"name\":\"a\",\"blob\":\"b1\",\"moves\":1000,\"size\":1000,"
           "\"hold\":true}]}");
    reader_open(&h, &r, (struct event_reader_options){.job = id, .follow = true});
    hall_until(&h, has_progress, &r);
    const json_t *blob = events_find(r.events, "blob.progress");
    assert_string_equal(json_get_string(blob, "blob"), "b1");
    assert_string_equal(json_get_string(blob, "phase"), "uploading");
    assert_int_equal(json_get_int(blob, "current", 0), 500);
    assert_int_equal(json_get_int(blob, "total", 0), 1000);
    assert_true(json_is_integer(json_object_get(blob, "rate_bps")));
    assert_null(json_object_get(blob, "seq"));
    assert_null(json_object_get(blob, "cursor"));
    const json_t *progress = events_find(r.events, "progress");
    assert_int_equal(json_get_int(progress, "bytes_total", 0), 1000);
    assert_int_equal(json_get_int(progress, "bytes_done", 0), 500);
    AUTO_JSON json_t *job = hall_get(&h, id);
    assert_int_equal(json_get_int(json_object_get(job, "progress"), "bytes_done", 0), 500);

    // Whoever comes now learns how things stand, once, although nothing moves any more.
    reader_open(&h, &late, (struct event_reader_options){.job = id, .follow = true});
    assert_int_equal(events_count(late.events, "progress"), 1);
    assert_int_equal(events_count(late.events, "blob.progress"), 1);
    size_t i;
    json_t *event;
    bool snapshot = false;
    json_array_foreach(late.events, i, event) { // the kept ones come first
        bool kept = json_get_int(event, "seq", 0) > 0;
        assert_false(kept && snapshot);
        snapshot = snapshot || !kept;
    }
    board_release(NULL);
    reader_finish(&h, &r);
    reader_finish(&h, &late);
    events_check(r.events, 1, true);
    reader_open(&h, &ended, (struct event_reader_options){.job = id, .follow = true});
    reader_finish(&h, &ended);
    assert_int_equal(events_count(ended.events, "progress") + events_count(ended.events, "blob.progress"), 0);
    reader_close(&r);
    reader_close(&late);
    reader_close(&ended);
    hall_end(&h);
}

static bool all_finished(void *arg)
{
    struct hall_reader *r = arg;
    if (r->awake)
        reader_drain(r);
    return events_count(r->events, "job.finished") == 3;
}

static bool own_finished(void *arg)
{
    struct hall_reader *r = arg;
    if (r->awake)
        reader_drain(r);
    return events_count(r->events, "job.finished") == 2;
}

static void test_all_jobs(void **state)
{
    struct hall h;
    struct hall_reader admin, own, again;
    char ids[3][32];
    (void)state;
    hall_begin(&h);
    reader_open(&h, &admin, (struct event_reader_options){.after = -1, .follow = true});
    reader_open_as(&h, &own, (struct event_reader_options){.after = -1, .follow = true}, &h.caller);
    assert_int_equal(json_array_size(admin.events), 0);
    for (int i = 0; i < 3; i++)
        SUBMIT(&h, ids[i], "{\"steps\":[{\"name\":\"a\"}]}", .caller = {.uid = i == 1 ? 7 : h.caller.uid});
    hall_until(&h, all_finished, &admin);
    hall_until(&h, own_finished, &own);
    size_t i;
    json_t *event;
    int64_t cursor = 0, at;
    json_array_foreach(admin.events, i, event) {
        assert_true(str_to_int64(json_get_string(event, "cursor"), 0, INT64_MAX, &at));
        assert_true(at > cursor);
        cursor = at;
    }
    json_array_foreach(own.events, i, event)
        assert_string_not_equal(json_get_string(event, "job"), ids[1]);
    assert_int_equal(json_array_size(admin.events), 15);
    assert_int_equal(json_array_size(own.events), 10);
    // From the fifth on.
    assert_true(str_to_int64(json_get_string(json_array_get(admin.events, 4), "cursor"), 0, INT64_MAX, &at));
    reader_open(&h, &again, (struct event_reader_options){.after = at});
    reader_finish(&h, &again);
    assert_int_equal(json_array_size(again.events), 10);
    assert_true(json_equal(json_array_get(again.events, 0), json_array_get(admin.events, 5)));
    reader_close(&again);
    reader_open(&h, &again, (struct event_reader_options){.after = cursor + 100});
    assert_int_equal(again.code, ERR_EVENTS_EXPIRED);
    reader_close(&again);
    reader_close(&admin);
    reader_close(&own);
    hall_end(&h);
}

// More events than the feed keeps in memory, and jobs that were forgotten in between.
static void test_all_jobs_from_the_store(void **state)
{
    struct hall h;
    struct hall_reader r;
    char ids[4][32];
    (void)state;
    hall_begin(&h);
    for (int i = 0; i < 4; i++) {
        make_long_job(&h, ids[i], i % 2 ? 1500 : 700, false);
        hall_expect(&h, ids[i], "succeeded", NULL);
    }
    reader_open(&h, &r, (struct event_reader_options){.after = 0});
    reader_finish(&h, &r);
    assert_int_equal(json_array_size(r.events), 2 * (700 + 1500) + 4 * 5);
    reader_close(&r);
    struct hall_answer a = {0};
    for (int i = 0; i < 2; i++) {
        engine_forget(h.engine, ids[i], &hall_admin, on_plain, &a);
        answer_wait(&h, &a);
        answer_clear(&a);
    }
    reader_open(&h, &r, (struct event_reader_options){.after = 0});
    reader_finish(&h, &r);
    assert_int_equal(json_array_size(r.events), 700 + 1500 + 2 * 5);
    reader_close(&r);
    hall_reopen(&h); // now all of them come from the store
    reader_open(&h, &r, (struct event_reader_options){.after = 0});
    reader_finish(&h, &r);
    assert_int_equal(json_array_size(r.events), 700 + 1500 + 2 * 5);
    reader_close(&r);
    hall_end(&h);
}

static void on_pruned(void *arg, const struct error *err)
{
    *(bool *)arg = true;
    assert_null(err);
}

static void test_forgotten_and_expired(void **state)
{
    struct hall h;
    struct hall_reader r;
    char id[32];
    bool pruned = false;
    (void)state;
    hall_begin(&h);
    make_long_job(&h, id, 1000, false);
    hall_expect(&h, id, "succeeded", NULL);
    reader_open(&h, &r, (struct event_reader_options){.job = id, .follow = true});
    assert_non_null(r.reader);
    struct hall_answer a = {0};
    engine_forget(h.engine, id, &hall_admin, on_plain, &a);
    answer_wait(&h, &a);
    assert_int_equal(a.code, ERR_NONE);
    answer_clear(&a);
    reader_finish(&h, &r); // cut: it ends without job.finished
    assert_int_equal(events_count(r.events, "job.finished"), 0);
    reader_close(&r);

    make_long_job(&h, id, 1000, false);
    hall_expect(&h, id, "succeeded", NULL);
    store_prune(h.store, &(struct store_retention){.events_bytes = 20000}, on_pruned, &pruned);
    hall_until(&h, hall_flag, &pruned);
    reader_open(&h, &r, (struct event_reader_options){.job = id});
    if (r.code == ERR_NONE) { // retention takes whole jobs only
        reader_finish(&h, &r);
        events_check(r.events, 1, true);
    } else {
        assert_int_equal(r.code, ERR_EVENTS_EXPIRED);
        assert_true(r.oldest > 1);
    }
    reader_close(&r);
    hall_end(&h);
}

static void test_heartbeat_and_spec(void **state)
{
    struct hall h;
    struct hall_reader r;
    char id[32];
    (void)state;
    hall_begin(&h);
    SUBMIT(&h, id, "{\"holds\":true,\"targets\":[\"x\"]}");
    reader_open(&h, &r, (struct event_reader_options){.job = id, .follow = true});
    struct event *beat = event_reader_heartbeat(r.reader);
    assert_string_equal(beat->type, "heartbeat");
    assert_int_equal(beat->seq, 0);
    assert_non_null(strstr(beat->line, id));
    event_unref(beat);
    assert_true(json_is_array(json_object_get(event_reader_spec(r.reader), "targets")));
    reader_close(&r);
    reader_open(&h, &r, (struct event_reader_options){.after = -1, .follow = true});
    beat = event_reader_heartbeat(r.reader);
    assert_string_equal(beat->type, "heartbeat");
    event_unref(beat);
    assert_null(event_reader_spec(r.reader));
    reader_close(&r);
    struct fake_plan *plan = fake_last_plan;
    job_release(plan->job);
    hall_expect(&h, id, "succeeded", NULL);
    hall_end(&h);
}

// A wake-up may close the reader that is woken and any other.
static struct hall_reader *doomed[3];

static void on_wake_close_all(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        if (doomed[i]->reader)
            event_reader_close(doomed[i]->reader);
        doomed[i]->reader = NULL;
    }
}

static void test_close_while_woken(void **state)
{
    struct hall h;
    struct hall_reader readers[3];
    char id[32];
    (void)state;
    hall_begin(&h);
    SUBMIT(&h, id, "{\"steps\":[{\"name\":\"a\",\"hold\":true}]}");
    hall_until_ran(&h, "a", 1);
    for (int i = 0; i < 3; i++) {
        struct event_reader_options options = {.job = id, .follow = true, .wake = on_wake_close_all};
        readers[i] = (struct hall_reader){.events = json_array()};
        doomed[i] = &readers[i];
        event_reader_open(h.engine, &options, &hall_admin, on_ready, &readers[i]);
        hall_until(&h, hall_flag, &readers[i].told);
    }
    for (int i = 0; i < 3; i++)
        reader_drain(&readers[i]);
    board_release(NULL);
    hall_expect(&h, id, "succeeded", NULL);
    for (int i = 0; i < 3; i++) {
        assert_null(readers[i].reader);
        reader_close(&readers[i]);
    }
    hall_end(&h);
}

static void test_attached(void **state)
{
    struct hall h;
    struct hall_reader r;
    char id[32], other[32];
    (void)state;
    hall_init(&h);
    h.options.attached_grace_ms = 20;
    hall_open(&h);
    SUBMIT(&h, id, "{\"steps\":[{\"name\":\"a\",\"hold\":true}]}", .attached = true);
    while (!hall_state_is(&h, id, "cancelled")) // asking is not being there
        hall_until(&h, hall_flag, &(bool){true});
    hall_end(&h);

    hall_init(&h);
    h.options.attached_grace_ms = 20;
    hall_open(&h);
    SUBMIT(&h, id, "{\"steps\":[{\"name\":\"a\",\"hold\":true}]}", .attached = true);
    reader_open(&h, &r, (struct event_reader_options){.job = id, .follow = true});
    SUBMIT(&h, other, "{\"steps\":[{\"name\":\"b\",\"hold\":true}]}", .deadline_ms = 150);
    hall_expect(&h, other, "failed", "deadline"); // more than the grace has passed
    assert_true(hall_state_is(&h, id, "running"));
    reader_close(&r);
    while (!hall_state_is(&h, id, "cancelled"))
        hall_until(&h, hall_flag, &(bool){true});
    AUTO_JSON json_t *events = hall_events(&h, id);
    assert_string_equal(json_get_string(events_find(events, "job.cancelling"), "reason"),
                        "nobody was reading");
    hall_end(&h);
}

HALL_MAIN(cmocka_unit_test(test_since), cmocka_unit_test(test_pages), cmocka_unit_test(test_what_there_is),
          cmocka_unit_test(test_progress), cmocka_unit_test(test_all_jobs),
          cmocka_unit_test(test_all_jobs_from_the_store), cmocka_unit_test(test_forgotten_and_expired),
          cmocka_unit_test(test_heartbeat_and_spec), cmocka_unit_test(test_close_while_woken),
          cmocka_unit_test(test_attached))
