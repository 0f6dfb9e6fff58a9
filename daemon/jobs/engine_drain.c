// SPDX-License-Identifier: Apache-2.0
//
// The ordered end. Nothing here is needed for correctness: a daemon that is killed goes on in the same way at
// its next start; a drain only saves work that was under way.
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "jobs/admission.h"
#include "jobs/attempt.h"
#include "jobs/engine_core.h"
#include "jobs/engine_wait.h"
#include "jobs/event_reader.h"
#include "jobs/feed.h"
#include "jobs/job_core.h"
#include "jobs/query.h"

enum { STOP_WAIT_MS = 5000 };
enum { DRAIN_NONE, DRAIN_FINISHING, DRAIN_ABANDONING, DRAIN_DONE };

static bool idle(const struct engine *engine)
{
    return engine->n_running == 0 && list_empty(&engine->finishing) && engine->n_submitting == 0 &&
           engine->n_queries == 0;
}

bool engine_workers_idle(const struct engine *engine)
{
    const struct pool *pool = scheduler_pool(engine->scheduler);
    return pool_busy(pool, POOL_STEPS) == 0 && pool_busy(pool, POOL_QUERIES) == 0;
}

static void tell_drained(struct engine *engine)
{
    engine->drain_phase = DRAIN_DONE;
    loop_timer_stop(engine->drain_timer);
    engine->drained(engine->drained_arg);
}

static void abandon(struct engine *engine)
{
    engine->abandoned = true;
    list_for_each(link, &engine->running)
        attempt_abandon(container_of(link, struct job, link));
    query_cancel_all(engine);
}

static bool is_over(const struct engine *engine)
{
    bool done = engine->drain_phase == DRAIN_ABANDONING || idle(engine);
    return done && engine_workers_idle(engine);
}

static void on_drain_time(void *arg)
{
    struct engine *engine = arg;
    int64_t left = engine->drain_deadline_ms - clock_ms();
    if (is_over(engine)) {
        tell_drained(engine);
    } else if (left > 0) {
        loop_timer_start(engine->drain_timer, left);
    } else if (engine->drain_phase == DRAIN_FINISHING) {
        engine->drain_phase = DRAIN_ABANDONING;
        engine->drain_deadline_ms = clock_ms() + STOP_WAIT_MS;
        abandon(engine);
        loop_timer_start(engine->drain_timer, engine_workers_idle(engine) ? 0 : STOP_WAIT_MS);
    } else {
        tell_drained(engine);
    }
}

void engine_drain_check(struct engine *engine)
{
    bool draining = engine->drain_phase == DRAIN_FINISHING || engine->drain_phase == DRAIN_ABANDONING;
    if (draining && is_over(engine))
        loop_timer_start(engine->drain_timer, 0); // not from within what has just ended
}

void engine_drain(struct engine *engine, int64_t deadline_ms, void (*drained)(void *arg), void *arg)
{
    engine->draining = true;
    engine->drained = drained;
    engine->drained_arg = arg;
    if (engine->drain_phase != DRAIN_NONE)
        return;
    engine->drain_phase = DRAIN_FINISHING;
    engine->drain_deadline_ms = clock_ms() + deadline_ms;
    engine->drain_timer = loop_timer_new(engine->loop, on_drain_time, engine);
    loop_timer_start(engine->drain_timer, deadline_ms);
    engine_drain_check(engine);
}

static void each_job(struct engine *engine, void (*visit)(struct job *job))
{
    size_t position = 0;
    for (struct job *job; (job = table_next(engine->jobs, &position)) != NULL;)
        visit(job);
}

static void stop_timers(struct job *job)
{
    loop_timer_free(mem_take(job->timer));
    loop_timer_free(mem_take(job->lonely));
    admission_remove(job);
}

static void wake_readers(struct job *job)
{
    event_readers_wake(&job->log.readers);
}

void engine_stop(struct engine *engine)
{
    engine->draining = true;
    abandon(engine);
    if (!pool_wait(scheduler_pool(engine->scheduler), STOP_WAIT_MS))
        log_error("a worker does not come back from its step; it is left behind");
    engine->stopped = true;
    loop_timer_stop(engine->ticker);
    loop_timer_stop(engine->save_timer);
    each_job(engine, stop_timers);
    each_job(engine, engine_wait_end_all);
    feed_close(engine->feed);
    each_job(engine, wake_readers);
    loop_prepare_free(mem_take(engine->turn));
}
