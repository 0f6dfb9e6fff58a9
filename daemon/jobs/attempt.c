// SPDX-License-Identifier: Apache-2.0
//
// What must hold: job->open counts tasks, checkpoints and holds; the plan lives until it is 0; only settle()
// finishes a job, and only when the plan is not being asked. A task that is being looked at here is in none
// of the job's lists.
#include "jobs/attempt.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "jobs/admission.h"
#include "jobs/engine_core.h"
#include "jobs/feed.h"
#include "jobs/finish.h"
#include "jobs/job_core.h"
#include "jobs/journal.h"
#include "jobs/progress.h"

static void give_up(struct job *job, enum job_state outcome, struct error *err);

// Nothing is open and nobody will call the plan again: then it has to have done what it was for.
static void check_complete(struct job *job)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    if (job->ending || !job->started || !job->ops->complete || job->ops->complete(job->plan))
        return;
    error_set(&err, ERR_INTERNAL, "the plan of the job came to a standstill before all was done");
    give_up(job, JOB_FAILED, &err);
}

static void settle(struct job *job)
{
    if (!job->begun || job->calling || job->open || job->closed || job->engine->abandoned)
        return;
    check_complete(job);
    finish_begin(job);
}

static void fail(struct job *job, struct error *err)
{
    give_up(job, JOB_FAILED, err);
    error_clear(err);
}

static void advance(struct job *job)
{
    struct error err = ERROR_INIT;
    if (job->ending || !job->started || job->calling || job->engine->abandoned)
        return;
    job->calling = true;
    int result = job->ops->advance(job, job->plan, &err);
    job->calling = false;
    if (result < 0)
        fail(job, &err);
}

// --- begin

static int start_plan(struct job *job, struct error *err)
{
    if (!job->ops)
        return error_set(err, ERR_INTERNAL, "this version of the daemon knows no jobs of kind %s", job->kind);
    if (journal_unseal(job, err) < 0)
        return -1;
    job->calling = true;
    int result = job->ops->start(job, job_spec(job), job->auth, job->checkpoint, &job->plan, err);
    job->calling = false;
    job->started = result == 0;
    return result;
}

void attempt_begin(struct job *job)
{
    struct engine *engine = job->engine;
    struct error err = ERROR_INIT;
    job->state = JOB_RUNNING;
    job->begun = true;
    job->begun_ms = clock_ms();
    if (job->started_ms == 0) {
        job->started_ms = clock_wall_ms();
        metrics_observe_ms(METRIC_JOB_QUEUE, job->started_ms - job->created_ms, job->kind);
    }
    engine->n_running++;
    list_append(&engine->running, &job->link);
    step_group_init(&job->group, POOL_STEPS, job->priority, job->uid, engine->options.max_steps_per_job);
    journal_update(job, NULL, NULL);
    feed_append(job, "job.started", json_pack("{s:i}", "attempt", job->attempt));
    progress_watch(job);
    if (start_plan(job, &err) < 0)
        fail(job, &err);
    settle(job);
}

// --- steps

void attempt_submit(struct job *job, struct step *step)
{
    struct task *task = task_new(step, job);
    step->engine = job->engine;
    if (job->ending || job->closed || job->engine->abandoned) {
        task_free(task);
        return;
    }
    task->number = ++job->tasks_made;
    job->open++;
    list_append(&job->tasks, &task->link);
    scheduler_submit(job->engine->scheduler, &job->group, task);
}

static void announce(struct task *task)
{
    if (task->announced)
        return;
    task->announced = true;
    task->begun_ms = clock_ms();
    feed_append(task->job, "step.started",
                json_pack("{s:i, s:s}", "id", task->number, "name", task->step->name));
}

void attempt_task_starting(struct task *task)
{
    list_remove(&task->link);
    list_append(&task->job->busy, &task->link);
    task->meter = (struct meter){0};
    task->moved_seen_ms = clock_ms();
    announce(task);
}

