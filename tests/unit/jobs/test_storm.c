// SPDX-License-Identifier: Apache-2.0
//
// Everything at once, from a seed: jobs that fail, retry, join and wait for hosts, cancelled, watched,
// forgotten and drained in between. What must hold in the end: every accepted job is terminal, its log dense
// and closed, and nothing is left.
#include "base/strbuf.h"
#include "jobs/hall.h"

enum { STORM_JOBS = 250, STORM_READERS = 20 };

struct storm {
    struct hall h;
    uint64_t random;
    char ids[STORM_JOBS][32];
    struct hall_answer posts[STORM_JOBS];
    int n_posts;
    struct hall_reader readers[STORM_READERS];
    int inside; // the host
};

static unsigned roll(struct storm *s, unsigned sides)
{
    s->random = s->random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(s->random >> 33) % sides;
}

static bool storm_enter(void *arg, const char *host, int64_t now_ms, int64_t *ret_retry_at_ms)
{
    struct storm *s = arg;
    (void)host;
    if (roll(s, 10) == 0)
        *ret_retry_at_ms = now_ms + roll(s, 5);
    else if (s->inside < 3)
        return s->inside++, true;
    return false;
}

static void storm_leave(void *arg, const char *host, int64_t now_ms, const struct error *err)
{
    struct storm *s = arg;
    (void)host, (void)now_ms, (void)err;
    s->inside--;
    assert_true(s->inside >= 0);
}

static void put_step(struct storm *s, struct strbuf *spec, int depth)
{
    strbuf_printf(spec, "{\"name\":\"s\",\"size\":%u,\"events\":%u", roll(s, 100), roll(s, 4));
    if (roll(s, 3) == 0)
        strbuf_printf(spec, ",\"key\":\"k%u\"", roll(s, 5));
    if (roll(s, 3) == 0)
        strbuf_printf(spec, ",\"no_join\":%s", roll(s, 2) ? "true" : "false");
    if (roll(s, 3) == 0)
        strbuf_printf(spec, ",\"host\":\"h\"");
    if (roll(s, 3) == 0)
        strbuf_printf(spec, ",\"blob\":\"b\",\"moves\":%u", roll(s, 1000));
    if (roll(s, 8) == 0)
        strbuf_printf(spec, ",\"fail\":\"registry-unreachable\",\"times\":%u", roll(s, 5));
    if (roll(s, 30) == 0)
        strbuf_printf(spec, ",\"done_fails\":true");
    if (depth < 2 && roll(s, 3) == 0) {
        strbuf_puts(spec, ",\"then\":[");
        put_step(s, spec, depth + 1);
        strbuf_puts(spec, "]");
    }
    strbuf_puts(spec, "}");
}

static void post(struct storm *s)
{
    struct strbuf spec = STRBUF_INIT(1 << 20);
    char key[16];
    unsigned steps = roll(s, 6);
    strbuf_puts(&spec, "{\"steps\":[");
    for (unsigned i = 0; i < steps; i++) {
        if (i > 0)
            strbuf_putc(&spec, ',');
        put_step(s, &spec, 0);
    }
    strbuf_puts(&spec, "]");
    if (roll(s, 4) == 0)
        strbuf_puts(&spec, ",\"checkpoint\":{\"x\":1}");
    if (roll(s, 20) == 0)
        strbuf_puts(&spec, ",\"fail_advance\":\"partial\"");
    strbuf_puts(&spec, "}");
    snprintf(key, sizeof key, "%u", roll(s, 20));
    AUTO_JSON json_t *auth = roll(s, 5) == 0 ? json_object() : NULL;
    struct engine_submit submit = {
        .priority = (int)roll(s, 3),
        .caller = {.uid = 1 + roll(s, 3)},
        .deadline_ms = roll(s, 10) == 0 ? 1 + (int64_t)roll(s, 40) : 0,
        .attached = roll(s, 10) == 0,
        .idempotency_key = roll(s, 10) == 0 ? key : NULL,
        .fingerprint = roll(s, 2) ? "a" : "b",
        .auth = auth,
    };
    hall_post(&s->h, strbuf_text(&spec), submit, &s->posts[s->n_posts++]);
    strbuf_free(&spec);
}

static const char *any_id(struct storm *s)
{
    const struct hall_answer *a = &s->posts[roll(s, (unsigned)s->n_posts)];
    return a->told && a->code == ERR_NONE ? a->id : NULL;
}

static void ignore_value(void *arg, json_t *value, const struct error *err)
{
    (void)arg, (void)err;
    json_decref(value);
}

static void ignore_cancel(void *arg, json_t *value, bool began, const struct error *err)
{
    (void)began;
    ignore_value(arg, value, err);
}

