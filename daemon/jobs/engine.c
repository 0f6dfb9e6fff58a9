// SPDX-License-Identifier: Apache-2.0
//
// Composition, the turn of the loop, and the ordered stop. What callers ask for lives in engine_submit,
// engine_read, engine_wait, engine_act and query.
//
// Work that becomes possible during a turn of the loop (a step came back, a job was accepted) is begun once,
// before the loop waits again, however many things happened.
#include "jobs/engine.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "jobs/admission.h"
#include "jobs/attempt.h"
#include "jobs/engine_core.h"
#include "jobs/feed.h"
#include "jobs/finish.h"
#include "jobs/job_core.h"
#include "jobs/progress.h"
#include "jobs/query.h"
#include "jobs/recovery.h"

// --- tables

const struct job_ops *engine_kind(const struct engine *engine, const char *kind)
{
    for (const struct job_ops *const *ops = engine->options.kinds; ops && *ops; ops++)
        if (strcmp((*ops)->kind, kind) == 0)
            return *ops;
    return NULL;
}

struct job *engine_find(const struct engine *engine, const char *id)
{
    return table_find(engine->jobs, id);
}

bool engine_may_see(const struct engine_caller *caller, int64_t uid)
{
    return caller->admin || caller->uid == uid;
}

int engine_error_not_found(struct error *err, const char *id)
{
    AUTO_FREE char *name = str_quote(id, 64);
    return error_set(err, ERR_NOT_FOUND, "there is no job %s", name);
}

static struct caller *caller_get(struct engine *engine, int64_t uid)
{
    char key[sizeof((struct caller *)0)->key];
    snprintf(key, sizeof key, "%lld", (long long)uid);
    struct caller *caller = table_find(engine->callers, key);
    if (caller)
        return caller;
    caller = mem_new(struct caller);
    snprintf(caller->key, sizeof caller->key, "%s", key);
    caller->uid = uid;
    table_put(engine->callers, caller->key, caller);
    return caller;
}

static void caller_drop_unused(struct engine *engine, struct caller *caller)
{
    if (caller->open > 0)
        return;
    table_take(engine->callers, caller->key);
    free(caller);
}

static int overloaded(struct error *err, const char *whose, size_t limit)
{
    error_set(err, ERR_OVERLOADED, "%s of %zu unfinished jobs is reached", whose, limit);
    error_hint(err, "Try again when some have finished.");
    err->retry_after_ms = 1000;
    return -1;
}

int engine_job_open(struct engine *engine, struct job *job, bool limited, struct error *err)
{
    const struct engine_options *options = &engine->options;
    if (limited && engine->n_open >= options->max_queued)
        return overloaded(err, "the daemon's limit", options->max_queued);
    struct caller *caller = caller_get(engine, job->uid);
    if (limited && caller->open >= options->max_queued_per_caller) {
        caller_drop_unused(engine, caller);
        return overloaded(err, "this caller's limit", options->max_queued_per_caller);
    }
    job->caller = caller;
    caller->open++;
    engine->n_open++;
    return 0;
}

void engine_job_close(struct engine *engine, struct job *job)
{
    if (!job->caller)
        return;
    job->caller->open--;
    caller_drop_unused(engine, job->caller);
    job->caller = NULL;
    engine->n_open--;
}

void engine_evict(struct engine *engine)
{
    struct list *link = engine->terminal.next;
    if (engine->stopped)
        return;
    while (engine->n_terminal > engine->options.kept_jobs && link != &engine->terminal) {
        struct job *job = container_of(link, struct job, link);
        link = link->next;
        if (!list_empty(&job->log.readers))
            continue; // leaves when the last of them has
        engine->n_terminal--;
        table_take(engine->jobs, job->id);
        job_free(job);
    }
}

void engine_job_retire(struct engine *engine, struct job *job)
{
    list_remove(&job->link);
    list_append(&engine->terminal, &job->link);
    engine->n_terminal++;
    if (list_empty(&job->log.readers))
        event_window_trim(&job->log.window, 0, job->log.visible_seq);
    engine_evict(engine);
}

// --- life

static void on_turn(void *arg)
{
    struct engine *engine = arg;
    if (engine->stopped)
        return;
    admission_turn(engine);
    scheduler_dispatch(engine->scheduler);
    feed_turn(engine->feed);
}

static void on_tick(void *arg)
{
    progress_tick(arg);
}

static void on_save_time(void *arg)
{
    finish_save_again(arg);
}

static void on_starting(void *arg, struct task *task)
{
    (void)arg;
    if (task->job)
        attempt_task_starting(task);
    else
        query_starting(task);
}