static void report_end(struct task *task, const char *how, const struct error *err)
{
    json_t *members =
        json_pack("{s:i, s:s, s:b, s:I}", "id", task->number, "name", task->step->name, "cached",
                  task->step->cached, "duration_ms", (json_int_t)(clock_ms() - task->begun_ms));
    if (how)
        json_object_set_new(members, how, json_true());
    if (err)
        json_object_set_new(members, "error", json_string(error_wire(err->code)));
    feed_append(task->job, "step.finished", members);
}

// The end of a task that is in no list any more.
static void end_task(struct task *task, const char *how, const struct error *err)
{
    struct job *job = task->job;
    if (task->announced)
        report_end(task, how, err);
    progress_drop(task);
    job_stats_add(job, &task->step->monitor);
    task_free(task);
    job->open--;
}

static void drop_waiting(struct job *job)
{
    CLEANUP(error_clear) struct error cancelled = ERROR_INIT;
    error_set(&cancelled, ERR_CANCELLED, "not needed any more");
    for (struct list *link; (link = list_take_first(&job->tasks)) != NULL;) {
        struct task *task = container_of(link, struct task, link);
        scheduler_withdraw(job->engine->scheduler, task);
        end_task(task, NULL, &cancelled);
    }
    list_for_each(link, &job->busy)
        atomic_store(&container_of(link, struct task, link)->step->monitor.cancelled, true);
}

static void give_up(struct job *job, enum job_state outcome, struct error *err)
{
    if (job->ending || job->closed)
        return;
    job->ending = true;
    job->outcome = outcome;
    error_move(&job->error, err);
    drop_waiting(job);
}

static bool try_again(struct task *task)
{
    struct engine *engine = task->job->engine;
    struct step *step = task->step;
    int64_t delay_ms = 0;
    int most = 0;
    if (task->job->ending || !step->error.retryable || !engine->options.retry ||
        !engine->options.retry(engine->options.retry_arg, step->attempt, &step->error, &delay_ms, &most))
        return false;
    AUTO_FREE char *instance = mem_printf("/v1/jobs/%s", task->job->id);
    feed_append(task->job, "retry",
                json_pack("{s:s?, s:s, s:i, s:i, s:I, s:o}", "blob", step->blob, "step", step->name,
                          "attempt", step->attempt, "max", most, "delay_ms", (json_int_t)delay_ms, "problem",
                          error_to_json(&step->error, instance, NULL)));
    task->job->stats.retries++;
    free(task->job->trouble);
    task->job->trouble = mem_strdup_null(step->error.detail);
    metrics_add(METRIC_RETRIES, 1, error_wire(step->error.code), NULL, NULL);
    error_clear(&step->error);
    progress_drop(task);
    list_append(&task->job->tasks, &task->link);
    if (step->ops->parts && step->ops->parts(step))
        scheduler_flight_failed(engine->scheduler, task);
    scheduler_delay(engine->scheduler, &task->job->group, task, delay_ms);
    return true;
}

// Another task did the same work: its result serves this one, too.
static void join(struct task *task, struct step *leader)
{
    struct error err = ERROR_INIT;
    struct job *job = task->job;
    struct step *step = task->step;
    bool joins = step->ops->joined && (!step->ops->joins || step->ops->joins(step, leader));
    if (!joins) {
        scheduler_submit(job->engine->scheduler, &job->group, task);
        return;
    }
    list_remove(&task->link);
    announce(task);
    int result = step->ops->joined(step, leader, job, &err);
    end_task(task, "joined", result < 0 ? &err : NULL);
    if (result < 0)
        fail(job, &err);
    advance(job);
    settle(job);
}

static void succeeded(struct task *task)
{
    struct job *job = task->job;
    struct step *step = task->step;
    struct error err = ERROR_INIT;
    struct list others = LIST_INIT(others);
    scheduler_flight_landed(job->engine->scheduler, task, &others);
    int result = 0;
    if (!job->ending && step->ops->done)
        result = step->ops->done(step, job, &err);
    for (struct list *link; (link = list_take_first(&others)) != NULL;)
        join(container_of(link, struct task, flight_link), step);
    end_task(task, NULL, result < 0 ? &err : NULL);
    if (result < 0)
        fail(job, &err);
    advance(job);
}

