// SPDX-License-Identifier: Apache-2.0
//
// A step on its way through the engine: what the engine keeps beside the step that a plan or a handler made.
// One task per submitted step, ended together with it. Loop only, but for the moment in which a worker runs
// the step.
#pragma once

#include "base/loop.h"
#include "base/mailbox.h"
#include "jobs/meter.h"
#include "jobs/step.h"

struct flight;
struct lane;
struct scheduler;
struct step_group;

enum task_place {
    TASK_OUT,     // not with the scheduler
    TASK_READY,   // in its lane
    TASK_RUNNING, // with a worker
    TASK_PARKED,  // another task of its flight runs
    TASK_DELAYED, // until its timer fires
};

enum { TASK_PHASE_MAX = 24 };

// The newest progress event of a task or a job, in its job's list.
struct snapshot {
    struct list link;
    struct event *event; // NULL: none
    int64_t version;
    int64_t value, rate; // what it told, to leave out repetitions
};

struct task {
    struct step *step;
    struct job *job; // NULL: a query
    enum task_place place;
    int number;       // within the job
    bool announced;   // step.started was sent
    int64_t begun_ms; // first run
    struct list link; // job's list of tasks, or the scheduler's list of queries
    struct scheduler *scheduler;
    struct step_group *group;
    struct lane *lane; // NULL: not ready
    size_t heap_index;
    uint64_t order;        // of submission: equals go first in, first out
    struct flight *flight; // NULL: no key
    struct list flight_link;
    struct loop_timer *timer;
    int result; // of run
    // what readers see while it runs
    char phase[TASK_PHASE_MAX];
    struct meter meter;
    struct snapshot snapshot;
    int64_t moved_seen, moved_seen_ms; // for the watchdog
    // queries
    void (*finished)(void *arg, struct step *step, const struct error *err);
    void *finished_arg;
};

struct task *task_new(struct step *step, struct job *job);
void task_free(struct task *task); // and its step; it must be in no list, heap or flight
// Everything the step has counted, as a sign of life.
int64_t task_moved(const struct task *task);
const char *task_flight_key(const struct task *task); // or NULL

// Smallest size_hint first, then first submitted. An array heap; each task knows its place in it.
struct task_heap {
    struct task **tasks;
    size_t count, capacity;
};
void task_heap_add(struct task_heap *heap, struct task *task);
struct task *task_heap_first(const struct task_heap *heap); // borrowed or NULL
void task_heap_remove(struct task_heap *heap, struct task *task);
void task_heap_fini(struct task_heap *heap);
