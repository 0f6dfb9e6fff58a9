// SPDX-License-Identifier: Apache-2.0
//
// What a job is made of, for this room only. Fields change in the module named beside them. Loop only.
#pragma once

#include "base/id.h"
#include "base/loop.h"
#include "jobs/event_log.h"
#include "jobs/event_window.h"
#include "jobs/fair.h"
#include "jobs/job.h"
#include "jobs/meter.h"
#include "jobs/scheduler.h"
#include "store/store.h"

struct engine;

// One caller's share of the queue's limits; exists while he has jobs that are not terminal.
struct caller {
    char key[24]; // uid
    int64_t uid;
    size_t open;
};

// event_log.c, event_reader.c
struct job_log {
    struct event_window window;
    int64_t last_seq;    // newest that exists
    int64_t visible_seq; // newest that readers may see
    struct list readers; // all of this job
    size_t followers;    // those of them that wait for more
    struct list wake_link;
};

struct job_stats {
    int64_t bytes_sent, bytes_received, requests, retries, tokens;
};

struct job {
    char id[ID_LEN + 1];
    struct engine *engine;
    const struct job_ops *ops; // NULL: a kind that this program does not know
    char *kind;
    enum job_state state; // as readers see it: terminal only once that is durable
    int attempt;
    int priority;
    int64_t uid;
    int64_t created_ms, started_ms, finished_ms; // wall clock
    int64_t begun_ms;                            // clock_ms of the attempt
    int64_t deadline_ms;                         // after created_ms, 0 none
    bool attached, had_auth;
    char *retry_of;
    // From the request, as texts: thousands of jobs may wait. labels_text may be NULL.
    char *spec_text, *labels_text;
    json_t *spec; // parsed: while an attempt is under way, or somebody reads its events
    void *sealed;
    size_t sealed_len;
    json_t *auth; // while an attempt is under way
    json_t *checkpoint;
    char *trouble;  // why a step was tried again the last time, or NULL
    json_t *result; // result and error are shown when terminal
    struct error error;

    struct caller *caller;      // while not terminal
    struct fair_entry queued;   // admission
    struct loop_timer *timer;   // deadline
    struct loop_timer *backoff; // before a requeued job lines up again
    struct loop_timer *lonely;  // attached: nobody is reading
    struct list waits;          // engine_wait
    struct list link;           // engine's list of running, or of terminal jobs

    // attempt.c
    void *plan;
    bool begun;        // an attempt is under way: counts as running
    bool started;      // the plan may be asked
    bool calling;      // the plan is being asked
    bool ending;       // its outcome is decided
    bool closed;       // the outcome was handed to the store
    bool recovering;   // was running before the restart; not yet decided what becomes of it
    bool cancel_later; // asked for meanwhile
    enum job_state outcome;
    struct list tasks; // its tasks that do not run, by task->link
    struct list busy;  // those that run
    size_t open;       // tasks, checkpoints and holds
    int tasks_made;
    struct step_group group;
    struct job_progress progress;
    struct job_stats stats;

    // finish.c
    bool event_durable, row_durable, saving;
    struct list finish_link;

    // progress.c
    struct meter meter;
    struct list ticking;   // engine's list of jobs that have live followers
    struct list snapshots; // struct snapshot, the newest last
    struct snapshot total; // of the job itself
    int64_t version;

    struct job_log log;
};

struct job *job_new(struct engine *engine, const char *kind);
// A copy of a stored row, not known to the engine yet.
struct job *job_from_row(struct engine *engine, const struct store_job *row);
void job_free(struct job *job);
const json_t *job_spec(struct job *job);       // borrowed; stays in memory until job_spec_drop
void job_spec_drop(struct job *job);           // if nobody needs it
json_t *job_spec_new(const struct job *job);   // new reference
json_t *job_labels_new(const struct job *job); // new reference
// What the engine keeps beside the columns of a row; new text.
char *job_extra_text(const struct job *job);
json_t *job_error_json(const struct job *job); // the problem document, or NULL; new reference
