// SPDX-License-Identifier: Apache-2.0
//
// The course of one job: submitted, run, finished, asked for.
#include "jobs/hall.h"

static void test_succeeds(void **state)
{
    struct hall h;
    char id[32];
    (void)state;
    hall_begin(&h);
    SUBMIT(&h, id,
           "{\"steps\":[{\"name\":\"a\",\"blob\":\"b1\",\"moves\":1000,\"size\":1000,\"then\":[{\"name\":"
           "\"b\"}]}],"
           "\"warns\":true,\"bytes_total\":1000}");
    AUTO_JSON json_t *job = hall_finish(&h, id);
    assert_string_equal(json_get_string(job, "state"), "succeeded");
    assert_string_equal(json_get_string(job, "id"), id);
    assert_string_equal(json_get_string(job, "kind"), "fake");
    assert_int_equal(json_get_int(job, "attempt", 0), 1);
    assert_true(json_is_null(json_object_get(job, "error")));
    assert_true(json_is_null(json_object_get(job, "queue_position")));
    assert_int_equal(json_get_int(json_object_get(job, "owner"), "uid", -2), 1000);
    assert_non_null(json_get_string(job, "created_at"));
    assert_non_null(json_get_string(job, "started_at"));
    assert_non_null(json_get_string(job, "finished_at"));
    const json_t *result = json_object_get(job, "result"), *stats = json_object_get(result, "stats");
    assert_string_equal(json_get_string(result, "made_by"), id);
    assert_int_equal(json_get_int(stats, "bytes_sent", -1), 1000);
    assert_int_equal(json_get_int(stats, "requests", -1), 2);
    assert_int_equal(json_get_int(stats, "retries", -1), 0);
    assert_int_equal(json_get_int(stats, "bytes_skipped", -1), 0);
    assert_true(json_get_int(stats, "duration_ms", -1) >= 0);
    const json_t *progress = json_object_get(job, "progress");
    assert_int_equal(json_get_int(progress, "bytes_done", -1), 1000);
    assert_int_equal(json_get_int(progress, "bytes_total", -1), 1000);

    AUTO_JSON json_t *events = hall_events(&h, id);
    static const char *const types[] = {"job.queued",   "job.started",   "warning",
                                        "step.started", "blob.state",    "step.finished",
                                        "step.started", "step.finished", "job.finished"};
    events_check(events, 1, true);
    assert_int_equal(json_array_size(events), sizeof types / sizeof *types);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        assert_string_equal(json_get_string(json_array_get(events, i), "type"), types[i]);
    const json_t *finished = events_find(events, "job.finished");
    assert_string_equal(json_get_string(finished, "state"), "succeeded");
    assert_true(json_equal(json_object_get(finished, "result"), result));
    assert_true(json_is_null(json_object_get(finished, "error")));
    assert_int_equal(json_get_int(events_find(events, "step.finished"), "id", 0), 2);
    assert_string_equal(json_get_string(events_find(events, "warning"), "message"), "mind the gap");
    hall_end(&h);
}

static void test_without_steps(void **state)
{
    struct hall h;
    char id[32];
    (void)state;
    hall_begin(&h);
    SUBMIT(&h, id, "{}");
    hall_expect(&h, id, "succeeded", NULL);
    hall_end(&h);
}

static void test_failures(void **state)
{
    static const struct {
        const char *spec, *code;
    } cases[] = {
        {"{\"fail_start\":\"image-not-found\"}", "image-not-found"},
        {"{\"fail_advance\":\"partial\",\"steps\":[{\"name\":\"a\"}]}", "partial"},
        {"{\"steps\":[{\"name\":\"a\",\"fail\":\"registry-denied\"}]}", "registry-denied"},
        {"{\"steps\":[{\"name\":\"a\",\"done_fails\":true}]}", "digest-mismatch"},
    };
    struct hall h;
    (void)state;
    hall_begin(&h);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char id[32];
        SUBMIT(&h, id, cases[i].spec);
        hall_expect(&h, id, "failed", cases[i].code);
        AUTO_JSON json_t *job = hall_get(&h, id);
        bool partial = strcmp(cases[i].code, "partial") == 0; // what was done is told
        assert_true(json_is_object(json_object_get(job, "result")) == partial);
        AUTO_JSON json_t *events = hall_events(&h, id);
        events_check(events, 1, true);
        const json_t *error = json_object_get(events_find(events, "job.finished"), "error");
        assert_string_equal(json_get_string(error, "code"), cases[i].code);
        assert_non_null(json_get_string(error, "detail"));
    }
    hall_end(&h);
}