static void watch(struct storm *s, const char *id)
{
    struct hall_reader *r = &s->readers[roll(s, STORM_READERS)];
    if (r->events && !r->told)
        return; // still opening
    reader_close(r);
    *r = (struct hall_reader){.events = json_array()};
    struct event_reader_options options = {
        .job = roll(s, 4) ? id : NULL, .follow = roll(s, 2) == 0, .after = -1, .wake = on_wake, .arg = r};
    event_reader_open(s->h.engine, &options, &hall_admin, on_ready, r);
}

static void act(struct storm *s)
{
    if (s->n_posts < STORM_JOBS && roll(s, 2) == 0)
        post(s);
    const char *id = s->n_posts > 0 ? any_id(s) : NULL;
    unsigned what = roll(s, 12);
    if (id && what == 0)
        engine_cancel(s->h.engine, id, &hall_admin, ignore_cancel, NULL);
    else if (id && what <= 3)
        watch(s, id);
    else if (id && what == 4)
        engine_wait_start(s->h.engine, id, &hall_admin, 1 + roll(s, 20), ignore_value, NULL);
    else if (id && what == 5)
        engine_get(s->h.engine, id, &hall_admin, ignore_value, NULL);
    struct hall_reader *r = &s->readers[roll(s, STORM_READERS)];
    if (r->reader && r->awake)
        reader_drain(r);
}

static bool blow(void *arg)
{
    struct storm *s = arg;
    for (int i = 0; i < 3; i++)
        act(s);
    if (s->n_posts < STORM_JOBS)
        return false;
    for (int i = 0; i < s->n_posts; i++)
        if (!s->posts[i].told)
            return false;
    return true;
}

static void check(struct storm *s)
{
    for (int i = 0; i < s->n_posts; i++) {
        if (s->posts[i].code != ERR_NONE) {
            assert_int_equal(s->posts[i].code, ERR_IDEMPOTENCY);
            continue;
        }
        AUTO_JSON json_t *job = hall_finish(&s->h, s->posts[i].id);
        AUTO_JSON json_t *events = hall_events(&s->h, s->posts[i].id);
        events_check(events, 1, true);
        const json_t *finished = events_find(events, "job.finished");
        assert_string_equal(json_get_string(finished, "state"), json_get_string(job, "state"));
        if (json_get_int(job, "attempt", 0) == 1) // an attempt that was cut leaves steps open
            assert_int_equal(events_count(events, "step.started"), events_count(events, "step.finished"));
    }
}

static void close_readers(struct storm *s)
{
    for (int i = 0; i < STORM_READERS; i++) {
        if (s->readers[i].events)
            hall_until(&s->h, hall_flag, &s->readers[i].told);
        reader_close(&s->readers[i]);
    }
}

static void storm(uint64_t seed, size_t kept_jobs)
{
    struct storm *s = mem_new(struct storm);
    struct engine_stats stats;
    s->random = seed;
    hall_init(&s->h);
    s->h.options.kept_jobs = kept_jobs;
    s->h.options.max_running = 12;
    s->h.options.progress_ms = 1;
    s->h.options.attached_grace_ms = 20;
    s->h.options.gate = (struct engine_gate){.arg = s, .enter = storm_enter, .leave = storm_leave};
    hall_open(&s->h);
    hall_until(&s->h, blow, s);
    check(s);
    close_readers(s);
    engine_stats(s->h.engine, &stats);
    assert_int_equal(stats.running, 0);
    assert_int_equal(stats.queued, 0);
    assert_int_equal(stats.workers_busy, 0);
    assert_int_equal(fake_plans, 0);
    assert_int_equal(fake_steps, 0);
    assert_int_equal(s->inside, 0);
    hall_end(&s->h);
    free(s);
}

static void test_storm(void **state)
{
    const char *seed = getenv("STORM_SEED");
    (void)state;
    for (uint64_t i = 1; i <= 4; i++)
        storm(seed ? strtoull(seed, NULL, 10) + i : i, i % 2 ? 1000 : 5);
}

// Stopped in the middle: nothing is lost, and the next start brings all to their ends.
static void test_storm_with_a_stop(void **state)
{
    struct storm *s = mem_new(struct storm);
    (void)state;
    s->random = 99;
    hall_init(&s->h);
    s->h.options.gate = (struct engine_gate){.arg = s, .enter = storm_enter, .leave = storm_leave};
    hall_open(&s->h);
    hall_until(&s->h, blow, s);
    close_readers(s);
    hall_reopen(&s->h);
    s->inside = 0;
    check(s);
    hall_end(&s->h);
    free(s);
}

HALL_MAIN(cmocka_unit_test(test_storm), cmocka_unit_test(test_storm_with_a_stop))
