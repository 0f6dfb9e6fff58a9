// SPDX-License-Identifier: Apache-2.0
//
// A job as its plan sees it (struct job_ops) and as a reader sees it (job_to_json). Loop only.
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "jobs/step.h"

enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_CANCELLING, JOB_SUCCEEDED, JOB_FAILED, JOB_CANCELLED };

struct job;

// What a kind of job does. All calls on the loop; none may block.
struct job_ops {
    const char *kind;
    // Begins an attempt. spec/auth/checkpoint are borrowed (auth and checkpoint may be NULL). Submits the
    // first steps.
    int (*start)(struct job *job, const json_t *spec, const json_t *auth, const json_t *checkpoint,
                 void **ret_plan, struct error *err);
    // After each step that is done, joined or committed as checkpoint: submit what has become possible. The
    // job ends when this returned 0 and no step and no checkpoint is open …
    int (*advance)(struct job *job, void *plan, struct error *err);
    // The `result` member without `stats` (the engine adds it); also asked for when a job failed with
    // ERR_PARTIAL. New reference or NULL.
    json_t *(*result)(struct job *job, void *plan);
    void (*free)(void *plan); // no step is left
    // … well, if all is done by then; a plan that stopped half-way fails (ERR_INTERNAL). NULL: always.
    bool (*complete)(const void *plan);
};

const char *job_id(const struct job *job);
enum job_state job_state(const struct job *job);
const char *job_state_name(enum job_state state);
bool job_state_terminal(enum job_state state);
int64_t job_owner_uid(const struct job *job); // -1: by token
int job_attempt(const struct job *job);

// For plans.
void job_submit_step(struct job *job,
                     struct step *step); // takes the step; runs when a worker and its hosts are free
// Journals what a later attempt may rely on, durably, then calls advance. Replaces the one before. Takes the
// reference.
void job_checkpoint(struct job *job, json_t *checkpoint);
// Keeps the job open while the plan waits for something that is neither step nor checkpoint (an answer of the
// store, say): each hold is answered by one release, which calls advance. The job stays valid until then; a
// plan that was given up meanwhile is not asked any more.
void job_hold(struct job *job);
void job_release(struct job *job);
bool job_ending(const struct job *job); // cancelled or failed: what is submitted now is freed at once
// A kept event; takes the members' reference.
void job_event(struct job *job, const char *type, json_t *members);
void job_warning(struct job *job, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// The job's progress: totals as the plan knows them, done as blobs end. What running steps have moved is
// added by the engine.
struct job_progress {
    int64_t bytes_total, bytes_done, bytes_skipped, bytes_mounted;
    int64_t blobs_total, blobs_done;
};
struct job_progress *job_progress_get(struct job *job); // borrowed; change it in done/advance
// Adds a finished step's monitor counters to `result.stats`. Called by the engine; plans need not.
void job_stats_add(struct job *job, const struct monitor *monitor);
// bytes_skipped / bytes_mounted of stats follow job_progress.

json_t *job_to_json(const struct job *job); // the shape of the API; new reference
