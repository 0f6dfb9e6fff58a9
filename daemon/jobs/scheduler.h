// SPDX-License-Identifier: Apache-2.0
//
// Which step runs next. Steps of one group (a job; all queries together) that ask the same hosts stand in one
// lane, the smallest first. Lanes that may run take turns: higher priority first, then caller by caller, then
// lane by lane, so one job with 500 blobs does not hold up fifty small ones. A lane leaves the line while its
// host is closed or its job runs as many steps as it may. Loop only.
#pragma once

#include "jobs/engine.h"
#include "jobs/pool.h"
#include "jobs/task.h"

struct scheduler;

struct step_group {
    enum pool_class class;
    int priority;
    int64_t caller;
    size_t running, max_running; // max_running 0: no limit
    struct list lanes;           // those that have steps
    size_t tasks;                // submitted and not over
    bool stalled; // none of them runs or may run: all wait for a host, a timer or another job's step
};
void step_group_init(struct step_group *group, enum pool_class class, int priority, int64_t caller,
                     size_t max_running);

struct scheduler_options {
    struct loop *loop;
    struct mailbox *mailbox;
    size_t limits[POOL_CLASSES];
    struct engine_gate gate;
    void (*starting)(void *arg, struct task *task); // it is about to be handed to a worker
    // A worker has run it: task->result and step->error tell. Also for a query that was cancelled before it
    // ran.
    void (*finished)(void *arg, struct task *task);
    void *arg;
};

struct scheduler *scheduler_new(const struct scheduler_options *options);
void scheduler_free(struct scheduler *scheduler); // no task may be left

// The task may run now; it enters the flight of its key. A worker gets it in scheduler_dispatch, never here.
void scheduler_submit(struct scheduler *scheduler, struct step_group *group, struct task *task);
void scheduler_delay(struct scheduler *scheduler, struct step_group *group, struct task *task,
                     int64_t delay_ms);
// Takes a task that does not run out of wherever it waits.
void scheduler_withdraw(struct scheduler *scheduler, struct task *task);
// A task that has run leaves its flight: it failed for good (another member runs) …
void scheduler_flight_failed(struct scheduler *scheduler, struct task *task);
// … or it succeeded: the other members need not run. They are out of the scheduler, in `others` by
// flight_link; whoever is withdrawn meanwhile leaves that list.
void scheduler_flight_landed(struct scheduler *scheduler, struct task *task, struct list *others);
// Fills the free workers. Cheap when nothing has changed since.
void scheduler_dispatch(struct scheduler *scheduler);
struct pool *scheduler_pool(struct scheduler *scheduler);    // borrowed
size_t scheduler_stalled(const struct scheduler *scheduler); // groups of steps that are stalled
