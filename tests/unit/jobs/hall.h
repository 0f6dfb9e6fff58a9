// SPDX-License-Identifier: Apache-2.0
//
// An engine over a real store in a directory of its own, with kinds of job that do as their spec says:
// {"steps": [{"name", "hold", "fail", "times", "events", "key", "host", "size", "blob", "then", …}]}. A step
// that holds waits until the test lets it go, so nothing here depends on time.
#pragma once

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/seal.h"
#include "base/str.h"
#include "jobs/engine.h"
#include "store/store.h"

enum { HALL_NAMES = 4096, HALL_PATIENCE_MS = 60000 };

// Shared with the workers: what ran, in order, and who may go on.
struct hall_board {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char *ran[HALL_NAMES]; // names of the runs begun
    int n_ran, n_inside, most_inside;
    char *released[HALL_NAMES];
    int n_released;
    bool all_released;
};

struct hall {
    char directory[64];
    struct loop *loop;
    struct mailbox *mailbox;
    struct seal *seal;
    struct store *store;
    struct engine *engine;
    struct engine_options options;
    struct engine_caller caller; // used when none is given
    struct loop_prepare *prepare;
    struct loop_timer *poll, *patience;
    bool (*until)(void *arg);
    void *until_arg;
    bool met;
};

static struct hall_board board = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

// --- the board

static inline void board_clear(void)
{
    for (int i = 0; i < board.n_ran; i++)
        free(board.ran[i]);
    for (int i = 0; i < board.n_released; i++)
        free(board.released[i]);
    board.n_ran = board.n_inside = board.most_inside = board.n_released = 0;
    board.all_released = false;
}

static inline void board_release(const char *name) // NULL: everybody, from now on
{
    pthread_mutex_lock(&board.lock);
    if (name)
        board.released[board.n_released++] = mem_strdup(name);
    else
        board.all_released = true;
    pthread_cond_broadcast(&board.changed);
    pthread_mutex_unlock(&board.lock);
}

static inline bool board_is_released(const char *name) // locked
{
    if (board.all_released)
        return true;
    for (int i = 0; i < board.n_released; i++)
        if (strcmp(board.released[i], name) == 0)
            return true;
    return false;
}

static inline int board_ran(const char *name) // NULL: all
{
    int count = 0;
    pthread_mutex_lock(&board.lock);
    for (int i = 0; i < board.n_ran; i++)
        if (!name || strcmp(board.ran[i], name) == 0)
            count++;
    pthread_mutex_unlock(&board.lock);
    return count;
}

// --- the fake kind

struct fake_plan;

struct fake_step {
    struct step step;
    struct fake_plan *plan;
    char *name;
    char *fail; // wire code
    int times;  // runs that fail; 0: all
    int events; // emitted while it runs
    bool hold;
    bool deaf; // does not look at the cancel flag
    bool done_fails;
    bool only_helps;
    bool parts;
    bool dispensable; // the plan goes on without it
    bool no_join;
    int64_t moves; // bytes it reports
    json_t *then;  // steps to submit when it is done
};

struct fake_plan {
    struct job *job;
    int advanced, joined, done;
    json_t *spec;
};

static int fake_plans; // alive
static int fake_steps;
static int fake_advances;    // of all plans
static char *fake_auth_seen; // of the last start that had some
static char *fake_checkpoint_seen;
static struct fake_plan *fake_last_plan;

static inline void fake_submit(struct fake_plan *plan, const json_t *steps);

static inline int fake_hold(struct fake_step *fake, struct error *err)
{
    int result = 0;
    pthread_mutex_lock(&board.lock);
    while (result == 0 && !board_is_released(fake->name)) {
        struct timespec soon;
        clock_gettime(CLOCK_REALTIME, &soon);
        soon.tv_nsec += 5000000;
        if (soon.tv_nsec >= 1000000000) {
            soon.tv_nsec -= 1000000000;
            soon.tv_sec++;
        }
        pthread_cond_timedwait(&board.changed, &board.lock, &soon);
        pthread_mutex_unlock(&board.lock);
        result = fake->deaf ? 0 : monitor_check(&fake->step.monitor, err);
        pthread_mutex_lock(&board.lock);
    }
    pthread_mutex_unlock(&board.lock);
    return result;
}

