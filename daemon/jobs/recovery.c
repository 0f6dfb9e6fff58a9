// SPDX-License-Identifier: Apache-2.0
//
// queued ▸ lines up again. running ▸ queued, attempt + 1, job.requeued. cancelling ▸ ends as it was going to.
// And a job whose last event is job.finished only lacks its row: it is written again, nothing runs twice.
#include "jobs/recovery.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "jobs/admission.h"
#include "jobs/attempt.h"
#include "jobs/engine_core.h"
#include "jobs/feed.h"
#include "jobs/finish.h"
#include "jobs/job_core.h"
#include "jobs/journal.h"

struct tail {
    struct job *job;
    json_t *event; // the last one
};

static enum job_state outcome_of(const char *state)
{
    if (state && strcmp(state, job_state_name(JOB_SUCCEEDED)) == 0)
        return JOB_SUCCEEDED;
    return state && strcmp(state, job_state_name(JOB_CANCELLED)) == 0 ? JOB_CANCELLED : JOB_FAILED;
}

static void finish_from_event(struct job *job, const json_t *event)
{
    const json_t *problem = json_object_get(event, "error");
    job->ending = true;
    job->outcome = outcome_of(json_get_string(event, "state"));
    error_clear(&job->error);
    if (json_is_object(problem))
        error_from_json(&job->error, problem);
    json_decref(job->result);
    job->result = NULL;
    if (json_is_object(json_object_get(event, "result")))
        job->result = json_incref(json_object_get(event, "result"));
    if (!clock_parse(json_get_string(event, "time"), &job->finished_ms))
        job->finished_ms = clock_wall_ms();
    job->log.visible_seq = job->log.last_seq - 1;
    finish_again(job);
}

static void finish_cancelling(struct job *job)
{
    if (job->error.code == ERR_NONE)
        error_set(&job->error, ERR_CANCELLED, "the job was cancelled");
    job->ending = true;
    job->outcome = job->error.code == ERR_CANCELLED ? JOB_CANCELLED : JOB_FAILED;
    finish_begin(job);
}

static void requeue(struct job *job)
{
    error_clear(&job->error);
    job->state = JOB_QUEUED;
    job->attempt++;
    feed_append(job, "job.requeued", json_pack("{s:i, s:s}", "attempt", job->attempt, "reason", "restart"));
    journal_update(job, NULL, NULL);
    attempt_watch(job);
    admission_add_requeued(job);
    if (job->cancel_later)
        attempt_cancel(job, ERR_CANCELLED, "request");
}

static void decide(struct job *job, const json_t *last)
{
    const char *type = last ? json_get_string(last, "type") : NULL;
    job->recovering = false;
    if (type && strcmp(type, "job.finished") == 0)
        finish_from_event(job, last);
    else if (job->state == JOB_CANCELLING)
        finish_cancelling(job);
    else
        requeue(job);
}

static void on_tail(void *arg, const struct store_event *row, const struct error *err)
{
    struct tail *tail = arg;
    if (row) {
        json_decref(tail->event);
        tail->event = json_loads(row->text, 0, NULL);
        return;
    }
    if (err)
        log_write(LOG_LEVEL_WARNING, tail->job->id, NULL, "the events of the job cannot be read: %s",
                  err->detail);
    if (!tail->job->engine->stopped)
        decide(tail->job, tail->event);
    json_decref(tail->event);
    free(tail);
}

static void look_at_tail(struct job *job)
{
    struct tail *tail = mem_new(struct tail);
    tail->job = job;
    job->recovering = true;
    store_event_list(job->engine->store, job->id, job->log.last_seq - 1, 1, on_tail, tail);
}

static void adopt(struct engine *engine, struct job *job)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    engine_job_open(engine, job, false, &ignored);
    table_put(engine->jobs, job->id, job);
    if (job->log.last_seq == 0)
        feed_append(job, "job.queued", NULL);
    if (job->state != JOB_QUEUED) {
        look_at_tail(job);
        return;
    }
    attempt_watch(job);
    admission_add_requeued(job);
}

struct found {
    struct engine *engine;
    struct list jobs;
    size_t count;
};

static void on_row(void *arg, const struct store_job *row, const struct error *err)
{
    struct found *found = arg;
    (void)err; // store_recover tells
    if (!row)
        return;
    struct job *job = job_from_row(found->engine, row);
    list_append(&found->jobs, &job->link);
    found->count++;
}

int recovery_run(struct engine *engine, struct error *err)
{
    struct found found = {.engine = engine};
    int64_t last_cursor = 0;
    list_init(&found.jobs);
    int result = store_recover(engine->store, on_row, &found, &last_cursor, err);
    if (result == 0)
        feed_resume(engine->feed, last_cursor);
    for (struct list *link; (link = list_take_first(&found.jobs)) != NULL;) {
        struct job *job = container_of(link, struct job, link);
        if (result < 0)
            job_free(job);
        else
            adopt(engine, job);
    }
    if (result == 0 && found.count > 0)
        log_info("%zu jobs go on where they were", found.count);
    return result;
}
