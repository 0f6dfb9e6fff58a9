// SPDX-License-Identifier: Apache-2.0
//
// One step on the workers reserved for queries. Whoever asked may raise the step's cancel flag at any time
// until finished is called. Refusals come from the mailbox, too, so finished is never called before
// engine_query has returned.
#include "jobs/query.h"

#include "base/clock.h"
#include "base/mem.h"
#include "jobs/engine_core.h"

enum { QUERIES_PER_WORKER = 64 };

struct refusal {
    struct letter letter;
    struct task *task;
};

static void end(struct task *task)
{
    struct step *step = task->step;
    struct engine *engine = step->engine;
    list_remove(&task->link);
    engine->n_queries--;
    task->finished(task->finished_arg, step, task->result < 0 ? &step->error : NULL);
    task_free(task);
    engine_drain_check(engine);
}

static void on_refusal(struct letter *letter)
{
    struct refusal *refusal = container_of(letter, struct refusal, letter);
    struct task *task = refusal->task;
    free(refusal);
    end(task);
}

static void refuse(struct engine *engine, struct task *task)
{
    struct refusal *refusal = mem_new(struct refusal);
    refusal->letter.deliver = on_refusal;
    list_init(&refusal->letter.link);
    refusal->task = task;
    task->result = -1;
    mailbox_post(engine->mailbox, &refusal->letter);
}

static bool admit(struct engine *engine, struct error *err)
{
    if (engine->stopped || engine->abandoned)
        return error_set(err, ERR_DRAINING, "the daemon is shutting down") == 0;
    if (engine->n_queries <= engine->options.query_workers * QUERIES_PER_WORKER)
        return true;
    error_set(err, ERR_OVERLOADED, "too many image queries are waiting");
    err->retry_after_ms = 1000;
    return false;
}

void engine_query(struct engine *engine, struct step *step,
                  void (*finished)(void *arg, struct step *step, const struct error *err), void *arg)
{
    struct task *task = task_new(step, NULL);
    step->engine = engine;
    task->finished = finished;
    task->finished_arg = arg;
    engine->n_queries++;
    list_append(&engine->query_tasks, &task->link);
    if (admit(engine, &step->error))
        scheduler_submit(engine->scheduler, &engine->queries, task);
    else
        refuse(engine, task);
}

void query_starting(struct task *task)
{
    task->begun_ms = task->moved_seen_ms = clock_ms();
}

void query_finished(struct task *task)
{
    scheduler_flight_failed(task->step->engine->scheduler, task); // in no flight: harmless
    end(task);
}

void query_cancel_all(struct engine *engine)
{
    list_for_each_safe(link, &engine->query_tasks) {
        struct task *task = container_of(link, struct task, link);
        atomic_store(&task->step->monitor.cancelled, true);
        if (!task->lane)
            continue;
        scheduler_withdraw(engine->scheduler, task);
        error_set(&task->step->error, ERR_DRAINING, "the daemon is shutting down");
        refuse(engine, task);
    }
}
