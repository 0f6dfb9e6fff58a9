// SPDX-License-Identifier: Apache-2.0
#include "jobs/admission.h"

#include "jobs/attempt.h"
#include "jobs/engine_core.h"
#include "jobs/job_core.h"

// Jobs of which nothing runs or can run (their registry is down, say) do not keep others from starting – up
// to a limit.
enum { STALLED_FACTOR = 8 };
enum { CRASHES_FREE = 5, BACKOFF_FIRST_MS = 1000, BACKOFF_MAX_MS = 300000 };

void admission_add(struct job *job)
{
    fair_add(&job->engine->queue, &job->queued, job->priority, job->uid);
}

static void on_backoff_over(void *arg)
{
    admission_add(arg);
}

void admission_add_requeued(struct job *job)
{
    int crashes = job->attempt - 1;
    if (crashes <= CRASHES_FREE) {
        admission_add(job);
        return;
    }
    int64_t delay = BACKOFF_FIRST_MS;
    for (int i = CRASHES_FREE + 1; i < crashes && delay < BACKOFF_MAX_MS; i++)
        delay *= 2;
    job->backoff = loop_timer_new(job->engine->loop, on_backoff_over, job);
    loop_timer_start(job->backoff, delay < BACKOFF_MAX_MS ? delay : BACKOFF_MAX_MS);
}

void admission_remove(struct job *job)
{
    fair_remove(&job->engine->queue, &job->queued);
    loop_timer_free(job->backoff);
    job->backoff = NULL;
}

int64_t admission_position(const struct job *job)
{
    return fair_position(&job->engine->queue, &job->queued);
}

static bool may_start(const struct engine *engine)
{
    size_t most = engine->options.max_running;
    return engine->n_running < most * STALLED_FACTOR &&
           engine->n_running - scheduler_stalled(engine->scheduler) < most;
}

void admission_turn(struct engine *engine)
{
    if (!engine->started || engine->draining || engine->options.paused)
        return;
    while (may_start(engine)) {
        struct fair_entry *entry = fair_take(&engine->queue);
        if (!entry)
            return;
        attempt_begin(container_of(entry, struct job, queued));
    }
}
