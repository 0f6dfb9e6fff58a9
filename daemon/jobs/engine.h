// SPDX-License-Identifier: Apache-2.0
//
// The hall where jobs wait and are called: table of jobs, states, scheduler, worker pool. Image-blind: what a
// kind of job does stands behind struct job_ops. Loop only, all of it; answers that need the store come later
// through a callback.
#pragma once

#include "base/loop.h"
#include "base/seal.h"
#include "base/secret.h"
#include "jobs/event_log.h"
#include "jobs/job.h"
#include "jobs/step.h"

struct engine;
struct store;

// May a host be asked now? The governor of `net`, seen through two functions. Each enter that answered true
// is followed by one leave; err NULL: well, ERR_CANCELLED: nothing was learned about this host (the step was
// cancelled, never began, or failed for another host's sake).
struct engine_gate {
    void *arg;
    bool (*enter)(void *arg, const char *host, int64_t now_ms, int64_t *ret_retry_at_ms);
    void (*leave)(void *arg, const char *host, int64_t now_ms, const struct error *err);
};

// Delay before the next attempt of a step, false: give up. The retry policy of `net`.
typedef bool (*engine_retry_fn)(void *arg, int attempt, const struct error *err, int64_t *ret_delay_ms,
                                int *ret_max);

struct engine_options {
    struct loop *loop;
    struct mailbox *mailbox;
    struct store *store;
    struct seal *seal;
    size_t workers;       // size of the pool; UV_THREADPOOL_SIZE was set to workers + queries before any use
    size_t query_workers; // reserved for queries
    size_t max_queued;    // jobs not terminal; beyond: ERR_OVERLOADED
    size_t max_queued_per_caller;
    size_t
        max_running; // jobs running at once, not counting those that can only wait (for a host, a back-off)
    size_t max_steps_per_job;  // running at once
    size_t kept_jobs;          // terminal jobs kept in memory (their events are in the store too)
    int64_t progress_ms;       // 100
    int64_t heartbeat_ms;      // 10,000
    int64_t attached_grace_ms; // 30,000
    bool paused;               // accept, but start nothing ([daemon] paused, for maintenance and measuring)
    struct engine_gate gate;
    engine_retry_fn retry;
    void *retry_arg;
    const struct job_ops *const *kinds; // NULL-terminated
};

// What is durable when: a job with its key before engine_submit answers; a kept event before a reader sees
// it; a checkpoint before advance is called for it; the outcome (event job.finished, then the row) before
// anybody sees a terminal state. A store that fails at submit or checkpoint fails that; at the end of a job
// it is asked again until it works.
struct engine *engine_new(const struct engine_options *options, struct error *err);
// Recovers every job that is not terminal (running ▸ queued, attempt + 1, job.requeued) and begins to start
// jobs.
int engine_start(struct engine *engine, struct error *err);
// Refuses new jobs (ERR_DRAINING); drained(arg) when nothing runs or after deadline_ms, whichever is first:
// what runs then is abandoned to the next start (its steps are cancelled, its job stays `running` in the
// store).
void engine_drain(struct engine *engine, int64_t deadline_ms, void (*drained)(void *arg), void *arg);
// After drained: waits for the workers, answers all waits with the job as it is, closes every event log (ends
// all streams). Asks the store nothing any more; what it has asked is still answered.
void engine_stop(struct engine *engine);
// After store_close, which delivers the store's last answers to this engine.
void engine_free(struct engine *engine);

struct engine_caller {
    int64_t uid; // -1: by token
    bool admin;  // sees and may act on everybody's jobs
};

struct engine_submit {
    const char *kind;
    const json_t *spec;   // validated, without auth; borrowed
    const json_t *auth;   // or NULL; borrowed; sealed before it touches the disk
    const json_t *labels; // or NULL
    int priority;
    int64_t deadline_ms; // 0 none
    bool attached;
    struct engine_caller caller;
    const char *idempotency_key; // or NULL
    const char *fingerprint;     // of the canonical body without auth
    const char *retry_of;        // or NULL
};

// job: borrowed for the call; NULL with err. replayed: the idempotency key was known.
typedef void (*engine_job_fn)(void *arg, struct job *job, bool replayed, const struct error *err);
// Answers after the job is durable (the 202), or with an error and nothing kept. A known idempotency key (per
// caller, 24 h) is answered with its job even when new ones are refused. Priorities are cut to ±100. May
// answer before it returns, as may all calls below that take a callback, except engine_query.
void engine_submit(struct engine *engine, const struct engine_submit *submit, engine_job_fn done, void *arg);

// A JSON job (api "The job") or an error; new reference given away. Terminal jobs of long ago come from the
// store.
typedef void (*engine_json_fn)(void *arg, json_t *value, const struct error *err);
void engine_get(struct engine *engine, const char *id, const struct engine_caller *caller,
                engine_json_fn done, void *arg);
// As engine_get, but answers when the job is terminal or after wait_ms. The ticket cancels the wait (client
// gone): done is not called then. NULL: done was called already. Who waits counts as present for a job with
// attached lifetime.
struct engine_wait;
struct engine_wait *engine_wait_start(struct engine *engine, const char *id,
                                      const struct engine_caller *caller, int64_t wait_ms,
                                      engine_json_fn done, void *arg);
void engine_wait_cancel(struct engine_wait *wait);

struct engine_list {
    const char *state, *kind, *label_key, *label_value, *cursor;
    int limit; // 1…1000
    struct engine_caller caller;
};
void engine_list(struct engine *engine, const struct engine_list *filter, engine_json_fn done,
                 void *arg); // {items,next,cursor}

// cancel: *began true ▸ 202, false ▸ was terminal already (200).
void engine_cancel(struct engine *engine, const char *id, const struct engine_caller *caller,
                   void (*done)(void *arg, json_t *job, bool began, const struct error *err), void *arg);
void engine_forget(struct engine *engine, const char *id, const struct engine_caller *caller,
                   void (*done)(void *arg, const struct error *err), void *arg);
// The spec of a terminal job to submit again: {kind, spec, labels, priority, had_auth}.
void engine_retry_spec(struct engine *engine, const char *id, const struct engine_caller *caller,
                       engine_json_fn done, void *arg);

// A query: one step on reserved workers, not journalled, belonging to no job, not tried again. finished runs
// on the loop, never before this returns; then the step is freed. err NULL: well. Until then the caller may
// raise step->monitor.cancelled. Too many waiting: ERR_OVERLOADED; a host that asked for a long pause:
// ERR_REGISTRY_RATE_LIMIT.
void engine_query(struct engine *engine, struct step *step,
                  void (*finished)(void *arg, struct step *step, const struct error *err), void *arg);

struct engine_stats {
    int64_t queued, running, workers, workers_busy, finished_succeeded, finished_failed, finished_cancelled;
    int64_t oldest_step_ms; // how long the longest-running step has made no progress: for the watchdog
    bool draining;
};
void engine_stats(const struct engine *engine, struct engine_stats *ret);