static inline int fake_work(struct fake_step *fake, struct error *err)
{
    for (int i = 0; i < fake->events; i++)
        step_event(&fake->step, "log", json_pack("{s:s, s:i}", "message", fake->name, "n", i));
    if (fake->moves > 0) {
        atomic_store(&fake->step.monitor.total, fake->moves);
        atomic_store(&fake->step.monitor.current, fake->moves / 2);
        atomic_fetch_add(&fake->step.monitor.bytes_sent, fake->moves);
        atomic_fetch_add(&fake->step.monitor.requests, 2);
        step_event(&fake->step, "blob.state",
                   json_pack("{s:s, s:s}", "blob", fake->step.blob, "state", "uploading"));
    }
    if (fake->hold && fake_hold(fake, err) < 0)
        return -1;
    if (!fake->fail || (fake->times > 0 && fake->step.attempt > fake->times))
        return 0;
    error_set(err, error_from_wire(fake->fail), "%s failed as it was told", fake->name);
    return -1;
}

static inline int fake_run(struct step *step, struct error *err)
{
    struct fake_step *fake = container_of(step, struct fake_step, step);
    pthread_mutex_lock(&board.lock);
    if (board.n_ran < HALL_NAMES)
        board.ran[board.n_ran++] = mem_strdup(fake->name);
    if (++board.n_inside > board.most_inside)
        board.most_inside = board.n_inside;
    pthread_mutex_unlock(&board.lock);
    int result = fake_work(fake, err);
    pthread_mutex_lock(&board.lock);
    board.n_inside--;
    pthread_mutex_unlock(&board.lock);
    return result;
}

static inline int fake_done(struct step *step, struct job *job, struct error *err)
{
    struct fake_step *fake = container_of(step, struct fake_step, step);
    fake->plan->done++;
    job_progress_get(job)->bytes_done += step->size_hint;
    if (fake->then)
        fake_submit(fake->plan, fake->then);
    return fake->done_fails ? error_set(err, ERR_DIGEST_MISMATCH, "%s does not fit", fake->name) : 0;
}

static inline int fake_joined(struct step *step, struct step *other, struct job *job, struct error *err)
{
    struct fake_step *fake = container_of(step, struct fake_step, step);
    (void)err;
    assert_non_null(other->name);
    fake->plan->joined++;
    job_event(job, "blob.state",
              json_pack("{s:s, s:s, s:s}", "blob", step->blob ? step->blob : fake->name, "state", "joined",
                        "from", other->name));
    return 0;
}

// "only_helps": what another one did serves this one as a start.
static inline bool fake_joins(struct step *step, const struct step *other)
{
    const struct fake_step *fake = container_of(step, struct fake_step, step);
    assert_string_equal(step->flight_key, other->flight_key);
    if (!fake->only_helps)
        return true;
    free(step->flight_key);
    step->flight_key = NULL;
    return false;
}

static inline bool fake_parts(struct step *step)
{
    return container_of(step, struct fake_step, step)->parts;
}

static inline int fake_failed(struct step *step, struct job *job, const struct error *err)
{
    struct fake_step *fake = container_of(step, struct fake_step, step);
    if (!fake->dispensable)
        return -1;
    job_warning(job, error_wire(err->code), "%s is left out", fake->name);
    return 0;
}

static inline void fake_step_free(struct step *step)
{
    struct fake_step *fake = container_of(step, struct fake_step, step);
    fake_steps--;
    free(fake->name);
    free(fake->fail);
    json_decref(fake->then);
    free(fake);
}

static const struct step_ops fake_step_ops = {
    .run = fake_run, .done = fake_done, .joined = fake_joined, .joins = fake_joins, .parts = fake_parts, .free = fake_step_free,
    .failed = fake_failed};
static const struct step_ops fake_alone_ops = {.run = fake_run, .done = fake_done, .free = fake_step_free};

