// SPDX-License-Identifier: Apache-2.0
//
// Retention. Runs on the writer thread in pieces of at most PIECE_JOBS jobs, giving way to other writes in
// between, so that pruning a hundred thousand jobs delays nobody's 202.
#include "base/clock.h"
#include "base/mem.h"
#include "store/job_row.h"
#include "store/store_op.h"

enum { PIECE_JOBS = 50, PIECE_ROWS = 1000 };

struct prune_op {
    struct store_op op;
    struct store_retention limits;
    store_done_fn done;
    void *arg;
};

static struct prune_op *prune_op_of(struct store_op *op)
{
    return container_of(op, struct prune_op, op);
}

// Deletes the job that a query names. 1, 0 if it names none, -1.
static int delete_first(struct database *db, struct statement *query, struct error *err)
{
    int row = statement_next(query, err);
    if (row <= 0)
        return row;
    AUTO_FREE char *id = mem_strdup(statement_column_text(query, 0));
    statement_end(query);
    return job_row_delete(db, id, err) < 0 ? -1 : 1;
}

static int delete_oldest(struct database *db, int64_t finished_before_ms, struct error *err)
{
    struct statement *query = database_statement(
        db, "SELECT id FROM jobs WHERE terminal = 1 AND finished_ms < ? ORDER BY finished_ms LIMIT 1", err);
    if (!query)
        return -1;
    statement_int(query, finished_before_ms);
    return delete_first(db, query, err);
}

// An event whose job was refused or has gone meanwhile would stay for ever. Walks the jobs that have events,
// not the events.
static int delete_orphan(struct database *db, struct error *err)
{
    struct statement *query = database_statement(
        db,
        "WITH RECURSIVE owner (id) AS (SELECT min(job) FROM events UNION ALL"
        " SELECT (SELECT min(job) FROM events WHERE job > owner.id) FROM owner WHERE owner.id IS NOT NULL)"
        " SELECT id FROM owner WHERE id IS NOT NULL AND id NOT IN (SELECT id FROM jobs) LIMIT 1",
        err);
    return query ? delete_first(db, query, err) : -1;
}

// 1: over a limit, and the cut-off in *ret_before_ms makes the oldest go.
static int over_limit(const struct prune_op *self, struct database *db, int64_t *ret_before_ms,
                      struct error *err)
{
    const struct store_retention *limits = &self->limits;
    int64_t count = 0, bytes = 0;
    *ret_before_ms = limits->jobs_age_ms > 0 ? clock_wall_ms() - limits->jobs_age_ms : INT64_MIN;
    if (limits->jobs_count > 0 &&
        database_number(db, "SELECT count(*) FROM jobs WHERE terminal = 1", 0, &count, err) < 0)
        return -1;
    if (limits->events_bytes > 0 && database_number(db, "SELECT event_bytes FROM totals", 0, &bytes, err) < 0)
        return -1;
    if (count > limits->jobs_count || bytes > limits->events_bytes)
        *ret_before_ms = INT64_MAX;
    return 0;
}

// How many jobs went; fewer than PIECE_JOBS means that all limits hold.
static int prune_jobs(const struct prune_op *self, struct database *db, struct error *err)
{
    for (int deleted = 0; deleted < PIECE_JOBS; deleted++) {
        int64_t before_ms;
        if (over_limit(self, db, &before_ms, err) < 0)
            return -1;
        int gone = delete_oldest(db, before_ms, err);
        if (gone == 0)
            gone = delete_orphan(db, err);
        if (gone <= 0)
            return gone < 0 ? -1 : deleted;
    }
    return PIECE_JOBS;
}

static int run_with(struct database *db, const char *sql, int64_t value, int64_t *ret_changes,
                    struct error *err)
{
    struct statement *statement = database_statement(db, sql, err);
    if (!statement)
        return -1;
    statement_int(statement, value);
    statement_int(statement, PIECE_ROWS);
    if (statement_run(statement, err) < 0)
        return -1;
    *ret_changes = statement_changes(statement);
    return 0;
}

static int prune_keys(const struct prune_op *self, struct database *db, int64_t *ret_changes,
                      struct error *err)
{
    if (self->limits.keys_age_ms <= 0)
        return 0;
    return run_with(db,
                    "DELETE FROM keys WHERE key IN (SELECT key FROM keys WHERE created_ms < ?"
                    " ORDER BY created_ms LIMIT ?)",
                    clock_wall_ms() - self->limits.keys_age_ms, ret_changes, err);
}

static int prune_facts(struct database *db, int64_t *ret_changes, struct error *err)
{
    return run_with(db,
                    "DELETE FROM facts WHERE (kind, key) IN (SELECT kind, key FROM facts"
                    " WHERE expires_ms > 0 AND expires_ms < ? ORDER BY expires_ms LIMIT ?)",
                    clock_wall_ms(), ret_changes, err);
}

static int prune_run(struct store_op *op, struct database *db, struct error *err)
{
    const struct prune_op *self = prune_op_of(op);
    int64_t keys = 0, facts = 0;
    int jobs = prune_jobs(self, db, err);
    if (jobs < 0 || prune_keys(self, db, &keys, err) < 0 || prune_facts(db, &facts, err) < 0)
        return -1;
    op->again = jobs == PIECE_JOBS || keys == PIECE_ROWS || facts == PIECE_ROWS;
    return database_exec(db, "PRAGMA incremental_vacuum(200)", err);
}

static void prune_answer(struct store_op *op)
{
    struct prune_op *self = prune_op_of(op);
    if (self->done)
        self->done(self->arg, store_op_error(op));
}

static void prune_free(struct store_op *op)
{
    free(prune_op_of(op));
}

static const struct store_op_kind prune_kind = {
    .what = "pruning",
    .tables = STORE_ALL,
    .run = prune_run,
    .answer = prune_answer,
    .free = prune_free,
};

void store_prune(struct store *store, const struct store_retention *limits, store_done_fn done, void *arg)
{
    struct prune_op *self = mem_new(struct prune_op);
    self->limits = *limits;
    self->done = done;
    self->arg = arg;
    store_write(store, &self->op, &prune_kind);
}