static void failed(struct task *task)
{
    struct job *job = task->job;
    struct error err = ERROR_INIT;
    scheduler_flight_failed(job->engine->scheduler, task);
    error_move(&err, &task->step->error);
    const struct step_ops *ops = task->step->ops;
    bool dealt_with = !job->ending && ops->failed && ops->failed(task->step, job, &err) == 0;
    end_task(task, NULL, &err);
    if (dealt_with) {
        error_clear(&err);
        advance(job);
        return;
    }
    fail(job, &err);
}

void attempt_task_finished(struct task *task)
{
    struct job *job = task->job;
    list_remove(&task->link);
    if (job->engine->abandoned) {
        scheduler_flight_failed(job->engine->scheduler, task);
        progress_drop(task);
        task_free(task);
        job->open--;
        engine_drain_check(job->engine);
        return;
    }
    if (task->result < 0 && try_again(task))
        return;
    if (task->result < 0)
        failed(task);
    else
        succeeded(task);
    settle(job);
}

// --- checkpoints and holds

void attempt_release(struct job *job)
{
    job->open--;
    advance(job);
    settle(job);
}

static void on_checkpoint(void *arg, const struct error *err)
{
    struct job *job = arg;
    if (err && !job->engine->abandoned) {
        struct error why = ERROR_INIT;
        error_copy(&why, err);
        error_wrap(&why, "the checkpoint of the job could not be written");
        fail(job, &why);
    }
    attempt_release(job);
}

void attempt_checkpoint(struct job *job, json_t *checkpoint)
{
    json_decref(job->checkpoint);
    job->checkpoint = checkpoint;
    job->open++;
    journal_update(job, on_checkpoint, job);
}

// --- giving up

static void set_reason(struct error *err, enum error_code code, const struct job *job)
{
    if (code != ERR_DEADLINE)
        error_set(err, code, "the job was cancelled");
    else if (job->trouble)
        error_set(err, code, "the job was not finished before its deadline; it was last tried again because %s",
                  job->trouble);
    else
        error_set(err, code, "the job was not finished before its deadline");
}

bool attempt_cancel(struct job *job, enum error_code code, const char *reason)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    if (job->closed || job->engine->abandoned)
        return false;
    if (job->recovering) {
        job->cancel_later = true;
        return true;
    }
    if (job->state == JOB_CANCELLING)
        return true;
    set_reason(&err, code, job);
    admission_remove(job);
    job->state = JOB_CANCELLING;
    feed_append(job, "job.cancelling", json_pack("{s:s}", "reason", reason));
    give_up(job, code == ERR_CANCELLED ? JOB_CANCELLED : JOB_FAILED, &err);
    if (!job->begun) {
        finish_begin(job);
        return true;
    }
    journal_update(job, NULL, NULL);
    settle(job);
    return true;
}

static void on_deadline(void *arg)
{
    attempt_cancel(arg, ERR_DEADLINE, "deadline");
}

static void on_lonely(void *arg)
{
    attempt_cancel(arg, ERR_CANCELLED, "nobody was reading");
}

void attempt_watch_lonely(struct job *job)
{
    if (!job->lonely)
        return;
    if (list_empty(&job->log.readers) && list_empty(&job->waits))
        loop_timer_start(job->lonely, job->engine->options.attached_grace_ms);
    else
        loop_timer_stop(job->lonely);
}

void attempt_watch(struct job *job)
{
    struct loop *loop = job->engine->loop;
    if (job->deadline_ms > 0) {
        int64_t left = job->created_ms + job->deadline_ms - clock_wall_ms();
        job->timer = loop_timer_new(loop, on_deadline, job);
        loop_timer_start(job->timer, left > 0 ? left : 0);
    }
    if (job->attached) {
        job->lonely = loop_timer_new(loop, on_lonely, job);
        attempt_watch_lonely(job);
    }
}

void attempt_abandon(struct job *job)
{
    for (struct list *link; (link = list_take_first(&job->tasks)) != NULL;) {
        struct task *task = container_of(link, struct task, link);
        scheduler_withdraw(job->engine->scheduler, task);
        progress_drop(task);
        task_free(task);
        job->open--;
    }
    list_for_each(link, &job->busy)
        atomic_store(&container_of(link, struct task, link)->step->monitor.cancelled, true);
}