static inline struct fake_step *fake_step_new(const json_t *spec)
{
    struct fake_step *fake = mem_new(struct fake_step);
    const char *name = json_get_string(spec, "name");
    bool alone = json_get_bool(spec, "no_join", false);
    step_init(&fake->step, alone ? &fake_alone_ops : &fake_step_ops, name, json_get_string(spec, "blob"));
    fake->name = mem_strdup(name);
    fake->fail = mem_strdup_null(json_get_string(spec, "fail"));
    fake->times = (int)json_get_int(spec, "times", 0);
    fake->events = (int)json_get_int(spec, "events", 0);
    fake->hold = json_get_bool(spec, "hold", false);
    fake->deaf = json_get_bool(spec, "deaf", false);
    fake->dispensable = json_get_bool(spec, "dispensable", false);
    fake->parts = json_get_bool(spec, "parts", false);
    fake->only_helps = json_get_bool(spec, "only_helps", false);
    fake->done_fails = json_get_bool(spec, "done_fails", false);
    fake->moves = json_get_int(spec, "moves", 0);
    fake->then = json_incref(json_object_get(spec, "then"));
    fake->step.size_hint = json_get_int(spec, "size", 0);
    fake->step.flight_key = mem_strdup_null(json_get_string(spec, "key"));
    fake->step.hosts[0] = mem_strdup_null(json_get_string(spec, "host"));
    fake->step.hosts[1] = mem_strdup_null(json_get_string(spec, "host2"));
    fake->step.side_host = mem_strdup_null(json_get_string(spec, "side"));
    fake_steps++;
    return fake;
}

static inline void fake_submit(struct fake_plan *plan, const json_t *steps)
{
    size_t i;
    json_t *spec;
    json_array_foreach(steps, i, spec) {
        struct fake_step *fake = fake_step_new(spec);
        fake->plan = plan;
        job_submit_step(plan->job, &fake->step);
    }
}

static inline void fake_see(char **seen, const json_t *value)
{
    if (!value)
        return;
    free(*seen);
    *seen = json_text(value);
}

static inline int fake_start(struct job *job, const json_t *spec, const json_t *auth,
                             const json_t *checkpoint, void **ret_plan, struct error *err)
{
    const char *fail = json_get_string(spec, "fail_start");
    fake_see(&fake_auth_seen, auth);
    fake_see(&fake_checkpoint_seen, checkpoint);
    if (fail)
        return error_set(err, error_from_wire(fail), "the plan was told to fail");
    struct fake_plan *plan = mem_new(struct fake_plan);
    plan->job = job;
    plan->spec = json_incref((json_t *)spec);
    fake_plans++;
    fake_last_plan = plan;
    *ret_plan = plan;
    job_progress_get(job)->bytes_total = json_get_int(spec, "bytes_total", 0);
    if (json_get_bool(spec, "holds", false))
        job_hold(job);
    if (!checkpoint && json_object_get(spec, "checkpoint"))
        job_checkpoint(job, json_incref(json_object_get(spec, "checkpoint")));
    if (json_get_bool(spec, "warns", false))
        job_warning(job, "careful", "mind the %s", "gap");
    fake_submit(plan, json_object_get(spec, "steps"));
    return 0;
}

static inline int fake_advance(struct job *job, void *arg, struct error *err)
{
    struct fake_plan *plan = arg;
    (void)job;
    plan->advanced++;
    fake_advances++;
    const char *fail = json_get_string(plan->spec, "fail_advance");
    return fail ? error_set(err, error_from_wire(fail), "advance was told to fail") : 0;
}

static inline json_t *fake_result(struct job *job, void *arg)
{
    struct fake_plan *plan = arg;
    return json_pack("{s:s, s:i, s:i}", "made_by", job_id(job), "done", plan->done, "joined", plan->joined);
}

static inline void fake_free(void *arg)
{
    struct fake_plan *plan = arg;
    fake_plans--;
    json_decref(plan->spec);
    free(plan);
}

static bool fake_complete(const void *arg)
{
    return !json_get_bool(((const struct fake_plan *)arg)->spec, "stands_still", false);
}

static const struct job_ops fake_ops = {.kind = "fake",
                                        .start = fake_start,
                                        .advance = fake_advance,
                                        .result = fake_result,
                                        .free = fake_free,
                                        .complete = fake_complete};
static const struct job_ops *const fake_kinds[] = {&fake_ops, NULL};

// --- life

static inline bool hall_retry(void *arg, int attempt, const struct error *err, int64_t *ret_delay_ms,
                              int *ret_max)
{
    (void)arg, (void)err;
    *ret_delay_ms = 1;
    *ret_max = 4;
    return attempt < 4;
}

