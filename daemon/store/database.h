// SPDX-License-Identifier: Apache-2.0
//
// The door of SQLite: a connection with its prepared statements, transactions, and the translation of
// SQLite's codes. One connection belongs to one thread. What fails is told apart by its code: ERR_CONFLICT
// and ERR_NOT_FOUND are the fault of the one call; ERR_NO_SPACE and ERR_INTERNAL are the storage's, and the
// transaction cannot be trusted.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct database;
struct statement;

enum database_mode { DATABASE_WRITE, DATABASE_READ, DATABASE_SALVAGE };

// Opens (DATABASE_WRITE: or makes, 0600) the file in WAL mode. *ret_damaged tells whether a failure means
// that the file is damaged; may be NULL.
struct database *database_open(const char *path, enum database_mode mode, bool *ret_damaged,
                               struct error *err);
void database_close(struct database *db); // NULL is fine
// Whether the last failure says that the file itself is damaged or not a database.
bool database_damaged(const struct database *db);
// Whether the last failure was an fsync: what was written before it may be lost although later calls succeed.
bool database_sync_failed(const struct database *db);

int database_exec(struct database *db, const char *sql, struct error *err);
// Waits for the disk at each commit (synchronous=FULL), or leaves that to a later one. Outside of a
// transaction.
int database_durable(struct database *db, bool durable, struct error *err);
int database_begin(struct database *db, struct error *err);
int database_commit(struct database *db, struct error *err);
void database_rollback(struct database *db); // harmless outside of a transaction
int database_savepoint(struct database *db, struct error *err);
int database_savepoint_keep(struct database *db, struct error *err);
int database_savepoint_undo(struct database *db, struct error *err);
// Commits only append to the log; these move it into the file and wait for the disk. The first moves what no
// reader needs any more and never waits for one, the second moves everything and cuts the log to nothing.
int database_checkpoint(struct database *db, struct error *err);
int database_checkpoint_all(struct database *db, struct error *err);
int database_log_pages(const struct database *db); // length of the log after the last commit
int64_t database_size_bytes(struct database *db);

// The prepared form of a text that lives for ever (a literal), ready for its first parameter. Prepared once
// per connection. Not nested: a statement is in use until it ran to its end or is asked for again.
struct statement *database_statement(struct database *db, const char *sql, struct error *err);
// Parameters, in order; NULL texts become NULL. What they point to must live until the statement has run.
void statement_text(struct statement *statement, const char *text);
void statement_bytes(struct statement *statement, const void *bytes, size_t len);
void statement_int(struct statement *statement, int64_t value);
// 1: a row to look at; 0: the end; -1. After 0 and -1 the statement is free again.
int statement_next(struct statement *statement, struct error *err);
// For statements without rows: runs to the end. 0/-1.
int statement_run(struct statement *statement, struct error *err);
void statement_end(struct statement *statement);              // leaves a row walk early
int64_t statement_changes(const struct statement *statement); // rows the last run changed
// Columns of the current row, from 0; borrowed until the next call.
const char *statement_column_text(struct statement *statement, int column); // NULL for NULL
const char *statement_column_name(struct statement *statement, int column); // never NULL, even if damaged
const void *statement_column_bytes(struct statement *statement, int column, size_t *ret_len);
int64_t statement_column_int(struct statement *statement, int column);
// The whole answer of a query for one number; fallback if there is no row or it is NULL.
int database_number(struct database *db, const char *sql, int64_t fallback, int64_t *ret, struct error *err);
