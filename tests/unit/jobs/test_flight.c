// SPDX-License-Identifier: Apache-2.0
//
// The same work wanted by several jobs is done once.
#include "jobs/hall.h"

static void begin(struct hall *h)
{
    hall_init(h);
    h->options.max_steps_per_job = 8;
    hall_open(h);
}

static int how_joined(struct hall *h, const char *id)
{
    AUTO_JSON json_t *events = hall_events(h, id);
    events_check(events, 1, true);
    int joined = 0;
    size_t i;
    json_t *event;
    json_array_foreach(events, i, event)
        if (json_get_bool(event, "joined", false))
            joined++;
    return joined;
}

static void wait_running(struct hall *h, const char *id)
{
    while (!hall_state_is(h, id, "running"))
        ;
}

static void test_one_runs_the_others_join(void **state)
{
    struct hall h;
    char ids[5][32];
    int joined = 0;
    (void)state;
    begin(&h);
    for (int i = 0; i < 5; i++)
        SUBMIT(&h, ids[i], "{\"steps\":[{\"name\":\"blob\",\"key\":\"k\",\"hold\":true}]}");
    for (int i = 0; i < 5; i++)
        wait_running(&h, ids[i]);
    hall_until_ran(&h, "blob", 1);
    board_release(NULL);
    for (int i = 0; i < 5; i++) {
        hall_expect(&h, ids[i], "succeeded", NULL);
        joined += how_joined(&h, ids[i]);
    }
    assert_int_equal(board_ran("blob"), 1);
    assert_int_equal(joined, 4);
    hall_end(&h);
}

// The turn is the other job's, for its priority; the work is the first one's.
static void test_who_asked_first_leads(void **state)
{
    struct hall h;
    char busy[32], first[32], second[32];
    (void)state;
    hall_init(&h);
    h.options.workers = 1;
    hall_open(&h);
    SUBMIT(&h, busy, "{\"steps\":[{\"name\":\"busy\",\"hold\":true}]}");
    hall_until_ran(&h, "busy", 1);
    SUBMIT(&h, first, "{\"steps\":[{\"name\":\"first\",\"key\":\"k\"}]}");
    wait_running(&h, first);
    SUBMIT(&h, second, "{\"steps\":[{\"name\":\"second\",\"key\":\"k\"}]}", .priority = 9);
    wait_running(&h, second);
    board_release(NULL);
    hall_expect(&h, second, "succeeded", NULL);
    hall_expect(&h, first, "succeeded", NULL);
    assert_int_equal(board_ran("first"), 1);
    assert_int_equal(board_ran("second"), 0);
    assert_int_equal(how_joined(&h, second), 1);
    hall_end(&h);
}

// A job that runs as many steps as it may keeps nobody from doing the work.
static void test_first_is_at_its_limit(void **state)
{
    struct hall h;
    char first[32], second[32];
    (void)state;
    hall_init(&h);
    h.options.workers = 4;
    h.options.max_steps_per_job = 1;
    hall_open(&h);
    SUBMIT(&h, first,
           "{\"steps\":[{\"name\":\"small\",\"size\":1,\"hold\":true},"
           "{\"name\":\"first\",\"size\":2,\"key\":\"k\"}]}");
    hall_until_ran(&h, "small", 1);
    SUBMIT(&h, second, "{\"steps\":[{\"name\":\"second\",\"key\":\"k\"}]}");
    hall_expect(&h, second, "succeeded", NULL);
    board_release(NULL);
    hall_expect(&h, first, "succeeded", NULL);
    assert_int_equal(board_ran("second"), 1);
    hall_end(&h);
}

static void test_within_one_job(void **state)
{
    struct hall h;
    char id[32];
    (void)state;
    begin(&h);
    SUBMIT(&h, id,
           "{\"steps\":[{\"name\":\"a\",\"key\":\"k\"},{\"name\":\"a\",\"key\":\"k\"},{\"name\":\"b\","
           "\"key\":\"l\"}]}");
    hall_expect(&h, id, "succeeded", NULL);
    assert_int_equal(board_ran("a"), 1);
    assert_int_equal(board_ran("b"), 1);
    assert_int_equal(how_joined(&h, id), 1);
    hall_end(&h);
}