// One step fails: what waits is dropped, what runs is told to stop, and only then the job ends.
static void test_failure_stops_the_others(void **state)
{
    struct hall h;
    char id[32];
    (void)state;
    hall_init(&h);
    h.options.max_steps_per_job = 2;
    hall_open(&h);
    SUBMIT(&h, id,
           "{\"steps\":[{\"name\":\"held\",\"hold\":true},{\"name\":\"bad\",\"hold\":true,\"fail\":"
           "\"internal\"},"
           "{\"name\":\"late\",\"size\":9}]}");
    hall_until_ran(&h, NULL, 2);
    board_release("bad");
    hall_expect(&h, id, "failed", "internal");
    assert_int_equal(board_ran("late"), 0);
    AUTO_JSON json_t *events = hall_events(&h, id);
    assert_int_equal(events_count(events, "step.started"), 2);
    assert_int_equal(events_count(events, "step.finished"), 2);
    hall_end(&h);
}

// One item of a batch fails; the plan knows how to go on.
static void test_failure_is_dealt_with(void **state)
{
    struct hall h;
    char id[32];
    (void)state;
    hall_begin(&h);
    SUBMIT(&h, id,
           "{\"steps\":[{\"name\":\"a\",\"fail\":\"registry-denied\",\"dispensable\":true,\"key\":\"k\"},"
           "{\"name\":\"b\",\"size\":9}]}");
    hall_expect(&h, id, "succeeded", NULL);
    assert_int_equal(board_ran("b"), 1);
    AUTO_JSON json_t *events = hall_events(&h, id);
    events_check(events, 1, true);
    assert_string_equal(json_get_string(events_find(events, "warning"), "code"), "registry-denied");
    SUBMIT(&h, id, "{\"steps\":[{\"name\":\"c\",\"fail\":\"registry-denied\",\"dispensable\":true}]}");
    hall_expect(&h, id, "succeeded", NULL); // advance was asked after the last one, too
    hall_end(&h);
}

static void test_retry(void **state)
{
    struct hall h;
    char id[32];
    (void)state;
    hall_begin(&h);
    SUBMIT(&h, id,
           "{\"steps\":[{\"name\":\"a\",\"blob\":\"b1\",\"fail\":\"registry-unreachable\",\"times\":2}]}");
    hall_expect(&h, id, "succeeded", NULL);
    assert_int_equal(board_ran("a"), 3);
    AUTO_JSON json_t *events = hall_events(&h, id);
    assert_int_equal(events_count(events, "retry"), 2);
    assert_int_equal(events_count(events, "step.started"), 1);
    assert_int_equal(events_count(events, "step.finished"), 1);
    const json_t *retry = events_find(events, "retry");
    assert_int_equal(json_get_int(retry, "attempt", 0), 2);
    assert_int_equal(json_get_int(retry, "max", 0), 4);
    assert_int_equal(json_get_int(retry, "delay_ms", 0), 1);
    assert_string_equal(json_get_string(retry, "blob"), "b1");
    assert_string_equal(json_get_string(json_object_get(retry, "problem"), "code"), "registry-unreachable");
    const json_t *result = json_object_get(events_find(events, "job.finished"), "result");
    assert_int_equal(json_get_int(json_object_get(result, "stats"), "retries", 0), 2);

    SUBMIT(&h, id, "{\"steps\":[{\"name\":\"b\",\"fail\":\"registry-unreachable\"}]}");
    hall_expect(&h, id, "failed", "registry-unreachable");
    assert_int_equal(board_ran("b"), 4);
    SUBMIT(&h, id, "{\"steps\":[{\"name\":\"c\",\"fail\":\"registry-denied\"}]}"); // trying again cannot help
    hall_expect(&h, id, "failed", "registry-denied");
    assert_int_equal(board_ran("c"), 1);
    hall_end(&h);
}