static inline void hall_open(struct hall *h)
{
    struct error err = ERROR_INIT;
    h->loop = loop_new(&err);
    h->mailbox = mailbox_new(h->loop, &err);
    h->seal = seal_open(h->directory, &err);
    if (!h->seal)
        fail_msg("seal: %s", err.detail);
    h->store = store_open(h->directory, h->mailbox, &err);
    if (!h->store)
        fail_msg("store: %s", err.detail);
    h->options.loop = h->loop;
    h->options.mailbox = h->mailbox;
    h->options.store = h->store;
    h->options.seal = h->seal;
    h->engine = engine_new(&h->options, &err);
    if (!h->engine || engine_start(h->engine, &err) < 0)
        fail_msg("engine: %s", err.detail);
}

static inline void hall_defaults(struct hall *h)
{
    *h = (struct hall){.caller = {.uid = 1000}};
    board_clear();
    h->options = (struct engine_options){
        .workers = 4,
        .query_workers = 2,
        .max_queued = 1000,
        .max_queued_per_caller = 1000,
        .max_running = 16,
        .max_steps_per_job = 4,
        .kept_jobs = 1000,
        .progress_ms = 5,
        .heartbeat_ms = 10000,
        .attached_grace_ms = 30000,
        .retry = hall_retry,
        .kinds = fake_kinds,
    };
}

static inline void hall_init(struct hall *h)
{
    hall_defaults(h);
    snprintf(h->directory, sizeof h->directory, "/tmp/dray-jobs-XXXXXX");
    assert_non_null(mkdtemp(h->directory));
}

static inline void hall_close(struct hall *h)
{
    engine_stop(h->engine);
    store_close(h->store);
    engine_free(h->engine);
    seal_free(h->seal);
    mailbox_free(h->mailbox);
    loop_free(h->loop);
}

static inline void hall_remove(struct hall *h)
{
    struct error err = ERROR_INIT;
    int parent = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    file_remove_tree(parent, strrchr(h->directory, '/') + 1, &err);
    close(parent);
    error_clear(&err);
    free(mem_take(fake_auth_seen));
    free(mem_take(fake_checkpoint_seen));
}

// The usual frame of a test: HALL(h) { … } is not worth a macro; call these two.
static inline void hall_begin(struct hall *h)
{
    hall_init(h);
    hall_open(h);
}

static inline void hall_end(struct hall *h)
{
    board_release(NULL);
    hall_close(h);
    hall_remove(h);
    board_clear();
    assert_int_equal(fake_plans, 0);
    assert_int_equal(fake_steps, 0);
}

static inline void hall_reopen(struct hall *h)
{
    board_release(NULL);
    hall_close(h);
    board_clear();
    hall_open(h);
}

// --- running the loop

static inline void hall_look(void *arg)
{
    struct hall *h = arg;
    if (!h->met && h->until(h->until_arg)) {
        h->met = true;
        loop_stop(h->loop);
    }
}

static inline void hall_poll(void *arg) // what workers do wakes nobody
{
    struct hall *h = arg;
    hall_look(h);
    loop_timer_start(h->poll, 2);
}

static inline void hall_impatient(void *arg)
{
    struct hall *h = arg;
    loop_stop(h->loop);
}

static inline void hall_until(struct hall *h, bool (*until)(void *arg), void *arg)
{
    h->until = until;
    h->until_arg = arg;
    h->met = false;
    h->prepare = loop_prepare_new(h->loop, hall_look, h);
    h->poll = loop_timer_new(h->loop, hall_poll, h);
    h->patience = loop_timer_new(h->loop, hall_impatient, h);
    loop_timer_start(h->poll, 2);
    loop_timer_start(h->patience, HALL_PATIENCE_MS);
    loop_run(h->loop);
    loop_prepare_free(h->prepare);
    loop_timer_free(h->poll);
    loop_timer_free(h->patience);
    if (!h->met)
        fail_msg("what the test waits for did not happen");
}

static inline bool hall_flag(void *arg)
{
    return *(bool *)arg;
}

struct hall_run {
    const char *name;
    int count;
};

static inline bool hall_has_run(void *arg)
{
    const struct hall_run *run = arg;
    return board_ran(run->name) >= run->count;
}

static inline void hall_until_ran(struct hall *h, const char *name, int count)
{
    struct hall_run run = {name, count};
    hall_until(h, hall_has_run, &run);
}

// --- asking

struct hall_answer {
    bool told;
    char id[32];
    bool replayed, began;
    enum error_code code;
    json_t *value;
};