static void test_leader_fails(void **state)
{
    struct hall h;
    char bad[32], good[32];
    (void)state;
    begin(&h);
    SUBMIT(&h, bad,
           "{\"steps\":[{\"name\":\"bad\",\"key\":\"k\",\"hold\":true,\"fail\":\"registry-denied\"}]}");
    hall_until_ran(&h, "bad", 1);
    SUBMIT(&h, good, "{\"steps\":[{\"name\":\"good\",\"key\":\"k\"}]}");
    wait_running(&h, good);
    board_release(NULL);
    hall_expect(&h, bad, "failed", "registry-denied");
    hall_expect(&h, good, "succeeded", NULL); // it did the work itself
    assert_int_equal(board_ran("good"), 1);
    assert_int_equal(how_joined(&h, good), 0);
    hall_end(&h);
}

static void test_leader_is_cancelled(void **state)
{
    struct hall h;
    char ids[3][32];
    (void)state;
    begin(&h);
    for (int i = 0; i < 3; i++) {
        SUBMIT(&h, ids[i], "{\"steps\":[{\"name\":\"blob\",\"key\":\"k\",\"hold\":true}]}");
        wait_running(&h, ids[i]);
    }
    hall_until_ran(&h, "blob", 1);
    hall_cancel(&h, ids[0]);
    hall_expect(&h, ids[0], "cancelled", "cancelled");
    hall_until_ran(&h, "blob", 2);
    board_release(NULL);
    hall_expect(&h, ids[1], "succeeded", NULL);
    hall_expect(&h, ids[2], "succeeded", NULL);
    assert_int_equal(board_ran("blob"), 2);
    assert_int_equal(how_joined(&h, ids[1]) + how_joined(&h, ids[2]), 1);
    hall_end(&h);
}

// A leader that waits for its next attempt keeps leading; when its job is cancelled then, another one leads.
static bool long_retry(void *arg, int attempt, const struct error *err, int64_t *ret_delay_ms, int *ret_max)
{
    (void)arg, (void)attempt, (void)err;
    *ret_delay_ms = 600000;
    *ret_max = 2;
    return true;
}

// … unless it lets them go on.
static void test_leader_parts_while_it_waits(void **state)
{
    struct hall h;
    char ids[3][32];
    (void)state;
    hall_init(&h);
    h.options.retry = long_retry;
    hall_open(&h);
    SUBMIT(&h, ids[0],
           "{\"steps\":[{\"name\":\"a\",\"key\":\"k\",\"hold\":true,\"fail\":\"registry-unreachable\","
           "\"parts\":true}]}");
    hall_until_ran(&h, "a", 1);
    for (int i = 1; i < 3; i++) {
        SUBMIT(&h, ids[i], "{\"steps\":[{\"name\":\"b\",\"key\":\"k\"}]}");
        wait_running(&h, ids[i]);
    }
    assert_int_equal(board_ran("b"), 0);
    board_release(NULL);
    for (int i = 1; i < 3; i++)
        hall_expect(&h, ids[i], "succeeded", NULL);
    assert_int_equal(board_ran("a"), 1);
    assert_int_equal(board_ran("b"), 1);
    hall_cancel(&h, ids[0]);
    hall_expect(&h, ids[0], "cancelled", "cancelled");
    hall_end(&h);
}

static void test_leader_is_cancelled_while_it_waits(void **state)
{
    struct hall h;
    char ids[2][32];
    struct hall_reader r;
    (void)state;
    hall_init(&h);
    h.options.retry = long_retry;
    hall_open(&h);
    SUBMIT(&h, ids[0],
           "{\"steps\":[{\"name\":\"a\",\"key\":\"k\",\"hold\":true,\"fail\":\"registry-unreachable\"}]}");
    hall_until_ran(&h, "a", 1);
    SUBMIT(&h, ids[1], "{\"steps\":[{\"name\":\"b\",\"key\":\"k\"}]}");
    wait_running(&h, ids[1]);
    board_release(NULL);
    reader_open(&h, &r, (struct event_reader_options){.job = ids[0], .follow = true});
    while (events_count(r.events, "retry") == 0) {
        hall_until(&h, hall_flag, &r.awake);
        reader_drain(&r);
    }
    reader_close(&r);
    assert_int_equal(board_ran("b"), 0);
    hall_cancel(&h, ids[0]);
    hall_expect(&h, ids[1], "succeeded", NULL);
    assert_int_equal(board_ran("b"), 1);
    hall_end(&h);
}

