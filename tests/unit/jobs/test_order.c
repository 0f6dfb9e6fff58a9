// SPDX-License-Identifier: Apache-2.0
//
// Which job and which step comes next: priorities, turns of callers and jobs, small steps first, limits,
// hosts.
#include "base/strbuf.h"
#include "jobs/hall.h"

static bool all_done(void *arg)
{
    struct engine_stats stats;
    engine_stats(((struct hall *)arg)->engine, &stats);
    return stats.queued == 0 && stats.running == 0;
}

static int ran_at(const char *name) // index in the order of runs
{
    for (int i = 0; i < board.n_ran; i++)
        if (strcmp(board.ran[i], name) == 0)
            return i;
    fail_msg("%s never ran", name);
    return -1;
}

static void expect_order(const char *const *names, int count)
{
    assert_int_equal(board.n_ran, count);
    for (int i = 0; i < count; i++)
        assert_string_equal(board.ran[i], names[i]);
}

// One worker, one job at a time: `first` holds it while the others line up.
static void begin_with_held(struct hall *h, char id[32])
{
    hall_init(h);
    h->options.workers = 1;
    h->options.max_running = 1;
    hall_open(h);
    SUBMIT(h, id, "{\"steps\":[{\"name\":\"first\",\"hold\":true}]}");
    hall_until_ran(h, "first", 1);
}

static void test_jobs_by_priority_and_caller(void **state)
{
    struct hall h;
    char id[32];
    (void)state;
    begin_with_held(&h, id);
    SUBMIT(&h, id, "{\"steps\":[{\"name\":\"a1\"}]}", .caller = {.uid = 1});
    SUBMIT(&h, id, "{\"steps\":[{\"name\":\"a2\"}]}", .caller = {.uid = 1});
    SUBMIT(&h, id, "{\"steps\":[{\"name\":\"a3\"}]}", .caller = {.uid = 1});
    SUBMIT(&h, id, "{\"steps\":[{\"name\":\"b1\"}]}", .caller = {.uid = 2});
    SUBMIT(&h, id, "{\"steps\":[{\"name\":\"low\"}]}", .caller = {.uid = 3}, .priority = -1);
    SUBMIT(&h, id, "{\"steps\":[{\"name\":\"high\"}]}", .caller = {.uid = 1}, .priority = 5);
    board_release("first");
    hall_until(&h, all_done, &h);
    expect_order((const char *const[]){"first", "high", "a1", "b1", "a2", "a3", "low"}, 7);
    hall_end(&h);
}

static void test_queue_position(void **state)
{
    struct hall h;
    char id[32], ids[3][32];
    (void)state;
    begin_with_held(&h, id);
    for (int i = 0; i < 3; i++)
        SUBMIT(&h, ids[i], "{}", .priority = i == 2);
    static const int positions[] = {2, 3, 1};
    for (int i = 0; i < 3; i++) {
        AUTO_JSON json_t *job = hall_get(&h, ids[i]);
        assert_int_equal(json_get_int(job, "queue_position", 0), positions[i]);
    }
    hall_end(&h);
}

// A job with many steps does not hold up a small one that comes later, of the same caller.
static void test_jobs_take_turns(void **state)
{
    struct hall h;
    char id[32];
    struct strbuf spec = STRBUF_INIT(1 << 20);
    (void)state;
    hall_init(&h);
    h.options.workers = 1;
    hall_open(&h);
    strbuf_puts(&spec, "{\"steps\":[{\"name\":\"first\",\"hold\":true}");
    for (int i = 0; i < 200; i++)
        strbuf_printf(&spec, ",{\"name\":\"big\",\"size\":%d}", i + 1);
    strbuf_puts(&spec, "]}");
    SUBMIT(&h, id, strbuf_text(&spec));
    hall_until_ran(&h, "first", 1);
    SUBMIT(&h, id, "{\"steps\":[{\"name\":\"s1\",\"size\":999999},{\"name\":\"s2\",\"size\":9999999}]}");
    while (!hall_state_is(&h, id, "running"))
        ;
    board_release("first");
    hall_until(&h, all_done, &h);
    assert_in_range(ran_at("s1"), 1, 2);
    assert_in_range(ran_at("s2"), 3, 4);
    strbuf_free(&spec);
    hall_end(&h);
}

