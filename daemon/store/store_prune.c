// SPDX-License-Identifier: Apache-2.0
//
// Retention. Runs on the writer thread in pieces of at most PIECE_JOBS jobs, giving way to other writes in
// between, so that pruning a hundred thousand jobs delays nobody's 202.
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/job_row.h"
#include "store/store_op.h"

enum { PIECE_JOBS = 50, PIECE_OWNERS = 500, PIECE_ROWS = 1000 };

struct prune_op {
    struct store_op op;
    struct store_retention limits;
    char *owner; // of events: how far the search for orphans has come
    store_done_fn done;
    void *arg;
};

static struct prune_op *prune_op_of(struct store_op *op)
{
    return container_of(op, struct prune_op, op);
}

// Found in a table out of order; going on might never end.
static int damaged(struct error *err)
{
    return error_set(err, ERR_INTERNAL, "the job database contradicts itself; it may be damaged");
}

// The text that a query with one row and one column gives; *ret NULL if there is none.
static int first_text(struct statement *query, char **ret, struct error *err)
{
    int row = statement_next(query, err);
    *ret = row > 0 ? mem_strdup_null(statement_column_text(query, 0)) : NULL;
    statement_end(query);
    return row < 0 ? -1 : 0;
}

// 1, 0 if there is none, -1.
static int delete_oldest(struct database *db, int64_t finished_before_ms, struct error *err)
{
    AUTO_FREE char *id = NULL;
    struct statement *query = database_statement(
        db, "SELECT id FROM jobs WHERE terminal = 1 AND finished_ms < ? ORDER BY finished_ms LIMIT 1", err);
    if (!query)
        return -1;
    statement_int(query, finished_before_ms);
    if (first_text(query, &id, err) < 0)
        return -1;
    if (!id)
        return 0;
    int deleted = job_row_delete(db, id, err);
    return deleted == 0 ? damaged(err) : deleted;
}

// Moves self->owner to the next job that has events. 1, 0 at the end, -1.
static int next_owner(struct prune_op *self, struct database *db, struct error *err)
{
    char *next = NULL;
    struct statement *query = database_statement(db, "SELECT min(job) FROM events WHERE job > ?", err);
    if (!query)
        return -1;
    statement_text(query, self->owner ? self->owner : "");
    if (first_text(query, &next, err) < 0)
        return -1;
    bool rising = next && strcmp(next, self->owner ? self->owner : "") > 0;
    bool end = !next;
    free(self->owner);
    self->owner = next;
    return end ? 0 : rising ? 1 : damaged(err);
}

static int delete_if_orphan(struct database *db, const char *owner, struct error *err)
{
    struct statement *statement = database_statement(
        db, "DELETE FROM events WHERE job = ?1 AND NOT EXISTS (SELECT 1 FROM jobs WHERE id = ?1)", err);
    if (!statement)
        return -1;
    statement_text(statement, owner);
    return statement_run(statement, err);
}

// An event whose job was refused or has gone meanwhile would stay for ever. How many jobs were looked at;
// fewer than PIECE_OWNERS means that the end was reached.
static int prune_orphans(struct prune_op *self, struct database *db, struct error *err)
{
    for (int seen = 0; seen < PIECE_OWNERS; seen++) {
        int found = next_owner(self, db, err);
        if (found <= 0)
            return found < 0 ? -1 : seen;
        if (delete_if_orphan(db, self->owner, err) < 0)
            return -1;
    }
    return PIECE_OWNERS;
}

// How many terminal jobs there are too many; counted once per piece, since counting walks an index.
static int count_excess(const struct prune_op *self, struct database *db, int64_t *ret_excess,
                        struct error *err)
{
    int64_t count = 0;
    *ret_excess = 0;
    if (self->limits.jobs_count <= 0)
        return 0;
    if (database_number(db, "SELECT count(*) FROM jobs WHERE terminal = 1", 0, &count, err) < 0)
        return -1;
    *ret_excess = count - self->limits.jobs_count;
    return 0;
}

// Jobs that ended before *ret_before_ms have to go: all, while there are too many or their events too large.
static int cut_off(const struct prune_op *self, struct database *db, int64_t excess, int64_t *ret_before_ms,
                   struct error *err)
{
    const struct store_retention *limits = &self->limits;
    int64_t bytes = 0;
    *ret_before_ms = limits->jobs_age_ms > 0 ? clock_wall_ms() - limits->jobs_age_ms : INT64_MIN;
    if (limits->events_bytes > 0 && database_number(db, "SELECT event_bytes FROM totals", 0, &bytes, err) < 0)
        return -1;
    if (excess > 0 || bytes > limits->events_bytes)
        *ret_before_ms = INT64_MAX;
    return 0;
}

// How many jobs went; fewer than PIECE_JOBS means that all limits hold.
static int prune_jobs(const struct prune_op *self, struct database *db, struct error *err)
{
    int64_t excess;
    if (count_excess(self, db, &excess, err) < 0)
        return -1;
    for (int deleted = 0; deleted < PIECE_JOBS; deleted++) {
        int64_t before_ms;
        if (cut_off(self, db, excess - deleted, &before_ms, err) < 0)
            return -1;
        int gone = delete_oldest(db, before_ms, err);
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
    struct prune_op *self = prune_op_of(op);
    int64_t keys = 0, facts = 0;
    int jobs = prune_jobs(self, db, err);
    int owners = jobs < 0 ? -1 : prune_orphans(self, db, err);
    if (owners < 0 || prune_keys(self, db, &keys, err) < 0 || prune_facts(db, &facts, err) < 0)
        return -1;
    op->again = jobs == PIECE_JOBS || owners == PIECE_OWNERS || keys == PIECE_ROWS || facts == PIECE_ROWS;
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
    free(prune_op_of(op)->owner);
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
