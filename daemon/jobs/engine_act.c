// SPDX-License-Identifier: Apache-2.0
//
// What is asked of jobs that exist: cancel and forget.
#include <string.h>

#include "base/mem.h"
#include "jobs/attempt.h"
#include "jobs/engine_core.h"
#include "jobs/event_reader.h"
#include "jobs/job_core.h"

// --- cancel

typedef void (*cancel_fn)(void *arg, json_t *job, bool began, const struct error *err);

struct cancel {
    cancel_fn done;
    void *arg;
};

static void on_old_job(void *arg, json_t *value, const struct error *err)
{
    struct cancel *cancel = arg;
    cancel->done(cancel->arg, value, false, err);
    free(cancel);
}

void engine_cancel(struct engine *engine, const char *id, const struct engine_caller *caller, cancel_fn done,
                   void *arg)
{
    struct job *job = engine_find(engine, id);
    if (job && engine_may_see(caller, job->uid) && !job_state_terminal(job->state)) {
        attempt_cancel(job, ERR_CANCELLED, "request");
        done(arg, job_to_json(job), true, NULL);
        return;
    }
    struct cancel *cancel = mem_new(struct cancel);
    cancel->done = done;
    cancel->arg = arg;
    engine_get(engine, id, caller, on_old_job, cancel);
}

// --- forget

typedef void (*forget_fn)(void *arg, const struct error *err);

struct forget {
    struct engine *engine;
    char id[ID_LEN + 1];
    forget_fn done;
    void *arg;
};

static void end(struct forget *forget, const struct error *err)
{
    forget->done(forget->arg, err);
    free(forget);
}

static void drop_from_memory(struct engine *engine, struct job *job)
{
    if (!job || !job_state_terminal(job->state))
        return;
    event_readers_cut(job);
    table_take(engine->jobs, job->id);
    engine->n_terminal--;
    job_free(job);
}

static void on_deleted(void *arg, const struct error *err)
{
    struct forget *forget = arg;
    if (!err && !forget->engine->stopped)
        drop_from_memory(forget->engine, engine_find(forget->engine, forget->id));
    end(forget, err);
}

static void on_found(void *arg, json_t *value, const struct error *err)
{
    struct forget *forget = arg;
    CLEANUP(error_clear) struct error fault = ERROR_INIT;
    bool terminal = json_get_bool(value, "terminal", false);
    json_decref(value);
    if (err || !terminal) {
        if (!err)
            error_set(&fault, ERR_CONFLICT, "job %s is not finished; cancel it first", forget->id);
        end(forget, err ? err : &fault);
        return;
    }
    store_job_delete(forget->engine->store, forget->id, on_deleted, forget);
}

void engine_forget(struct engine *engine, const char *id, const struct engine_caller *caller, forget_fn done,
                   void *arg)
{
    struct forget *forget = mem_new(struct forget);
    forget->engine = engine;
    forget->done = done;
    forget->arg = arg;
    if (id_valid(id))
        memcpy(forget->id, id, ID_LEN);
    engine_get(engine, id, caller, on_found, forget);
}