static void test_waiter_is_cancelled(void **state)
{
    struct hall h;
    char ids[2][32];
    (void)state;
    begin(&h);
    for (int i = 0; i < 2; i++) {
        SUBMIT(&h, ids[i], "{\"steps\":[{\"name\":\"blob\",\"key\":\"k\",\"hold\":true}]}");
        wait_running(&h, ids[i]);
    }
    hall_until_ran(&h, "blob", 1);
    hall_cancel(&h, ids[1]);
    hall_expect(&h, ids[1], "cancelled", "cancelled");
    board_release(NULL);
    hall_expect(&h, ids[0], "succeeded", NULL);
    assert_int_equal(board_ran("blob"), 1);
    hall_end(&h);
}

// Steps that cannot join run after the one that did the same, never beside it.
static void test_without_joined(void **state)
{
    struct hall h;
    char id[32];
    (void)state;
    begin(&h);
    SUBMIT(&h, id,
           "{\"steps\":[{\"name\":\"a\",\"key\":\"k\",\"no_join\":true},{\"name\":\"a\",\"key\":\"k\",\"no_"
           "join\":true},"
           "{\"name\":\"a\",\"key\":\"k\",\"no_join\":true}]}");
    hall_expect(&h, id, "succeeded", NULL);
    assert_int_equal(board_ran("a"), 3);
    assert_int_equal(board.most_inside, 1);
    hall_end(&h);
}

// Work of another step that only helps: those run after it, and beside each other if their keys part.
static void test_only_helped(void **state)
{
    struct hall h;
    char first[32], others[32];
    (void)state;
    begin(&h);
    SUBMIT(&h, first, "{\"steps\":[{\"name\":\"a\",\"key\":\"k\",\"hold\":true}]}");
    hall_until_ran(&h, "a", 1);
    SUBMIT(&h, others,
           "{\"steps\":[{\"name\":\"b\",\"key\":\"k\",\"only_helps\":true,\"hold\":true},"
           "{\"name\":\"b\",\"key\":\"k\",\"only_helps\":true,\"hold\":true},"
           "{\"name\":\"c\",\"key\":\"k\"}]}");
    wait_running(&h, others);
    assert_int_equal(board_ran("b"), 0);
    board_release("a");
    hall_until_ran(&h, "b", 2); // both are held
    board_release(NULL);
    hall_expect(&h, others, "succeeded", NULL);
    assert_int_equal(board_ran("c"), 0);
    assert_int_equal(how_joined(&h, others), 1);
    hall_end(&h);
}

// Those that wait for a flight hold no worker and count for no limit.
static void test_waiters_hold_no_worker(void **state)
{
    struct hall h;
    char id[32];
    (void)state;
    hall_init(&h);
    h.options.workers = 2;
    h.options.max_steps_per_job = 2;
    hall_open(&h);
    SUBMIT(&h, id,
           "{\"steps\":[{\"name\":\"k\",\"key\":\"k\",\"hold\":true},{\"name\":\"k\",\"key\":\"k\"},"
           "{\"name\":\"k\",\"key\":\"k\"},{\"name\":\"free\",\"size\":99}]}");
    hall_until_ran(&h, "free", 1);
    assert_int_equal(board_ran("k"), 1);
    board_release(NULL);
    hall_expect(&h, id, "succeeded", NULL);
    hall_end(&h);
}

HALL_MAIN(cmocka_unit_test(test_one_runs_the_others_join), cmocka_unit_test(test_who_asked_first_leads),
          cmocka_unit_test(test_first_is_at_its_limit), cmocka_unit_test(test_within_one_job),
          cmocka_unit_test(test_leader_fails), cmocka_unit_test(test_leader_is_cancelled),
          cmocka_unit_test(test_leader_is_cancelled_while_it_waits),
          cmocka_unit_test(test_waiter_is_cancelled), cmocka_unit_test(test_without_joined),
          cmocka_unit_test(test_only_helped),
          cmocka_unit_test(test_leader_parts_while_it_waits),
          cmocka_unit_test(test_waiters_hold_no_worker))