static void test_checkpoint_keeps_open(void **state)
{
    struct hall h;
    char id[32];
    (void)state;
    hall_begin(&h);
    SUBMIT(&h, id, "{\"checkpoint\":{\"tags\":1}}");
    hall_expect(&h, id, "succeeded", NULL);
    hall_end(&h);
}

static bool held_plan_is_there(void *arg)
{
    (void)arg;
    return fake_plans == 1;
}

static void test_hold(void **state)
{
    struct hall h;
    char id[32];
    (void)state;
    hall_begin(&h);
    SUBMIT(&h, id, "{\"holds\":true,\"steps\":[{\"name\":\"a\"}]}");
    hall_until_ran(&h, "a", 1);
    hall_until(&h, held_plan_is_there, NULL);
    struct fake_plan *plan = fake_last_plan;
    while (plan->done == 0)
        hall_until(&h, held_plan_is_there, NULL);
    assert_true(hall_state_is(&h, id, "running"));
    int advanced = plan->advanced;
    job_hold(plan->job);
    job_release(plan->job);
    assert_int_equal(plan->advanced, advanced + 1);
    job_release(plan->job);
    hall_expect(&h, id, "succeeded", NULL);
    hall_end(&h);
}

// A plan that was given up is not asked any more, but lives until its last hold is released.
static void test_cancel_while_held(void **state)
{
    struct hall h;
    char id[32];
    (void)state;
    hall_begin(&h);
    SUBMIT(&h, id, "{\"holds\":true}");
    hall_until(&h, held_plan_is_there, NULL);
    struct fake_plan *plan = fake_last_plan;
    hall_cancel(&h, id);
    assert_true(hall_state_is(&h, id, "cancelling"));
    assert_true(job_ending(plan->job));
    AUTO_JSON json_t *late = json_pack("[{s:s}]", "name", "late");
    fake_submit(plan, late); // is freed at once
    assert_int_equal(fake_steps, 0);
    fake_advances = 0;
    job_release(plan->job);
    assert_int_equal(fake_advances, 0);
    assert_int_equal(fake_plans, 0);
    hall_expect(&h, id, "cancelled", "cancelled");
    hall_end(&h);
}

static void test_cancel_queued(void **state)
{
    struct hall h;
    char id[32];
    (void)state;
    hall_init(&h);
    h.options.paused = true;
    hall_open(&h);
    SUBMIT(&h, id, "{\"steps\":[{\"name\":\"a\"}]}");
    assert_true(hall_state_is(&h, id, "queued"));
    struct hall_answer a = {0};
    engine_cancel(h.engine, id, &h.caller, on_cancelled, &a);
    answer_wait(&h, &a);
    assert_true(a.began);
    answer_clear(&a);
    hall_expect(&h, id, "cancelled", "cancelled");
    engine_cancel(h.engine, id, &h.caller, on_cancelled, &a);
    answer_wait(&h, &a);
    assert_false(a.began); // it was over
    assert_string_equal(json_get_string(a.value, "state"), "cancelled");
    answer_clear(&a);
    AUTO_JSON json_t *events = hall_events(&h, id);
    events_check(events, 1, true);
    assert_int_equal(json_array_size(events), 3);
    hall_end(&h);
}

