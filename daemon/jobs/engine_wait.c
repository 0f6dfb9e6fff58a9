// SPDX-License-Identifier: Apache-2.0
//
// A wait hangs on its job while that is not terminal, with a timer of its own. For a job that is not in
// memory there is nothing to wait for: the answer comes from the store.
#include "jobs/engine_wait.h"

#include "base/mem.h"
#include "jobs/attempt.h"
#include "jobs/engine_core.h"
#include "jobs/job_core.h"

struct engine_wait {
    struct list link;
    struct job *job; // NULL: the store was asked
    struct loop_timer *timer;
    engine_json_fn done; // NULL: cancelled
    void *arg;
};

static void wait_free(struct engine_wait *wait)
{
    struct job *job = wait->job;
    list_remove(&wait->link);
    loop_timer_free(wait->timer);
    free(wait);
    if (job && !job_state_terminal(job->state))
        attempt_watch_lonely(job);
}

static void answer(struct engine_wait *wait)
{
    engine_json_fn done = wait->done;
    void *arg = wait->arg;
    json_t *json = job_to_json(wait->job);
    wait_free(wait);
    done(arg, json, NULL);
}

void engine_wait_answer(struct job *job)
{
    struct list todo = LIST_INIT(todo);
    list_splice(&todo, &job->waits);
    for (struct list *link; (link = list_take_first(&todo)) != NULL;)
        answer(container_of(link, struct engine_wait, link));
}

void engine_wait_end_all(struct job *job)
{
    engine_wait_answer(job);
}

static void on_time(void *arg)
{
    answer(arg);
}

static void on_stored(void *arg, json_t *value, const struct error *err)
{
    struct engine_wait *wait = arg;
    if (wait->done)
        wait->done(wait->arg, value, err);
    else
        json_decref(value);
    wait_free(wait);
}

struct engine_wait *engine_wait_start(struct engine *engine, const char *id,
                                      const struct engine_caller *caller, int64_t wait_ms,
                                      engine_json_fn done, void *arg)
{
    struct job *job = engine_find(engine, id);
    bool pending = job && engine_may_see(caller, job->uid) && !job_state_terminal(job->state);
    if (wait_ms <= 0 || (job && !pending) || !id_valid(id)) {
        engine_get(engine, id, caller, done, arg);
        return NULL;
    }
    struct engine_wait *wait = mem_new(struct engine_wait);
    list_init(&wait->link);
    wait->done = done;
    wait->arg = arg;
    if (!job) {
        engine_get(engine, id, caller, on_stored, wait);
        return wait;
    }
    wait->job = job;
    wait->timer = loop_timer_new(engine->loop, on_time, wait);
    loop_timer_start(wait->timer, wait_ms);
    list_append(&job->waits, &wait->link);
    attempt_watch_lonely(job);
    return wait;
}

void engine_wait_cancel(struct engine_wait *wait)
{
    if (!wait->job)
        wait->done = NULL; // the store's answer frees it
    else
        wait_free(wait);
}
