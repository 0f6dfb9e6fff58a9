// SPDX-License-Identifier: Apache-2.0
//
// The event comes before the row: after a crash between the two, recovery finds job.finished as the last
// event and only writes the row again. The other way round the log of a terminal job could lack its end.
#include "jobs/finish.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "jobs/attempt.h"
#include "jobs/engine_core.h"
#include "jobs/engine_wait.h"
#include "jobs/feed.h"
#include "jobs/job_core.h"
#include "jobs/journal.h"
#include "jobs/progress.h"

static json_t *stats_json(const struct job *job)
{
    const struct job_stats *s = &job->stats;
    int64_t duration = job->begun_ms > 0 ? clock_ms() - job->begun_ms : 0;
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "bytes_sent", (json_int_t)s->bytes_sent,
                     "bytes_received", (json_int_t)s->bytes_received, "bytes_skipped",
                     (json_int_t)job->progress.bytes_skipped, "bytes_mounted",
                     (json_int_t)job->progress.bytes_mounted, "requests", (json_int_t)s->requests, "retries",
                     (json_int_t)s->retries, "tokens", (json_int_t)s->tokens, "duration_ms",
                     (json_int_t)duration);
}

static void take_result(struct job *job)
{
    bool wanted = job->outcome == JOB_SUCCEEDED || job->error.code == ERR_PARTIAL;
    if (!wanted || !job->started)
        return;
    job->result = job->ops->result ? job->ops->result(job, job->plan) : NULL;
    if (!job->result)
        job->result = json_object();
    json_object_set_new(job->result, "stats", stats_json(job));
}

static void end_plan(struct job *job)
{
    if (job->plan && job->ops->free)
        job->ops->free(job->plan);
    job->plan = NULL;
    job->started = false;
    json_decref(job->auth);
    job->auth = NULL;
    json_decref(job->checkpoint);
    job->checkpoint = NULL;
}

static void leave_running(struct job *job)
{
    if (!job->begun)
        return;
    job->begun = false;
    job->engine->n_running--;
    list_remove(&job->link);
    job_spec_drop(job);
}

static json_t *finished_members(const struct job *job)
{
    json_t *problem = job_error_json(job);
    return json_pack("{s:s, s:O?, s:o?}", "state", job_state_name(job->outcome), "result", job->result,
                     "error", problem);
}

static void count_outcome(const struct job *job)
{
    const char *code = job->error.code ? error_wire(job->error.code) : "";
    metrics_add(METRIC_JOBS_FINISHED, 1, job->kind, job_state_name(job->state), code);
    if (job->started_ms > 0)
        metrics_observe_ms(METRIC_JOB_DURATION, job->finished_ms - job->started_ms, job->kind);
}

static void complete(struct job *job)
{
    struct engine *engine = job->engine;
    if (!job->event_durable || !job->row_durable)
        return;
    job->state = job->outcome;
    list_remove(&job->finish_link);
    free(mem_take(job->sealed));
    job->sealed_len = 0;
    loop_timer_free(mem_take(job->timer));
    loop_timer_free(mem_take(job->lonely));
    if (job->state == JOB_SUCCEEDED)
        engine->counts.finished_succeeded++;
    else if (job->state == JOB_FAILED)
        engine->counts.finished_failed++;
    else
        engine->counts.finished_cancelled++;
    count_outcome(job);
    log_write(LOG_LEVEL_INFO, job->id, NULL, "job %s%s%s", job_state_name(job->state),
              job->error.detail ? ": " : "", job->error.detail ? job->error.detail : "");
    engine_job_close(engine, job);
    feed_show_finished(job);
    engine_wait_answer(job);
    engine_job_retire(engine, job);
    engine_drain_check(engine);
}

// --- the row

static void on_saved(void *arg, const struct error *err)
{
    struct job *job = arg;
    struct engine *engine = job->engine;
    job->saving = false;
    if (engine->stopped)
        return;
    if (!err) {
        job->row_durable = true;
        complete(job);
        return;
    }
    log_write(LOG_LEVEL_WARNING, job->id, NULL, "the outcome could not be journalled, trying again: %s",
              err->detail);
    if (list_empty(&engine->unsaved))
        loop_timer_start(engine->save_timer, ENGINE_RETRY_SAVE_MS);
    list_remove(&job->link);
    list_append(&engine->unsaved, &job->link);
}

static void save(struct job *job)
{
    job->saving = true;
    journal_finish(job, on_saved, job);
}

void finish_save_again(struct engine *engine)
{
    struct list todo = LIST_INIT(todo);
    list_splice(&todo, &engine->unsaved);
    for (struct list *link; (link = list_take_first(&todo)) != NULL;)
        save(container_of(link, struct job, link));
}

void finish_begin(struct job *job)
{
    if (!job->ending)
        job->outcome = JOB_SUCCEEDED;
    take_result(job);
    end_plan(job);
    leave_running(job);
    progress_clear(job);
    job->finished_ms = clock_wall_ms();
    list_append(&job->engine->finishing, &job->finish_link);
    feed_append(job, "job.finished", finished_members(job));
    job->closed = true;
    save(job);
}

void finish_again(struct job *job)
{
    job->closed = true;
    job->event_durable = true;
    list_append(&job->engine->finishing, &job->finish_link);
    save(job);
}

void finish_event_durable(struct job *job)
{
    job->event_durable = true;
    complete(job);
}
