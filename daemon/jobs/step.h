// SPDX-License-Identifier: Apache-2.0
//
// A step: one blocking piece of a job, run by one worker. It carries a const input, its own result and its
// own error, and belongs to exactly one side at a time: the loop until it is queued, the worker while `run`
// runs, the loop again when `done` is called. Embed struct step as first member of the concrete step.
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "base/list.h"
#include "base/mailbox.h"
#include "base/monitor.h"

struct job;
struct step;

enum { STEP_HOSTS_MAX = 8 };

struct step_ops {
    // Worker. May block, must look at step->monitor.cancelled, must not touch the job. A retryable error
    // (err->retryable) makes the engine run the step again later: what is done stays in the step.
    int (*run)(struct step *step, struct error *err);
    // Loop, after a successful run: folds the result into the plan. NULL: nothing to fold.
    int (*done)(struct step *step, struct job *job, struct error *err);
    // Loop, in place of run + done when another step with the same flight_key did the same work: NULL: run it
    // anyway.
    int (*joined)(struct step *step, struct step *other, struct job *job, struct error *err);
    // Loop, before joined: false if what the other one did only helps, and this step runs after all. It may
    // be changed here, its flight_key too. NULL: true.
    bool (*joins)(struct step *step, const struct step *other);
    // Loop, after a failed run, before the wait for the next one: true if those that wait for this step need
    // not wait that long, too; its flight_key may be changed here. NULL: they wait.
    bool (*parts)(struct step *step);
    // Loop, always last.
    void (*free)(struct step *step);
    // Loop, after the last failed run: 0 if the plan goes on without this step's result (one item of a batch,
    // say), else the job fails with err. May be NULL. Borrows err.
    int (*failed)(struct step *step, struct job *job, const struct error *err);
};

struct step {
    const struct step_ops *ops;
    char *name;                  // for people and events: "pack layer 1", "blob sha256:1234…" ; owned
    char *blob;                  // `blob` member of its events, or NULL; owned
    char *hosts[STEP_HOSTS_MAX]; // registries it will ask: the gate is passed for each before it is queued;
                                 // owned
    char *side_host;             // one that it asks on the side, if that one is open when the step begins: else it is
                                 // NULL by then; owned
    char *flight_key;            // same key in flight: one runs, the others wait and join; NULL: never; owned
    int64_t size_hint;           // bytes to move; smaller goes first within a job
    bool cached;                 // set by run: nothing had to be done (`cached` of step.finished)
    struct monitor monitor;
    // engine's own
    struct job *job; // NULL: a query
    struct engine *engine;
    struct error error; // of the last run
    int attempt;        // runs begun so far
    struct task *task;  // its way through the engine
};

// Fills the base members; texts are copied. The concrete step sets hosts, flight_key, size_hint afterwards.
void step_init(struct step *step, const struct step_ops *ops, const char *name, const char *blob);
// Ends a step that was never submitted. The engine ends those it was given in the same way: the base's texts
// and error are freed and set to NULL, then ops->free ends the rest and the memory.
void step_free(struct step *step);
// Worker or loop: an event of the job, through the mailbox when called on a worker. members: takes the
// reference; NULL for none. kept events only (blob.state, warning, log). Dropped for a query. The `state` of
// the last blob.state is the `phase` of the progress events. Only while the step runs, or on the loop in
// done/joined.
void step_event(struct step *step, const char *type, json_t *members);
