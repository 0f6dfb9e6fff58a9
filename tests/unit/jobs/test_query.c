// SPDX-License-Identifier: Apache-2.0
//
// Queries: one step on reserved workers, belonging to no job.
#include "jobs/hall.h"

struct asked {
    int told;
    enum error_code code[600];
    char last[64];
};

static void on_query(void *arg, struct step *step, const struct error *err)
{
    struct asked *asked = arg;
    snprintf(asked->last, sizeof asked->last, "%s", step->name);
    asked->code[asked->told++] = err ? err->code : ERR_NONE;
}

static struct step *ask(struct hall *h, const char *spec_text, struct asked *asked)
{
    AUTO_JSON json_t *spec = json_loads(spec_text, 0, NULL);
    struct fake_step *fake = fake_step_new(spec);
    int before = asked->told;
    engine_query(h->engine, &fake->step, on_query, asked);
    assert_int_equal(asked->told, before); // never before it has returned
    return &fake->step;
}

static bool told_one(void *arg)
{
    return ((struct asked *)arg)->told >= 1;
}

static bool told_all(void *arg)
{
    return fake_steps == 0 && ((struct asked *)arg)->told > 0;
}

static void test_answers(void **state)
{
    struct hall h;
    struct asked asked = {0};
    (void)state;
    hall_begin(&h);
    ask(&h, "{\"name\":\"q\",\"events\":3,\"host\":\"h\",\"key\":\"k\"}", &asked);
    hall_until(&h, told_all, &asked);
    assert_int_equal(asked.code[0], ERR_NONE);
    assert_string_equal(asked.last, "q");
    ask(&h, "{\"name\":\"bad\",\"fail\":\"registry-unreachable\"}", &asked);
    hall_until(&h, told_all, &asked);
    assert_int_equal(asked.code[1], ERR_REGISTRY_UNREACHABLE); // queries are not tried again
    assert_int_equal(board_ran("bad"), 1);
    hall_end(&h);
}

// Jobs cannot take the queries' workers, nor queries the jobs'.
static void test_reserved_workers(void **state)
{
    struct hall h;
    struct asked held = {0}, quick = {0};
    char id[32];
    (void)state;
    hall_begin(&h);
    SUBMIT(&h, id,
           "{\"steps\":[{\"name\":\"s\",\"hold\":true},{\"name\":\"s\",\"hold\":true},{\"name\":\"s\","
           "\"hold\":true},"
           "{\"name\":\"s\",\"hold\":true}]}");
    hall_until_ran(&h, "s", 4);
    ask(&h, "{\"name\":\"quick\"}", &quick);
    hall_until(&h, told_one, &quick);
    for (int i = 0; i < 3; i++)
        ask(&h, "{\"name\":\"held\",\"hold\":true}", &held);
    hall_until_ran(&h, "held", 2);
    board_release("s");
    hall_expect(&h, id, "succeeded", NULL);
    SUBMIT(&h, id, "{\"steps\":[{\"name\":\"t\"}]}");
    hall_expect(&h, id, "succeeded", NULL);
    assert_int_equal(board_ran("held"), 2);
    board_release(NULL);
    hall_until(&h, told_all, &held);
    assert_int_equal(held.told, 3);
    hall_end(&h);
}

static void test_cancel(void **state)
{
    struct hall h;
    struct asked held = {0}, waiting = {0};
    (void)state;
    hall_begin(&h);
    ask(&h, "{\"name\":\"held\",\"hold\":true}", &held);
    struct step *runs = ask(&h, "{\"name\":\"held\",\"hold\":true}", &waiting);
    hall_until_ran(&h, "held", 2);
    struct asked third = {0};
    struct step *waits = ask(&h, "{\"name\":\"third\"}", &third);
    atomic_store(&waits->monitor.cancelled, true);
    atomic_store(&runs->monitor.cancelled, true);
    hall_until(&h, told_one, &waiting);
    assert_int_equal(waiting.code[0], ERR_CANCELLED);
    hall_until(&h, told_one, &third);
    assert_int_equal(third.code[0], ERR_CANCELLED);
    assert_int_equal(board_ran("third"), 0);
    hall_end(&h);
    assert_int_equal(held.told, 1);
}

static void test_overload(void **state)
{
    struct hall h;
    struct asked asked = {0};
    int refused = 0;
    (void)state;
    hall_begin(&h);
    for (int i = 0; i < 400; i++)
        ask(&h, "{\"name\":\"q\",\"hold\":true}", &asked);
    board_release(NULL);
    hall_until(&h, told_all, &asked);
    assert_int_equal(asked.told, 400);
    for (int i = 0; i < 400; i++) {
        assert_true(asked.code[i] == ERR_NONE || asked.code[i] == ERR_OVERLOADED);
        refused += asked.code[i] == ERR_OVERLOADED;
    }
    assert_true(refused > 0 && refused < 400);
    hall_end(&h);
}

static bool closed_for_long(void *arg, const char *host, int64_t now_ms, int64_t *ret_retry_at_ms)
{
    (void)arg, (void)host;
    *ret_retry_at_ms = now_ms + 3600000;
    return false;
}

static void no_leave(void *arg, const char *host, int64_t now_ms, const struct error *err)
{
    (void)arg, (void)host, (void)now_ms, (void)err;
}

// A registry that asked for a long pause: nobody waits on the line for that.
static void test_host_pauses_for_long(void **state)
{
    struct hall h;
    struct asked asked = {0};
    (void)state;
    hall_init(&h);
    h.options.gate = (struct engine_gate){.enter = closed_for_long, .leave = no_leave};
    hall_open(&h);
    ask(&h, "{\"name\":\"q\",\"host\":\"h\"}", &asked);
    hall_until(&h, told_all, &asked);
    assert_int_equal(asked.code[0], ERR_REGISTRY_RATE_LIMIT);
    assert_int_equal(board_ran("q"), 0);
    hall_end(&h);
}

static void test_stop_ends_queries(void **state)
{
    struct hall h;
    struct asked asked = {0};
    (void)state;
    hall_begin(&h);
    for (int i = 0; i < 5; i++)
        ask(&h, "{\"name\":\"q\",\"hold\":true}", &asked);
    hall_until_ran(&h, "q", 2);
    hall_close(&h);
    assert_int_equal(asked.told, 5);
    for (int i = 0; i < 5; i++)
        assert_true(asked.code[i] == ERR_CANCELLED || asked.code[i] == ERR_DRAINING);
    hall_remove(&h);
    assert_int_equal(fake_steps, 0);
}

HALL_MAIN(cmocka_unit_test(test_answers), cmocka_unit_test(test_reserved_workers),
          cmocka_unit_test(test_cancel), cmocka_unit_test(test_overload),
          cmocka_unit_test(test_host_pauses_for_long), cmocka_unit_test(test_stop_ends_queries))
