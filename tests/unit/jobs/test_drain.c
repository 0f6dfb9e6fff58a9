// SPDX-License-Identifier: Apache-2.0
//
// The ordered end: drain, abandon, stop – and what the next start makes of it.
#include "jobs/hall.h"

static void on_drained(void *arg)
{
    bool *drained = arg;
    assert_false(*drained);
    *drained = true;
}

static void test_idle(void **state)
{
    struct hall h;
    bool drained = false;
    char id[32];
    (void)state;
    hall_begin(&h);
    engine_drain(h.engine, 600000, on_drained, &drained);
    hall_until(&h, hall_flag, &drained); // at once
    assert_int_equal(hall_submit(&h, "{}", (struct engine_submit){0}, id), ERR_DRAINING);
    hall_end(&h);
}

static void test_waits_for_what_runs(void **state)
{
    struct hall h;
    bool drained = false;
    char running[32], queued[32];
    struct engine_stats stats;
    (void)state;
    hall_init(&h);
    h.options.max_running = 1;
    hall_open(&h);
    SUBMIT(&h, running, "{\"steps\":[{\"name\":\"a\",\"hold\":true,\"then\":[{\"name\":\"b\"}]}]}");
    hall_until_ran(&h, "a", 1);
    SUBMIT(&h, queued, "{\"steps\":[{\"name\":\"c\"}]}");
    engine_drain(h.engine, 600000, on_drained, &drained);
    engine_stats(h.engine, &stats);
    assert_true(stats.draining);
    assert_true(hall_state_is(&h, running, "running"));
    assert_false(drained);
    board_release(NULL);
    hall_until(&h, hall_flag, &drained);
    assert_true(hall_state_is(&h, running, "succeeded"));
    assert_true(hall_state_is(&h, queued, "queued"));
    assert_int_equal(board_ran("c"), 0);
    hall_reopen(&h);
    AUTO_JSON json_t *job = hall_finish(&h, queued);
    assert_int_equal(json_get_int(job, "attempt", 0), 1);
    hall_end(&h);
}

static void test_abandons_at_the_deadline(void **state)
{
    struct hall h;
    bool drained = false;
    char id[32];
    struct hall_answer wait = {0};
    struct hall_reader r, all;
    (void)state;
    hall_init(&h);
    h.options.max_steps_per_job = 2;
    hall_open(&h);
    SUBMIT(&h, id,
           "{\"steps\":[{\"name\":\"a\",\"hold\":true},{\"name\":\"b\",\"hold\":true},{\"name\":\"c\"}]}");
    hall_until_ran(&h, NULL, 2);
    reader_open(&h, &r, (struct event_reader_options){.job = id, .follow = true});
    reader_open(&h, &all, (struct event_reader_options){.after = -1, .follow = true});
    engine_wait_start(h.engine, id, &h.caller, 600000, on_value, &wait);
    engine_drain(h.engine, 10, on_drained, &drained);
    hall_until(&h, hall_flag, &drained);
    assert_true(hall_state_is(&h, id, "running"));
    engine_stop(h.engine);
    assert_true(wait.told); // with the job as it is
    assert_false(json_get_bool(wait.value, "terminal", true));
    answer_clear(&wait);
    assert_true(r.awake);
    reader_drain(&r);
    reader_drain(&all);
    assert_true(r.ended); // without job.finished: resume later
    assert_true(all.ended);
    events_check(r.events, 1, false);
    reader_close(&r);
    reader_close(&all);
    hall_reopen(&h); // stopping twice is fine
    board_release(NULL);
    AUTO_JSON json_t *job = hall_finish(&h, id);
    assert_string_equal(json_get_string(job, "state"), "succeeded");
    assert_int_equal(json_get_int(job, "attempt", 0), 2);
    AUTO_JSON json_t *events = hall_events(&h, id);
    events_check(events, 1, true);
    hall_end(&h);
}

// Stopped without a drain, with everything in the air.
static void test_stop_at_once(void **state)
{
    struct hall h;
    char id[32];
    struct hall_answer late;
    (void)state;
    hall_begin(&h);
    SUBMIT(&h, id,
           "{\"steps\":[{\"name\":\"a\",\"hold\":true},{\"name\":\"k\",\"key\":\"k\",\"hold\":true},"
           "{\"name\":\"k\",\"key\":\"k\",\"hold\":true}],\"checkpoint\":{\"x\":1},\"holds\":true}");
    hall_until_ran(&h, "a", 1);
    hall_post(&h, "{}", (struct engine_submit){.idempotency_key = "k", .fingerprint = "f"}, &late);
    hall_close(&h);
    assert_true(late.told);
    hall_remove(&h);
    assert_int_equal(fake_plans, 0);
    assert_int_equal(fake_steps, 0);
}

// A cancel that was under way when the daemon stopped goes on at the next start.
static void test_cancelling_goes_on(void **state)
{
    struct hall h;
    char id[32];
    (void)state;
    hall_begin(&h);
    SUBMIT(&h, id, "{\"holds\":true}");
    while (!hall_state_is(&h, id, "running"))
        ;
    hall_cancel(&h, id); // the hold keeps it open
    hall_reopen(&h);
    hall_expect(&h, id, "cancelled", "cancelled");
    AUTO_JSON json_t *events = hall_events(&h, id);
    events_check(events, 1, true);
    assert_int_equal(events_count(events, "job.cancelling"), 1);
    hall_end(&h);
}

HALL_MAIN(cmocka_unit_test(test_idle), cmocka_unit_test(test_waits_for_what_runs),
          cmocka_unit_test(test_abandons_at_the_deadline), cmocka_unit_test(test_stop_at_once),
          cmocka_unit_test(test_cancelling_goes_on))