static void test_cancel_running(void **state)
{
    struct hall h;
    char id[32];
    (void)state;
    hall_begin(&h);
    SUBMIT(&h, id, "{\"steps\":[{\"name\":\"a\",\"hold\":true},{\"name\":\"b\",\"hold\":true}]}");
    hall_until_ran(&h, NULL, 2);
    hall_cancel(&h, id);
    hall_cancel(&h, id); // again is fine
    assert_true(hall_state_is(&h, id, "cancelling"));
    hall_expect(&h, id, "cancelled", "cancelled");
    AUTO_JSON json_t *events = hall_events(&h, id);
    events_check(events, 1, true);
    assert_int_equal(events_count(events, "job.cancelling"), 1);
    assert_int_equal(events_count(events, "step.finished"), 2);
    hall_end(&h);
}

static bool slow_retry(void *arg, int attempt, const struct error *err, int64_t *ret_delay_ms, int *ret_max)
{
    (void)arg, (void)attempt, (void)err;
    *ret_delay_ms = 600000;
    *ret_max = 9;
    return true;
}

static void test_cancel_while_a_step_waits(void **state)
{
    struct hall h;
    struct hall_reader r;
    char id[32];
    (void)state;
    hall_init(&h);
    h.options.retry = slow_retry;
    hall_open(&h);
    SUBMIT(&h, id, "{\"steps\":[{\"name\":\"a\",\"fail\":\"registry-unreachable\"}]}");
    reader_open(&h, &r, (struct event_reader_options){.job = id, .follow = true});
    while (events_count(r.events, "retry") == 0) {
        hall_until(&h, hall_flag, &r.awake);
        reader_drain(&r);
    }
    hall_cancel(&h, id);
    reader_finish(&h, &r);
    events_check(r.events, 1, true);
    reader_close(&r);
    hall_expect(&h, id, "cancelled", "cancelled");
    hall_end(&h);
}

static void test_deadline(void **state)
{
    struct hall h;
    char id[32];
    (void)state;
    hall_begin(&h);
    SUBMIT(&h, id, "{\"steps\":[{\"name\":\"a\",\"hold\":true}]}", .deadline_ms = 30);
    hall_expect(&h, id, "failed", "deadline");
    AUTO_JSON json_t *job = hall_get(&h, id);
    assert_int_equal(json_get_int(job, "deadline_ms", 0), 30);
    hall_end(&h);
    hall_begin(&h); // while a step is tried again: the problem tells why
    SUBMIT(&h, id, "{\"steps\":[{\"name\":\"a\",\"fail\":\"registry-unreachable\",\"times\":1},{\"name\":\"b\",\"hold\":true}]}",
           .deadline_ms = 100);
    hall_expect(&h, id, "failed", "deadline");
    AUTO_JSON json_t *tried = hall_get(&h, id);
    assert_non_null(strstr(json_get_string(json_object_get(tried, "error"), "detail"), "tried again because"));
    hall_end(&h);
    hall_init(&h);
    h.options.paused = true; // also while it is queued
    hall_open(&h);
    SUBMIT(&h, id, "{}", .deadline_ms = 30);
    hall_expect(&h, id, "failed", "deadline");
    hall_end(&h);
}

static void test_limits(void **state)
{
    struct hall h;
    char id[32], first[32];
    (void)state;
    hall_init(&h);
    h.options.paused = true;
    h.options.max_queued = 3;
    h.options.max_queued_per_caller = 2;
    hall_open(&h);
    SUBMIT(&h, first, "{}", .caller = {.uid = 1});
    SUBMIT(&h, id, "{}", .caller = {.uid = 1});
    assert_int_equal(hall_submit(&h, "{}", (struct engine_submit){.caller = {.uid = 1}}, id), ERR_OVERLOADED);
    SUBMIT(&h, id, "{}", .caller = {.uid = 2});
    assert_int_equal(hall_submit(&h, "{}", (struct engine_submit){.caller = {.uid = 3}}, id), ERR_OVERLOADED);
    hall_cancel(&h, first);
    hall_expect(&h, first, "cancelled", "cancelled");
    SUBMIT(&h, id, "{}", .caller = {.uid = 1}); // room again
    assert_int_equal(hall_submit(&h, "{}", (struct engine_submit){.kind = "unheard"}, id),
                     ERR_INVALID_REQUEST);
    hall_end(&h);
}

