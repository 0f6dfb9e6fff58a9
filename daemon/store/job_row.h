// SPDX-License-Identifier: Apache-2.0
//
// Copies of rows that travel between threads: one block of memory each, texts included.
#pragma once

#include "base/list.h"
#include "store/database.h"
#include "store/store.h"

struct job_row {
    struct list link;
    struct store_job job; // points into the block
};

struct job_row *job_row_new(const struct store_job *job); // copies; free() ends it

// What job_row_read expects of a SELECT from "jobs j", in this order; the query names specs and, if it wants
// them, sealed texts itself. last_seq: an SQL expression.
#define JOB_ROW_COLUMNS_SEQ(last_seq)                                                                        \
    "j.id, j.kind, j.state, j.attempt, j.priority, j.created_ms, j.started_ms, j.finished_ms, j.uid,"        \
    " " last_seq ", s.spec, j.labels, j.extra, j.result, j.error, j.checkpoint, j.sum, s.sum"
#define JOB_ROW_EVENTS_SEQ "coalesce((SELECT max(seq) FROM events WHERE job = j.id), 0)"
#define JOB_ROW_COLUMNS JOB_ROW_COLUMNS_SEQ("max(j.last_seq, " JOB_ROW_EVENTS_SEQ ")")
enum { JOB_ROW_SEALED = 18 }; // column behind them

// The current row; borrowed until the statement moves on.
void job_row_read(struct statement *statement, struct store_job *ret);
// Whether the row that was just read is, byte for byte, what was written: SQLite finds damage of its pages, not
// of what they hold. Rows of before schema version 2 have empty checksums and pass.
bool job_row_intact(struct statement *statement, const struct store_job *job);
// Checksum of what an update writes; caller frees.
char *job_row_state_sum(const struct store_job *job);
bool job_row_terminal(const char *state);
// The job, its spec and its sealed text, in the current transaction.
int job_row_insert(struct database *db, const struct store_job *job, struct error *err);
int job_row_insert_key(struct database *db, const char *id, const char *key, const char *fingerprint,
                       int64_t created_ms, struct error *err);
int job_row_insert_event(struct database *db, const struct store_event *event, struct error *err);
// Deletes a job with everything that hangs on it, in the current transaction. 1 done, 0 there is none, -1.
int job_row_delete(struct database *db, const char *id, struct error *err);