static void test_steps_by_priority(void **state)
{
    struct hall h;
    char id[32];
    (void)state;
    hall_init(&h);
    h.options.workers = 1;
    hall_open(&h);
    SUBMIT(&h, id, "{\"steps\":[{\"name\":\"first\",\"hold\":true},{\"name\":\"a\"},{\"name\":\"b\"}]}");
    hall_until_ran(&h, "first", 1);
    SUBMIT(&h, id, "{\"steps\":[{\"name\":\"x\"},{\"name\":\"y\"}]}", .priority = 1);
    while (!hall_state_is(&h, id, "running"))
        ;
    board_release("first");
    hall_until(&h, all_done, &h);
    expect_order((const char *const[]){"first", "x", "y", "a", "b"}, 5);
    hall_end(&h);
}

static void test_small_steps_first(void **state)
{
    struct hall h;
    char id[32];
    (void)state;
    hall_init(&h);
    h.options.workers = 1;
    hall_open(&h);
    SUBMIT(&h, id,
           "{\"steps\":[{\"name\":\"large\",\"size\":500},{\"name\":\"small\",\"size\":5},"
           "{\"name\":\"medium\",\"size\":50},{\"name\":\"small2\",\"size\":5}]}");
    hall_expect(&h, id, "succeeded", NULL);
    expect_order((const char *const[]){"small", "small2", "medium", "large"}, 4);
    hall_end(&h);
}

static void test_most_at_once(void **state)
{
    struct hall h;
    char ids[3][32];
    struct engine_stats stats;
    (void)state;
    hall_init(&h);
    h.options.workers = 8;
    h.options.max_running = 2;
    h.options.max_steps_per_job = 3;
    hall_open(&h);
    for (int i = 0; i < 3; i++)
        SUBMIT(&h, ids[i],
               "{\"steps\":[{\"name\":\"s\",\"hold\":true},{\"name\":\"s\",\"hold\":true},{\"name\":\"s\","
               "\"hold\":true},"
               "{\"name\":\"s\",\"hold\":true,\"host\":\"h\"},{\"name\":\"s\",\"hold\":true}]}");
    hall_until_ran(&h, "s", 6);
    assert_true(hall_state_is(&h, ids[2], "queued"));
    engine_stats(h.engine, &stats);
    assert_int_equal(stats.running, 2);
    assert_int_equal(stats.workers_busy, 6);
    board_release("s");
    hall_until(&h, all_done, &h);
    assert_int_equal(board_ran("s"), 15);
    assert_true(board.most_inside <= 6);
    hall_end(&h);
}

static void test_never_more_than_workers(void **state)
{
    struct hall h;
    char id[32];
    (void)state;
    hall_init(&h);
    h.options.workers = 3;
    h.options.max_steps_per_job = 100;
    hall_open(&h);
    SUBMIT(&h, id,
           "{\"steps\":[{\"name\":\"a\",\"hold\":true},{\"name\":\"b\",\"hold\":true},{\"name\":\"c\","
           "\"hold\":true},"
           "{\"name\":\"d\"},{\"name\":\"e\"}]}");
    hall_until_ran(&h, NULL, 3);
    board_release(NULL);
    hall_expect(&h, id, "succeeded", NULL);
    assert_int_equal(board.most_inside, 3);
    hall_end(&h);
}

// --- hosts

struct toll { // one host's rule; others are open
    const char *host;
    int inside, most, capacity;
    int64_t closed_until_ms;
    int entered, left_well, left_badly, left_unused, refused;
};

static bool toll_enter(void *arg, const char *host, int64_t now_ms, int64_t *ret_retry_at_ms)
{
    struct toll *toll = arg;
    if (strcmp(host, toll->host) != 0)
        return true;
    if (now_ms < toll->closed_until_ms || toll->inside >= toll->capacity) {
        *ret_retry_at_ms = now_ms < toll->closed_until_ms ? toll->closed_until_ms : 0;
        toll->refused++;
        return false;
    }
    toll->entered++;
    if (++toll->inside > toll->most)
        toll->most = toll->inside;
    return true;
}

static void toll_leave(void *arg, const char *host, int64_t now_ms, const struct error *err)
{
    struct toll *toll = arg;
    (void)now_ms;
    if (strcmp(host, toll->host) != 0)
        return;
    toll->inside--;
    assert_true(toll->inside >= 0);
    if (!err)
        toll->left_well++;
    else if (err->code == ERR_CANCELLED)
        toll->left_unused++;
    else
        toll->left_badly++;
}

static void begin_with_toll(struct hall *h, struct toll *toll)
{
    hall_init(h);
    h->options.gate = (struct engine_gate){.arg = toll, .enter = toll_enter, .leave = toll_leave};
    hall_open(h);
}