static void test_who_may_see(void **state)
{
    struct hall h;
    char id[32];
    struct engine_caller other = {.uid = 7};
    struct hall_answer a = {0};
    (void)state;
    hall_init(&h);
    h.options.paused = true;
    hall_open(&h);
    SUBMIT(&h, id, "{}");
    engine_get(h.engine, id, &other, on_value, &a);
    answer_wait(&h, &a);
    assert_int_equal(a.code, ERR_NOT_FOUND);
    answer_clear(&a);
    engine_cancel(h.engine, id, &other, on_cancelled, &a);
    answer_wait(&h, &a);
    assert_int_equal(a.code, ERR_NOT_FOUND);
    answer_clear(&a);
    engine_forget(h.engine, id, &other, on_plain, &a);
    answer_wait(&h, &a);
    assert_int_equal(a.code, ERR_NOT_FOUND);
    answer_clear(&a);
    engine_get(h.engine, "01ARZ3NDEKTSV4RRFFQ69G5FAV", &h.caller, on_value, &a);
    answer_wait(&h, &a);
    assert_int_equal(a.code, ERR_NOT_FOUND);
    answer_clear(&a);
    engine_get(h.engine, "no such id", &h.caller, on_value, &a);
    answer_wait(&h, &a);
    assert_int_equal(a.code, ERR_NOT_FOUND);
    answer_clear(&a);
    assert_true(hall_state_is(&h, id, "queued"));
    hall_end(&h);
}

static void test_forget(void **state)
{
    struct hall h;
    char id[32];
    struct hall_answer a = {0};
    (void)state;
    hall_begin(&h);
    SUBMIT(&h, id, "{\"steps\":[{\"name\":\"a\",\"hold\":true}]}");
    engine_forget(h.engine, id, &h.caller, on_plain, &a);
    answer_wait(&h, &a);
    assert_int_equal(a.code, ERR_CONFLICT);
    answer_clear(&a);
    board_release("a");
    hall_expect(&h, id, "succeeded", NULL);
    engine_forget(h.engine, id, &h.caller, on_plain, &a);
    answer_wait(&h, &a);
    assert_int_equal(a.code, ERR_NONE);
    answer_clear(&a);
    engine_get(h.engine, id, &h.caller, on_value, &a);
    answer_wait(&h, &a);
    assert_int_equal(a.code, ERR_NOT_FOUND);
    hall_end(&h);
}

// Jobs beyond kept_jobs leave memory and are answered from the store, with the same words.
static void test_evicted(void **state)
{
    struct hall h;
    char ids[5][32];
    json_t *before[5];
    (void)state;
    hall_init(&h);
    h.options.kept_jobs = 5;
    hall_open(&h);
    AUTO_JSON json_t *labels = json_pack("{s:s}", "ci", "42");
    for (int i = 0; i < 5; i++) {
        SUBMIT(&h, ids[i], i % 2 ? "{\"steps\":[{\"name\":\"a\"}]}" : "{\"fail_start\":\"image-not-found\"}",
               .labels = labels, .priority = i, .deadline_ms = 600000,
               .retry_of = "01ARZ3NDEKTSV4RRFFQ69G5FAV");
        before[i] = hall_finish(&h, ids[i]);
        json_object_del(before[i], "progress"); // ends with the memory
    }
    for (int i = 0; i < 5; i++) {
        char id[32];
        SUBMIT(&h, id, "{}");
        hall_expect(&h, id, "succeeded", NULL);
    }
    for (int i = 0; i < 5; i++) {
        AUTO_JSON json_t *after = hall_get(&h, ids[i]);
        json_object_del(after, "progress");
        char *a = json_text_canonical(before[i]), *b = json_text_canonical(after);
        assert_string_equal(a, b);
        free(a);
        free(b);
        json_decref(before[i]);
        AUTO_JSON json_t *events = hall_events(&h, ids[i]);
        events_check(events, 1, true);
    }
    hall_end(&h);
}

