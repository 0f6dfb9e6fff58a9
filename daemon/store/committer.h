// SPDX-License-Identifier: Apache-2.0
//
// Group commit: runs a list of writes as one transaction and finds out, when that fails, which of them can be
// saved. Owned by the writer thread (opened on the loop before the thread starts).
#pragma once

#include "base/list.h"
#include "store/store_op.h"

struct committer;

// Opens DIRECTORY/dray.db, migrates it, and sets a file aside that is damaged beyond reading.
struct committer *committer_open(const char *directory, struct error *err);
void committer_free(struct committer *committer); // what is still held is lost (logged)

// Runs every operation of the list in order. Afterwards each is either still in the list with op->err telling
// how it went, or (kind->kept, storage failed) held back for the next call.
void committer_commit(struct committer *committer, struct list *ops);
// After the answers are on their way: keeps the log short.
void committer_tidy(struct committer *committer);
// Called when nothing was queued for a while: tries again what is held, tidies the log.
void committer_idle(struct committer *committer);
bool committer_restless(const struct committer *committer); // committer_idle has something to do

struct committer_stats {
    int64_t commits, operations, failures, held, bytes;
    bool failing;      // the last commit failed
    bool out_of_space; // new jobs are refused
};
void committer_stats(struct committer *committer, struct committer_stats *ret);