static inline void answer_clear(struct hall_answer *a)
{
    json_decref(a->value);
    *a = (struct hall_answer){0};
}

static inline void on_job(void *arg, struct job *job, bool replayed, const struct error *err)
{
    struct hall_answer *a = arg;
    assert_false(a->told);
    assert_true((job != NULL) == (err == NULL));
    a->told = true;
    a->replayed = replayed;
    a->code = err ? err->code : ERR_NONE;
    if (job)
        snprintf(a->id, sizeof a->id, "%s", job_id(job));
}

static inline void on_value(void *arg, json_t *value, const struct error *err)
{
    struct hall_answer *a = arg;
    assert_false(a->told);
    a->told = true;
    a->code = err ? err->code : ERR_NONE;
    a->value = value;
}

static inline void on_cancelled(void *arg, json_t *value, bool began, const struct error *err)
{
    on_value(arg, value, err);
    ((struct hall_answer *)arg)->began = began;
}

static inline void on_plain(void *arg, const struct error *err)
{
    on_value(arg, NULL, err);
}

static inline void answer_wait(struct hall *h, struct hall_answer *a)
{
    hall_until(h, hall_flag, &a->told);
}

static inline void hall_post(struct hall *h, const char *spec_text, struct engine_submit submit,
                             struct hall_answer *a)
{
    json_error_t where;
    AUTO_JSON json_t *spec = json_loads(spec_text, 0, &where);
    if (!spec)
        fail_msg("spec: %s in %s", where.text, spec_text);
    *a = (struct hall_answer){0};
    submit.kind = submit.kind ? submit.kind : "fake";
    submit.spec = spec;
    if (submit.caller.uid == 0 && !submit.caller.admin)
        submit.caller = h->caller;
    engine_submit(h->engine, &submit, on_job, a);
}

static inline enum error_code hall_submit(struct hall *h, const char *spec, struct engine_submit submit,
                                          char ret_id[32])
{
    struct hall_answer a;
    hall_post(h, spec, submit, &a);
    answer_wait(h, &a);
    snprintf(ret_id, 32, "%s", a.id);
    return a.code;
}

#define SUBMIT(h, id, spec, ...)                                                                             \
    assert_int_equal(hall_submit(h, spec, (struct engine_submit){__VA_ARGS__}, id), ERR_NONE)

static const struct engine_caller hall_admin = {.uid = 0, .admin = true};

static inline json_t *hall_get(struct hall *h, const char *id) // new reference
{
    struct hall_answer a = {0};
    engine_get(h->engine, id, &hall_admin, on_value, &a);
    answer_wait(h, &a);
    assert_int_equal(a.code, ERR_NONE);
    return a.value;
}

static inline bool hall_state_is(struct hall *h, const char *id, const char *state)
{
    AUTO_JSON json_t *job = hall_get(h, id);
    return str_equal(json_get_string(job, "state"), state);
}

// Waits until the job is terminal; new reference.
static inline json_t *hall_finish(struct hall *h, const char *id)
{
    struct hall_answer a = {0};
    engine_wait_start(h->engine, id, &hall_admin, HALL_PATIENCE_MS, on_value, &a);
    answer_wait(h, &a);
    assert_int_equal(a.code, ERR_NONE);
    assert_true(json_get_bool(a.value, "terminal", false));
    return a.value;
}

static inline void hall_expect(struct hall *h, const char *id, const char *state, const char *code)
{
    AUTO_JSON json_t *job = hall_finish(h, id);
    assert_string_equal(json_get_string(job, "state"), state);
    const char *got = json_get_string(json_object_get(job, "error"), "code");
    if (code && !got)
        fail_msg("no error, %s expected", code);
    if (code)
        assert_string_equal(got, code);
    else
        assert_null(got);
}

static inline void hall_cancel(struct hall *h, const char *id)
{
    struct hall_answer a = {0};
    engine_cancel(h->engine, id, &hall_admin, on_cancelled, &a);
    answer_wait(h, &a);
    assert_int_equal(a.code, ERR_NONE);
    answer_clear(&a);
}

// --- reading

struct hall_reader {
    struct event_reader *reader;
    bool told, awake, ended;
    enum error_code code;
    int64_t oldest;
    json_t *events; // array
};