static void test_retry_spec(void **state)
{
    struct hall h;
    char id[32];
    struct hall_answer a = {0};
    (void)state;
    hall_begin(&h);
    AUTO_JSON json_t *auth = json_pack("{s:{s:s}}", "r.example", "token", "hush-hush");
    SUBMIT(&h, id, "{\"steps\":[{\"name\":\"a\",\"hold\":true}]}", .auth = auth, .priority = 3);
    engine_retry_spec(h.engine, id, &h.caller, on_value, &a);
    answer_wait(&h, &a);
    assert_int_equal(a.code, ERR_CONFLICT);
    answer_clear(&a);
    board_release(NULL);
    hall_expect(&h, id, "succeeded", NULL);
    engine_retry_spec(h.engine, id, &h.caller, on_value, &a);
    answer_wait(&h, &a);
    assert_int_equal(a.code, ERR_NONE);
    assert_string_equal(json_get_string(a.value, "kind"), "fake");
    assert_int_equal(json_get_int(a.value, "priority", 0), 3);
    assert_true(json_get_bool(a.value, "had_auth", false));
    assert_true(json_is_array(json_object_get(json_object_get(a.value, "spec"), "steps")));
    assert_string_equal(fake_auth_seen, "{\"r.example\":{\"token\":\"hush-hush\"}}");
    AUTO_FREE char *text = json_text(a.value);
    assert_null(strstr(text, "hush"));
    answer_clear(&a);
    hall_end(&h);
}

static void expect_page(struct hall *h, struct engine_list filter, const char *const *ids, size_t count)
{
    struct hall_answer a = {0};
    engine_list(h->engine, &filter, on_value, &a);
    answer_wait(h, &a);
    assert_int_equal(a.code, ERR_NONE);
    const json_t *items = json_object_get(a.value, "items");
    assert_int_equal(json_array_size(items), count);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(json_get_string(json_array_get(items, i), "id"), ids[i]);
    assert_non_null(json_get_string(a.value, "cursor"));
    answer_clear(&a);
}

static void test_list(void **state)
{
    struct hall h;
    char a[32], b[32], c[32];
    (void)state;
    hall_init(&h);
    h.options.paused = true;
    hall_open(&h);
    AUTO_JSON json_t *labels = json_pack("{s:s}", "ci", "42");
    SUBMIT(&h, a, "{}", .labels = labels);
    SUBMIT(&h, b, "{}", .caller = {.uid = 7});
    SUBMIT(&h, c, "{}");
    hall_cancel(&h, c);
    hall_expect(&h, c, "cancelled", "cancelled");
    expect_page(&h, (struct engine_list){.limit = 10, .caller = hall_admin}, (const char *const[]){c, b, a},
                3);
    expect_page(&h, (struct engine_list){.limit = 10, .caller = h.caller}, (const char *const[]){c, a}, 2);
    expect_page(&h, (struct engine_list){.limit = 10, .caller = {.uid = -1}}, NULL, 0);
    expect_page(&h, (struct engine_list){.limit = 2, .caller = hall_admin}, (const char *const[]){c, b}, 2);
    expect_page(&h, (struct engine_list){.limit = 2, .caller = hall_admin, .cursor = b},
                (const char *const[]){a}, 1);
    expect_page(&h, (struct engine_list){.limit = 9, .caller = hall_admin, .state = "queued"},
                (const char *const[]){b, a}, 2);
    expect_page(
        &h, (struct engine_list){.limit = 9, .caller = hall_admin, .label_key = "ci", .label_value = "42"},
        (const char *const[]){a}, 1);
    struct hall_answer page = {0};
    struct engine_list filter = {.limit = 2, .caller = hall_admin};
    engine_list(h.engine, &filter, on_value, &page);
    answer_wait(&h, &page);
    assert_string_equal(json_get_string(page.value, "next"), b);
    answer_clear(&page);
    hall_end(&h);
}

