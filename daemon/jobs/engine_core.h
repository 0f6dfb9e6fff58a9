// SPDX-License-Identifier: Apache-2.0
//
// What the engine is made of, for this room only: the composition of admission, scheduler, feed and the
// tables of jobs.
#pragma once

#include <pthread.h>

#include "base/table.h"
#include "jobs/engine.h"
#include "jobs/fair.h"
#include "jobs/scheduler.h"

struct job;
struct caller;
struct feed;

enum { ENGINE_PRIORITY_MAX = 100, ENGINE_RETRY_SAVE_MS = 1000 };

struct engine {
    struct engine_options options;
    struct loop *loop;
    struct mailbox *mailbox;
    struct store *store;
    pthread_t loop_thread;
    struct loop_prepare *turn;
    struct scheduler *scheduler;
    struct feed *feed;

    struct table *jobs;    // by id: all that are not terminal, and the newest that are
    struct table *callers; // by uid
    struct table *keys;    // idempotency keys whose first request is on its way
    struct fair queue;     // jobs that wait to be started
    struct list running;   // jobs whose attempt is under way
    struct list terminal;  // oldest first
    size_t n_open, n_running, n_terminal, n_submitting;

    struct list finishing; // outcome handed to the store, oldest first
    struct list unsaved;   // rows that could not be written
    struct loop_timer *save_timer;

    struct list ticking;
    struct loop_timer *ticker;

    struct step_group queries;
    size_t n_queries;
    struct list query_tasks;

    bool started, draining, stopped, abandoned;
    struct loop_timer *drain_timer;
    int drain_phase;
    int64_t drain_deadline_ms;
    void (*drained)(void *arg);
    void *drained_arg;

    struct engine_stats counts; // finished_*
};

const struct job_ops *engine_kind(const struct engine *engine, const char *kind); // or NULL
struct job *engine_find(const struct engine *engine, const char *id);             // in memory, or NULL
bool engine_may_see(const struct engine_caller *caller, int64_t uid);
// Counts a job that is not terminal for its caller; false with ERR_OVERLOADED.
int engine_job_open(struct engine *engine, struct job *job, bool limited, struct error *err);
void engine_job_close(struct engine *engine, struct job *job);
// The job became terminal: it may leave memory now or later.
void engine_job_retire(struct engine *engine, struct job *job);
void engine_evict(struct engine *engine);
int engine_error_not_found(struct error *err, const char *id);
bool engine_workers_idle(const struct engine *engine);
// Something ran to its end: a drain may be over.
void engine_drain_check(struct engine *engine);