static inline void on_ready(void *arg, struct event_reader *reader, const struct error *err, int64_t oldest)
{
    struct hall_reader *r = arg;
    r->told = true;
    r->reader = reader;
    r->code = err ? err->code : ERR_NONE;
    r->oldest = oldest;
}

static inline void on_wake(void *arg)
{
    ((struct hall_reader *)arg)->awake = true;
}

static inline void reader_drain(struct hall_reader *r)
{
    struct event *event;
    enum event_next next = EVENT_NEXT_END;
    r->awake = false;
    while (!r->ended && (next = event_reader_next(r->reader, &event)) == EVENT_NEXT_EVENT) {
        json_t *json = json_loads(event->line, 0, NULL);
        assert_non_null(json);
        assert_string_equal(json_get_string(json, "type"), event->type);
        assert_int_equal(strlen(event->line), event->len);
        json_array_append_new(r->events, json);
        event_unref(event);
    }
    if (next == EVENT_NEXT_END)
        r->ended = true;
}

static inline void reader_open_as(struct hall *h, struct hall_reader *r, struct event_reader_options options,
                                  const struct engine_caller *caller)
{
    *r = (struct hall_reader){.events = json_array()};
    options.wake = on_wake;
    options.arg = r;
    event_reader_open(h->engine, &options, caller, on_ready, r);
    hall_until(h, hall_flag, &r->told);
    if (r->reader)
        reader_drain(r);
}

static inline void reader_open(struct hall *h, struct hall_reader *r, struct event_reader_options options)
{
    reader_open_as(h, r, options, &hall_admin);
}

static inline bool reader_at_end(void *arg)
{
    struct hall_reader *r = arg;
    if (r->awake)
        reader_drain(r);
    return r->ended;
}

static inline void reader_finish(struct hall *h, struct hall_reader *r)
{
    hall_until(h, reader_at_end, r);
}

static inline void reader_close(struct hall_reader *r)
{
    if (r->reader)
        event_reader_close(r->reader);
    json_decref(r->events);
    *r = (struct hall_reader){0};
}

static inline int events_count(const json_t *events, const char *type)
{
    size_t i;
    json_t *event;
    int count = 0;
    json_array_foreach(events, i, event)
        if (!type || strcmp(json_get_string(event, "type"), type) == 0)
            count++;
    return count;
}

static inline json_t *events_find(const json_t *events, const char *type) // the last; borrowed
{
    size_t i;
    json_t *event, *found = NULL;
    json_array_foreach(events, i, event)
        if (strcmp(json_get_string(event, "type"), type) == 0)
            found = event;
    return found;
}

// Kept events only: dense from `first`, cursors rising, job.finished last if `finished`.
static inline void events_check(const json_t *events, int64_t first, bool finished)
{
    size_t i;
    json_t *event, *last = NULL;
    int64_t cursor = 0;
    json_array_foreach(events, i, event) {
        int64_t seq = json_get_int(event, "seq", 0), at = 0;
        if (seq == 0)
            continue;
        assert_int_equal(seq, first++);
        assert_true(str_to_int64(json_get_string(event, "cursor"), 1, INT64_MAX, &at));
        assert_true(at > cursor);
        cursor = at;
        last = event;
        assert_non_null(json_get_string(event, "time"));
        assert_non_null(json_get_string(event, "job"));
    }
    if (finished)
        assert_string_equal(json_get_string(last, "type"), "job.finished");
    assert_int_equal(events_count(events, "job.finished"), finished ? 1 : 0);
}

static inline json_t *hall_events(struct hall *h, const char *id) // all that are kept; new reference
{
    struct hall_reader r;
    reader_open(h, &r, (struct event_reader_options){.job = id});
    assert_int_equal(r.code, ERR_NONE);
    reader_finish(h, &r);
    json_t *events = json_incref(r.events);
    reader_close(&r);
    return events;
}

static inline int hall_main(const struct CMUnitTest *tests, size_t count)
{
    setenv("UV_THREADPOOL_SIZE", "10", 1);
    mem_init();
    log_init(LOG_LEVEL_ERROR);
    return _cmocka_run_group_tests("jobs", tests, count, NULL, NULL);
}
#define HALL_MAIN(...)                                                                                       \
    int main(void)                                                                                           \
    {                                                                                                        \
        static const struct CMUnitTest tests[] = {__VA_ARGS__};                                              \
        return hall_main(tests, sizeof tests / sizeof *tests);                                               \
    }