static void test_wait(void **state)
{
    struct hall h;
    char id[32];
    struct hall_answer a = {0}, b = {0}, c = {0};
    (void)state;
    hall_begin(&h);
    SUBMIT(&h, id, "{\"steps\":[{\"name\":\"a\",\"hold\":true}]}");
    engine_wait_start(h.engine, id, &h.caller, 10, on_value, &a);
    struct engine_wait *wait = engine_wait_start(h.engine, id, &h.caller, HALL_PATIENCE_MS, on_value, &b);
    engine_wait_start(h.engine, id, &h.caller, HALL_PATIENCE_MS, on_value, &c);
    answer_wait(&h, &a); // the time is up
    assert_false(json_get_bool(a.value, "terminal", true));
    engine_wait_cancel(wait);
    board_release(NULL);
    answer_wait(&h, &c);
    assert_true(json_get_bool(c.value, "terminal", false));
    assert_false(b.told);
    answer_clear(&a);
    answer_clear(&c);
    engine_wait_start(h.engine, "01ARZ3NDEKTSV4RRFFQ69G5FAV", &h.caller, 1000, on_value, &a);
    answer_wait(&h, &a);
    assert_int_equal(a.code, ERR_NOT_FOUND);
    hall_end(&h);
}

static void test_stats(void **state)
{
    struct hall h;
    char id[32];
    struct engine_stats stats;
    (void)state;
    hall_begin(&h);
    SUBMIT(&h, id, "{\"steps\":[{\"name\":\"a\",\"hold\":true}]}");
    hall_until_ran(&h, "a", 1);
    engine_stats(h.engine, &stats);
    assert_int_equal(stats.running, 1);
    assert_int_equal(stats.workers, 4);
    assert_int_equal(stats.workers_busy, 1);
    board_release(NULL);
    hall_expect(&h, id, "succeeded", NULL);
    engine_stats(h.engine, &stats);
    assert_int_equal(stats.running, 0);
    assert_int_equal(stats.finished_succeeded, 1);
    assert_int_equal(stats.oldest_step_ms, 0);
    assert_false(stats.draining);
    hall_end(&h);
}

// No step is open, and the plan has not done what it was for.
static void test_standstill(void **state)
{
    struct hall h;
    char id[32];
    (void)state;
    hall_begin(&h);
    SUBMIT(&h, id, "{\"steps\":[{\"name\":\"a\"}],\"stands_still\":true}");
    hall_expect(&h, id, "failed", "internal");
    SUBMIT(&h, id, "{\"steps\":[],\"stands_still\":true}");
    hall_expect(&h, id, "failed", "internal");
    hall_end(&h);
}

HALL_MAIN(cmocka_unit_test(test_succeeds), cmocka_unit_test(test_without_steps), cmocka_unit_test(test_standstill),
          cmocka_unit_test(test_failures), cmocka_unit_test(test_failure_stops_the_others),
          cmocka_unit_test(test_failure_is_dealt_with), cmocka_unit_test(test_retry),
          cmocka_unit_test(test_checkpoint_keeps_open), cmocka_unit_test(test_hold),
          cmocka_unit_test(test_cancel_while_held), cmocka_unit_test(test_cancel_queued),
          cmocka_unit_test(test_cancel_running), cmocka_unit_test(test_cancel_while_a_step_waits),
          cmocka_unit_test(test_deadline), cmocka_unit_test(test_limits), cmocka_unit_test(test_who_may_see),
          cmocka_unit_test(test_forget), cmocka_unit_test(test_evicted), cmocka_unit_test(test_retry_spec),
          cmocka_unit_test(test_list), cmocka_unit_test(test_wait), cmocka_unit_test(test_stats))
