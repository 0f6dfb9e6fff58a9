// SPDX-License-Identifier: Apache-2.0
//
// Upload sessions of large blobs that outlive a step: what a registry has acknowledged is not sent again, neither by the next run
// of the step nor by the next attempt of the job after a restart. Kept in the store, sealed, because the URL of a session may
// hold a secret of the registry. A session belongs to one job, one repository and one digest, so it is never gone on with for
// other bytes. What no step wants any more once its job is over is ended at its registry. Loop only, unless said.
#pragma once

#include "base/error.h"
#include "base/loop.h"
#include "base/mailbox.h"
#include "base/seal.h"
#include "images/endpoint.h"

struct store;
struct engine;

struct upload_journal_options {
    struct loop *loop;
    struct mailbox *mailbox;
    struct store *store;
    struct seal *seal;
    struct registry *registry;
};

// All borrowed. Reads what an earlier life left: blocks, before the loop runs.
struct upload_journal *upload_journal_new(const struct upload_journal_options *options, struct error *err);
// Begins to end the sessions of jobs that are over; the engine has started.
void upload_journal_start(struct upload_journal *journal, struct engine *engine);
// Writes nothing any more: before the store is closed.
void upload_journal_stop(struct upload_journal *journal);
void upload_journal_free(struct upload_journal *journal); // NULL is fine

// The place in the journal for one blob on its way to one repository, with the session that an earlier run left if there is
// one. For one step at a time; upload_journal_release is owed.
struct upload_entry;
struct upload_entry *upload_journal_claim(struct upload_journal *journal, const struct job *job,
                                          const struct endpoint *endpoint, const struct descriptor *blob);
// A place that was claimed for a blob without a digest yet (and with the largest size that it can have): this is the one. One
// that never gets a name is ended with its job.
void upload_journal_name(struct upload_entry *entry, const struct descriptor *blob);
// The step has ended; a session that is noted waits for the job's next attempt, or for its end.
void upload_journal_release(struct upload_entry *entry);
// Worker that runs the step: blob_push_target.session. Caller frees; NULL: none.
char *upload_journal_session(struct upload_entry *entry);
// The same worker: it has changed. NULL: there is none any more.
void upload_journal_note(struct upload_entry *entry, const char *session);
// The same worker: blob_push_target.hasher and hashed, kept in memory beside the session. hasher: taken, or NULL.
void upload_journal_keep_hash(struct upload_entry *entry, struct hasher *hasher, int64_t hashed);
struct hasher *upload_journal_hash(struct upload_entry *entry, int64_t *ret_hashed); // takes it out; NULL: none
// A job may have ended: sees to what it left. NULL is fine.
void upload_journal_look(struct upload_journal *journal);