// What waits for a host that is full keeps no worker and no other job from working; each that leaves lets one
// in.
static void test_host_is_full(void **state)
{
    struct hall h;
    struct toll toll = {.host = "busy", .capacity = 2};
    char id[32], other[32];
    struct strbuf spec = STRBUF_INIT(1 << 20);
    (void)state;
    begin_with_toll(&h, &toll);
    strbuf_puts(
        &spec,
        "{\"steps\":[{\"name\":\"first\",\"hold\":true,\"host\":\"busy\"},{\"name\":\"first\",\"hold\":true,"
        "\"host\":\"busy\"}");
    for (int i = 0; i < 300; i++)
        strbuf_puts(&spec, ",{\"name\":\"s\",\"host\":\"busy\",\"size\":1}");
    strbuf_puts(&spec, "]}");
    SUBMIT(&h, id, strbuf_text(&spec));
    hall_until_ran(&h, "first", 2);
    SUBMIT(&h, other, "{\"steps\":[{\"name\":\"o1\",\"host\":\"idle\"},{\"name\":\"o2\"}]}");
    hall_expect(&h, other, "succeeded", NULL);
    assert_true(hall_state_is(&h, id, "running"));
    board_release("first");
    hall_expect(&h, id, "succeeded", NULL);
    assert_int_equal(toll.entered, 302);
    assert_int_equal(toll.left_well, 302);
    assert_int_equal(toll.inside, 0);
    assert_true(toll.most <= 2);
    assert_true(toll.refused < 2 * toll.entered + 20); // not all ask again each time
    strbuf_free(&spec);
    hall_end(&h);
}

// At a full host, too, a small job need not wait for all of a large one.
static void test_turns_at_a_host(void **state)
{
    struct hall h;
    struct toll toll = {.host = "busy", .capacity = 1};
    char id[32];
    struct strbuf spec = STRBUF_INIT(1 << 20);
    (void)state;
    begin_with_toll(&h, &toll);
    strbuf_puts(&spec, "{\"steps\":[{\"name\":\"first\",\"hold\":true,\"host\":\"busy\"}");
    for (int i = 0; i < 100; i++)
        strbuf_puts(&spec, ",{\"name\":\"big\",\"host\":\"busy\",\"size\":1}");
    strbuf_puts(&spec, "]}");
    SUBMIT(&h, id, strbuf_text(&spec));
    hall_until_ran(&h, "first", 1);
    SUBMIT(&h, id, "{\"steps\":[{\"name\":\"small\",\"host\":\"busy\",\"size\":5}]}");
    while (!hall_state_is(&h, id, "running"))
        ;
    board_release("first");
    hall_until(&h, all_done, &h);
    assert_true(ran_at("small") <= 3);
    strbuf_free(&spec);
    hall_end(&h);
}

static void test_host_pauses(void **state)
{
    struct hall h;
    struct toll toll = {.host = "paused", .capacity = 9, .closed_until_ms = clock_ms() + 50};
    char id[32];
    (void)state;
    begin_with_toll(&h, &toll);
    SUBMIT(&h, id,
           "{\"steps\":[{\"name\":\"a\",\"host\":\"paused\"},{\"name\":\"b\",\"host\":\"paused\"},{\"name\":"
           "\"c\"}]}");
    hall_expect(&h, id, "succeeded", NULL);
    assert_true(clock_ms() >= toll.closed_until_ms);
    assert_int_equal(toll.entered, 2);
    hall_end(&h);
}

// A step that asks two hosts enters both or none, and what was not used teaches the governor nothing.
static void test_two_hosts(void **state)
{
    struct hall h;
    struct toll toll = {.host = "first", .capacity = 1};
    char id[32];
    (void)state;
    begin_with_toll(&h, &toll);
    SUBMIT(&h, id,
           "{\"steps\":[{\"name\":\"a\",\"host\":\"open\",\"host2\":\"first\",\"hold\":true},"
           "{\"name\":\"b\",\"host\":\"open\",\"host2\":\"first\",\"fail\":\"internal\"}]}");
    hall_until_ran(&h, "a", 1);
    board_release("a");
    hall_expect(&h, id, "failed", "internal");
    assert_int_equal(toll.inside, 0);
    assert_int_equal(toll.left_well, 1);
    assert_int_equal(toll.left_unused, 1); // the failure names no host of the two
    assert_int_equal(toll.left_badly, 0);
    SUBMIT(&h, id, "{\"steps\":[{\"name\":\"c\",\"host\":\"first\",\"fail\":\"internal\"}]}");
    hall_expect(&h, id, "failed", "internal");
    assert_int_equal(toll.left_badly, 1);
    hall_end(&h);
}

