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
// them, sealed texts itself.
#define JOB_ROW_COLUMNS                                                                                      \
    "j.id, j.kind, j.state, j.attempt, j.priority, j.created_ms, j.started_ms, j.finished_ms, j.uid,"        \
    " max(j.last_seq, coalesce((SELECT max(seq) FROM events WHERE job = j.id), 0)),"                         \
    " s.spec, j.labels, j.extra, j.result, j.error, j.checkpoint"
enum { JOB_ROW_SEALED = 16 }; // column behind them

// The current row; borrowed until the statement moves on.
void job_row_read(struct statement *statement, struct store_job *ret);
// Deletes a job with everything that hangs on it, in the current transaction. 1 done, 0 there is none, -1.
int job_row_delete(struct database *db, const char *id, struct error *err);