static void on_finished(void *arg, struct task *task)
{
    (void)arg;
    if (task->job)
        attempt_task_finished(task);
    else
        query_finished(task);
}

static struct scheduler *make_scheduler(struct engine *engine)
{
    const struct engine_options *options = &engine->options;
    struct scheduler_options wanted = {
        .loop = options->loop,
        .mailbox = options->mailbox,
        .limits = {[POOL_STEPS] = options->workers, [POOL_QUERIES] = options->query_workers},
        .gate = options->gate,
        .starting = on_starting,
        .finished = on_finished,
        .arg = engine,
    };
    return scheduler_new(&wanted);
}

static void init_lists(struct engine *engine)
{
    fair_init(&engine->queue);
    list_init(&engine->running);
    list_init(&engine->terminal);
    list_init(&engine->finishing);
    list_init(&engine->unsaved);
    list_init(&engine->ticking);
    list_init(&engine->query_tasks);
    step_group_init(&engine->queries, POOL_QUERIES, 0, 0, 0);
}

static int check_options(const struct engine_options *options, struct error *err)
{
    if (options->workers == 0 || options->query_workers == 0 || options->max_running == 0)
        return error_set(err, ERR_INVALID_REQUEST,
                         "the engine needs workers, query workers and running jobs");
    return 0;
}

struct engine *engine_new(const struct engine_options *options, struct error *err)
{
    if (check_options(options, err) < 0)
        return NULL;
    struct engine *engine = mem_new(struct engine);
    engine->options = *options;
    engine->loop = options->loop;
    engine->mailbox = options->mailbox;
    engine->store = options->store;
    engine->loop_thread = pthread_self();
    init_lists(engine);
    engine->jobs = table_new();
    engine->callers = table_new();
    engine->keys = table_new();
    engine->feed = feed_new(engine, 0);
    engine->scheduler = make_scheduler(engine);
    engine->turn = loop_prepare_new(engine->loop, on_turn, engine);
    engine->ticker = loop_timer_new(engine->loop, on_tick, engine);
    engine->save_timer = loop_timer_new(engine->loop, on_save_time, engine);
    return engine;
}

int engine_start(struct engine *engine, struct error *err)
{
    if (recovery_run(engine, err) < 0)
        return error_wrap(err, "recovering the jobs");
    engine->started = true;
    return 0;
}

// --- the end

static void free_all(struct table *table, void (*end)(void *value))
{
    size_t position = 0;
    for (void *value; (value = table_next(table, &position)) != NULL;)
        end(value);
    table_free(table);
}

static void free_job(void *value)
{
    struct job *job = value;
    if (job->plan && job->ops->free)
        job->ops->free(job->plan);
    job_free(job);
}

void engine_free(struct engine *engine)
{
    if (!engine)
        return;
    if (!engine_workers_idle(engine))
        return; // a worker still holds a step: the process is about to end, its memory stays
    loop_prepare_free(engine->turn);
    loop_timer_free(engine->ticker);
    loop_timer_free(engine->save_timer);
    loop_timer_free(engine->drain_timer);
    free_all(engine->jobs, free_job);
    free_all(engine->callers, free);
    table_free(engine->keys);
    scheduler_free(engine->scheduler);
    feed_free(engine->feed);
    free(engine);
}

// --- figures

static int64_t standstill_ms(struct task *task, int64_t now)
{
    int64_t moved = task_moved(task);
    if (moved != task->moved_seen) {
        task->moved_seen = moved;
        task->moved_seen_ms = now;
    }
    return now - task->moved_seen_ms;
}

static int64_t oldest_step_ms(const struct engine *engine)
{
    int64_t now = clock_ms(), oldest = 0;
    list_for_each(job_link, &engine->running) {
        struct job *job = container_of(job_link, struct job, link);
        list_for_each(link, &job->busy) {
            int64_t still = standstill_ms(container_of(link, struct task, link), now);
            oldest = still > oldest ? still : oldest;
        }
    }
    return oldest;
}

void engine_stats(const struct engine *engine, struct engine_stats *ret)
{
    const struct pool *pool = scheduler_pool(engine->scheduler);
    *ret = engine->counts;
    ret->queued = (int64_t)engine->queue.count;
    ret->running = (int64_t)engine->n_running;
    ret->workers = (int64_t)engine->options.workers;
    ret->workers_busy = (int64_t)pool_busy(pool, POOL_STEPS);
    ret->oldest_step_ms = oldest_step_ms(engine);
    ret->draining = engine->draining;
}