// A host that is asked on the side is entered if it is open, and else it holds nothing up; its step teaches
// nothing about it.
static void test_host_on_the_side(void **state)
{
    struct hall h;
    struct toll toll = {.host = "busy", .capacity = 1};
    char id[32], other[32];
    (void)state;
    begin_with_toll(&h, &toll);
    SUBMIT(&h, id, "{\"steps\":[{\"name\":\"first\",\"hold\":true,\"side\":\"busy\"}]}");
    hall_until_ran(&h, "first", 1);
    assert_int_equal(toll.entered, 1);
    SUBMIT(&h, other, "{\"steps\":[{\"name\":\"second\",\"side\":\"busy\"}]}");
    hall_expect(&h, other, "succeeded", NULL);
    assert_int_equal(toll.refused, 1);
    SUBMIT(&h, other, "{\"steps\":[{\"name\":\"third\",\"host\":\"busy\"}]}");
    while (toll.refused < 2)
        hall_until_ran(&h, "first", 1);
    board_release("first");
    hall_expect(&h, id, "succeeded", NULL);
    hall_expect(&h, other, "succeeded", NULL);
    assert_int_equal(toll.entered, 2);
    assert_int_equal(toll.left_unused, 1);
    assert_int_equal(toll.left_well, 1);
    assert_int_equal(toll.inside, 0);
    hall_end(&h);
}

// Who is cancelled while waiting for a host gives his turn to others.
static void test_cancel_at_the_gate(void **state)
{
    struct hall h;
    struct toll toll = {.host = "busy", .capacity = 1};
    char ids[3][32];
    (void)state;
    begin_with_toll(&h, &toll);
    SUBMIT(&h, ids[0], "{\"steps\":[{\"name\":\"first\",\"hold\":true,\"host\":\"busy\"}]}");
    hall_until_ran(&h, "first", 1);
    SUBMIT(&h, ids[1], "{\"steps\":[{\"name\":\"second\",\"host\":\"busy\"}]}");
    SUBMIT(&h, ids[2], "{\"steps\":[{\"name\":\"third\",\"host\":\"busy\"}]}");
    while (!hall_state_is(&h, ids[2], "running"))
        ;
    hall_cancel(&h, ids[1]);
    hall_expect(&h, ids[1], "cancelled", "cancelled");
    board_release("first");
    hall_expect(&h, ids[2], "succeeded", NULL);
    assert_int_equal(board_ran("second"), 0);
    hall_end(&h);
}

// Jobs that wait for a host that is down leave their turn to others.
static void test_stalled_jobs_do_not_count(void **state)
{
    struct hall h;
    struct toll toll = {.host = "down", .capacity = 9, .closed_until_ms = clock_ms() + 3600000};
    char ids[3][32], other[32];
    (void)state;
    hall_init(&h);
    h.options.max_running = 2;
    h.options.gate = (struct engine_gate){.arg = &toll, .enter = toll_enter, .leave = toll_leave};
    hall_open(&h);
    for (int i = 0; i < 3; i++)
        SUBMIT(
            &h, ids[i],
            "{\"steps\":[{\"name\":\"s\",\"host\":\"down\"},{\"name\":\"t\",\"size\":1,\"host\":\"down\"}]}");
    SUBMIT(&h, other, "{\"steps\":[{\"name\":\"o\",\"then\":[{\"name\":\"p\"}]}]}");
    hall_expect(&h, other, "succeeded", NULL);
    for (int i = 0; i < 3; i++)
        hall_cancel(&h, ids[i]);
    for (int i = 0; i < 3; i++)
        hall_expect(&h, ids[i], "cancelled", "cancelled");
    hall_end(&h);
}

HALL_MAIN(cmocka_unit_test(test_jobs_by_priority_and_caller), cmocka_unit_test(test_queue_position),
          cmocka_unit_test(test_jobs_take_turns), cmocka_unit_test(test_steps_by_priority),
          cmocka_unit_test(test_small_steps_first), cmocka_unit_test(test_most_at_once),
          cmocka_unit_test(test_never_more_than_workers), cmocka_unit_test(test_host_is_full),
          cmocka_unit_test(test_turns_at_a_host), cmocka_unit_test(test_host_pauses),
          cmocka_unit_test(test_two_hosts), cmocka_unit_test(test_host_on_the_side), cmocka_unit_test(test_cancel_at_the_gate),
          cmocka_unit_test(test_stalled_jobs_do_not_count))
