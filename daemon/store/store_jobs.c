// SPDX-License-Identifier: Apache-2.0
//
// The writes of store_job_*. What must hold: a job, its key and its sealed text appear in one transaction; a
// wiped sealed text leaves the tables in the transaction of the update that asked for it.
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "store/job_row.h"
#include "store/store_op.h"

struct job_op {
    struct store_op op;
    struct job_row *row;
    char *key, *fingerprint;
    bool wipe_sealed;
    store_done_fn done;
    void *arg;
};

static struct job_op *job_op_of(struct store_op *op)
{
    return container_of(op, struct job_op, op);
}

static void job_answer(struct store_op *op)
{
    struct job_op *self = job_op_of(op);
    if (self->done)
        self->done(self->arg, store_op_error(op));
}

static void job_free(struct store_op *op)
{
    struct job_op *self = job_op_of(op);
    free(self->row);
    free(self->key);
    free(self->fingerprint);
    free(self);
}

static int insert_run(struct store_op *op, struct database *db, struct error *err)
{
    const struct job_op *self = job_op_of(op);
    const struct store_job *job = &self->row->job;
    if (job_row_insert(db, job, err) < 0)
        return -1;
    if (!self->key)
        return 0;
    return job_row_insert_key(db, job->id, self->key, self->fingerprint ? self->fingerprint : "",
                              job->created_ms, err);
}

static const struct store_op_kind insert_kind = {
    .what = "accepting a job",
    .tables = STORE_JOBS,
    .grows = true,
    .run = insert_run,
    .answer = job_answer,
    .free = job_free,
};

void store_job_insert(struct store *store, const struct store_job *job, const char *key,
                      const char *key_fingerprint, store_done_fn done, void *arg)
{
    struct job_op *self = mem_new(struct job_op);
    self->row = job_row_new(job);
    self->key = mem_strdup_null(key);
    self->fingerprint = mem_strdup_null(key_fingerprint);
    self->done = done;
    self->arg = arg;
    self->op.durable = true;
    self->op.atomic = key != NULL;
    store_write(store, &self->op, &insert_kind);
}

static int refuse_unknown(const char *id, struct error *err)
{
    AUTO_FREE char *name = str_quote(id, 64);
    return error_set(err, ERR_NOT_FOUND, "there is no job %s in the journal", name);
}

static int wipe(struct database *db, const char *id, struct error *err)
{
    struct statement *statement =
        database_statement(db, "DELETE FROM sealed WHERE n = (SELECT n FROM jobs WHERE id = ?)", err);
    if (!statement)
        return -1;
    statement_text(statement, id);
    return statement_run(statement, err);
}

static int update_row(struct database *db, const struct store_job *job, struct error *err)
{
    struct statement *statement =
        database_statement(db,
                           "UPDATE jobs SET kind = ?, state = ?, terminal = ?, attempt = ?, priority = ?, "
                           "started_ms = ?, finished_ms = ?,"
                           " last_seq = ?, result = ?, error = ?, checkpoint = ?, sum = ? WHERE id = ?",
                           err);
    if (!statement)
        return -1;
    AUTO_FREE char *sum = job_row_state_sum(job);
    statement_text(statement, job->kind);
    statement_text(statement, job->state);
    statement_int(statement, job_row_terminal(job->state));
    statement_int(statement, job->attempt);
    statement_int(statement, job->priority);
    statement_int(statement, job->started_ms);
    statement_int(statement, job->finished_ms);
    statement_int(statement, job->last_seq);
    statement_text(statement, job->result);
    statement_text(statement, job->error);
    statement_text(statement, job->checkpoint);
    statement_text(statement, sum);
    statement_text(statement, job->id);
    if (statement_run(statement, err) < 0)
        return -1;
    return statement_changes(statement) > 0 ? 0 : refuse_unknown(job->id, err);
}

static int update_run(struct store_op *op, struct database *db, struct error *err)
{
    const struct job_op *self = job_op_of(op);
    const struct store_job *job = &self->row->job;
    if (update_row(db, job, err) < 0)
        return -1;
    return self->wipe_sealed ? wipe(db, job->id, err) : 0;
}

static const struct store_op_kind update_kind = {
    .what = "journalling the state of a job",
    .tables = STORE_JOBS,
    .run = update_run,
    .answer = job_answer,
    .free = job_free,
};

void store_job_update(struct store *store, const struct store_job *job, bool wipe_sealed, store_done_fn done,
                      void *arg)
{
    struct store_job kept = *job; // what an update does not touch need not be copied
    kept.spec = kept.labels = kept.extra = NULL;
    kept.sealed = NULL;
    kept.sealed_len = 0;
    struct job_op *self = mem_new(struct job_op);
    self->row = job_row_new(&kept);
    self->wipe_sealed = wipe_sealed;
    self->done = done;
    self->arg = arg;
    self->op.durable = !str_equal(job->state, "running") || job->checkpoint != NULL || wipe_sealed;
    self->op.wipes = wipe_sealed;
    store_write(store, &self->op, &update_kind);
}

static int delete_run(struct store_op *op, struct database *db, struct error *err)
{
    const char *id = job_op_of(op)->row->job.id;
    int found = job_row_delete(db, id, err);
    return found == 0 ? refuse_unknown(id, err) : found < 0 ? -1 : 0;
}

static const struct store_op_kind delete_kind = {
    .what = "forgetting a job",
    .tables = STORE_JOBS | STORE_EVENTS,
    .run = delete_run,
    .answer = job_answer,
    .free = job_free,
};

void store_job_delete(struct store *store, const char *id, store_done_fn done, void *arg)
{
    struct job_op *self = mem_new(struct job_op);
    self->row = job_row_new(&(struct store_job){.id = id});
    self->done = done;
    self->arg = arg;
    self->op.durable = true;
    self->op.wipes = true;
    store_write(store, &self->op, &delete_kind);
}
