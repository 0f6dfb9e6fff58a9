// SPDX-License-Identifier: Apache-2.0
//
// Durable tables behind one asynchronous interface: jobs, kept events, idempotency keys, blob locations,
// layer records, upload offsets. One writer thread with group commit; the answer comes through the mailbox on
// the loop, after the commit is durable. A second backend (PostgreSQL) can stand behind the same calls. Only
// the loop calls, unless said.
//
// A store_done callback gets NULL on success, else the error (borrowed); it is always called later, never
// from within the call. Everything passed in is copied. Writes are answered in the order made; a query sees
// every write made before it (and is answered after it), but writes made after it may be answered first.
//
// Errors: ERR_CONFLICT and ERR_NOT_FOUND as said at each call; ERR_NO_SPACE when the disk is full,
// ERR_INTERNAL when it fails. After either nothing of the call is kept, the store goes on and later calls may
// succeed. When the disk is full, new jobs are refused but a reserve is freed for what changes and finishes
// those that are there.
#pragma once

#include "base/digest.h"
#include "base/error.h"
#include "base/json.h"
#include "base/mailbox.h"

struct store;

struct store_job {
    const char *id; // ULID
    const char *kind;
    const char *state; // "queued" …
    int attempt;
    int priority;
    int64_t created_ms, started_ms, finished_ms; // wall clock, 0 = not yet
    int64_t uid;                                 // owner
    const char *spec;                            // JSON text, without auth
    const char *labels;                          // JSON text
    const char *extra;      // JSON text: what the engine keeps beside (deadline, lifetime, retry_of, …)
    const char *result;     // JSON text or NULL
    const char *error;      // problem JSON text or NULL
    const char *checkpoint; // JSON text or NULL: what a later attempt may rely on
    const void *sealed;     // sealed inline credentials or NULL; store_recover alone gives them out
    size_t sealed_len;
    // Newest kept event. Rows that are read tell a newer one if it is in the table of events; store_recover
    // tells what is in that table alone (0: none).
    int64_t last_seq;
};

struct store_event {
    const char *job;
    int64_t seq;      // dense per job
    int64_t cursor;   // global order, given by the engine, strictly rising
    const char *text; // the whole JSON line
    int64_t uid;      // owner of the job: filled in by the lists, ignored by store_event_append
};

typedef void (*store_done_fn)(void *arg, const struct error *err);
// Rows are borrowed for the call. row NULL: end (err says whether it failed).
typedef void (*store_job_fn)(void *arg, const struct store_job *row, const struct error *err);
typedef void (*store_event_fn)(void *arg, const struct store_event *row, const struct error *err);
typedef void (*store_text_fn)(void *arg, const char *text, const struct error *err); // text NULL: not there

// Opens or makes DIRECTORY/dray.db, migrates the schema, starts the writer. A database that is newer than
// this program is refused; one that is damaged is set aside (renamed, logged) only if it cannot be read at
// all. Start-up always is recovery.
struct store *store_open(const char *directory, struct mailbox *mailbox, struct error *err);
// Commits what is queued, delivers all answers, ends the threads.
void store_close(struct store *store);
// For /metrics and /readyz.
struct store_stats {
    int64_t queued;     // calls not yet answered
    int64_t commits;    // groups
    int64_t operations; // writes in them
    int64_t failures;   // commits that failed
    int64_t bytes;      // of the database file
    bool failing;       // the last commit failed
    bool out_of_space;  // new jobs are refused
};
void store_stats(struct store *store, struct store_stats *ret);
// Blocking, before the loop runs: every job that is not terminal, oldest first, then row NULL. Then the
// highest cursor.
int store_recover(struct store *store, store_job_fn each, void *arg, int64_t *ret_last_cursor,
                  struct error *err);

// Inserts a job and, if key is not NULL, its idempotency key in one commit. The 202 waits for done.
// ERR_CONFLICT if the id or the key is there already: nothing is changed then.
void store_job_insert(struct store *store, const struct store_job *job, const char *key,
                      const char *key_fingerprint, store_done_fn done, void *arg);
// Replaces all columns but spec/labels/extra/created/uid/sealed of the row. wipe_sealed overwrites and drops
// the sealed text. Durable before done, except for state "running" without a checkpoint (a power cut may
// bring back the state before; a crash of the daemon does not). ERR_NOT_FOUND.
void store_job_update(struct store *store, const struct store_job *job, bool wipe_sealed, store_done_fn done,
                      void *arg);
// With its events, keys and sealed text. ERR_NOT_FOUND.
void store_job_delete(struct store *store, const char *id, store_done_fn done, void *arg);
// The row if there is one, then the end.
void store_job_find(struct store *store, const char *id, store_job_fn found, void *arg);
// Newest first, ids below `before` (NULL: newest), filters may be NULL; at most limit rows, then end.
struct store_job_filter {
    const char *state, *kind, *label_key, *label_value, *before;
    int64_t uid; // -1 any
    int limit;
};
void store_job_list(struct store *store, const struct store_job_filter *filter, store_job_fn each, void *arg);
// The job id and fingerprint that a key was used with, as JSON text {"job","fingerprint","created_ms"}.
void store_key_find(struct store *store, const char *key, store_text_fn found, void *arg);

// Events are committed with the next group; a power cut may take the newest ones, but never events that were
// appended before a durable call (a job's end) that was answered. When the disk fails they are held and
// written later, in order.
void store_event_append(struct store *store, const struct store_event *event);
// Answered when all events appended before are committed; with an error when some had to be held back (they
// are tried again; flush again later). Readers are shown what was flushed, so nobody sees an event that a
// crash of the daemon takes back.
void store_flush(struct store *store, store_done_fn done, void *arg);
// At most limit rows (and never more than 10,000), then the end. Events of jobs that are not there are not
// listed.
void store_event_list(struct store *store, const char *job, int64_t since_seq, int limit, store_event_fn each,
                      void *arg);
void store_event_list_all(struct store *store, int64_t after_cursor, int limit, store_event_fn each,
                          void *arg);

// Small durable facts: blob locations, layer records, mounts that work, upload offsets. One table, `kind`
// apart, with age. Facts save time and are never answered: one that cannot be written is lost (and logged).
// expires_wall_ms 0: never.
void store_fact_put(struct store *store, const char *kind, const char *key, const char *value,
                    int64_t expires_wall_ms);
void store_fact_find(struct store *store, const char *kind, const char *key, store_text_fn found, void *arg);
void store_fact_delete(struct store *store, const char *kind, const char *key);
// Blocking, before the loop runs: every fact of a kind that has not expired.
int store_fact_each(struct store *store, const char *kind,
                    void (*each)(void *arg, const char *key, const char *value, int64_t expires_wall_ms),
                    void *arg, struct error *err);

// Retention, run by the loop's timer: terminal jobs beyond these limits go, oldest end first, with their
// events and keys. Keys and facts that are too old go too. Works in small pieces between other calls; done
// comes after the last.
struct store_retention {
    int64_t jobs_age_ms;  // since the end; 0: no limit, as for all of these
    int64_t jobs_count;   // terminal jobs kept
    int64_t events_bytes; // of all jobs together
    int64_t keys_age_ms;
};
void store_prune(struct store *store, const struct store_retention *limits, store_done_fn done, void *arg);
