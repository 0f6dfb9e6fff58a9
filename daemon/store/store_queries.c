// SPDX-License-Identifier: Apache-2.0
//
// The reads of jobs and keys, on the reader thread (and store_recover, before there is anything to read
// from).
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "store/job_row.h"
#include "store/store_op.h"

enum { LIST_MAX = 1000 };

struct list_op {
    struct store_op op;
    struct store_job_filter filter; // owns its texts
    struct list rows;
    store_job_fn each;
    void *arg;
};

static struct list_op *list_op_of(struct store_op *op)
{
    return container_of(op, struct list_op, op);
}

static int collect(struct statement *statement, struct list *rows, struct error *err)
{
    int row;
    while ((row = statement_next(statement, err)) > 0) {
        struct store_job job;
        job_row_read(statement, &job);
        list_append(rows, &job_row_new(&job)->link);
    }
    return row;
}

static void list_answer(struct store_op *op)
{
    struct list_op *self = list_op_of(op);
    list_for_each(link, &self->rows)
        self->each(self->arg, &container_of(link, struct job_row, link)->job, NULL);
    self->each(self->arg, NULL, store_op_error(op));
}

static void list_free(struct store_op *op)
{
    struct list_op *self = list_op_of(op);
    for (struct list *link; (link = list_take_first(&self->rows)) != NULL;)
        free(container_of(link, struct job_row, link));
    free((char *)self->filter.state);
    free((char *)self->filter.kind);
    free((char *)self->filter.label_key);
    free((char *)self->filter.label_value);
    free((char *)self->filter.before);
    free(self);
}

static int find_run(struct store_op *op, struct database *db, struct error *err)
{
    struct list_op *self = list_op_of(op);
    struct statement *statement = database_statement(
        db, "SELECT " JOB_ROW_COLUMNS " FROM jobs j LEFT JOIN specs s ON s.n = j.n WHERE j.id = ?", err);
    if (!statement)
        return -1;
    statement_text(statement, self->filter.before);
    return collect(statement, &self->rows, err);
}

static const struct store_op_kind find_kind = {
    .what = "looking up a job",
    .tables = STORE_JOBS | STORE_EVENTS,
    .run = find_run,
    .answer = list_answer,
    .free = list_free,
};

static struct list_op *list_op_new(store_job_fn each, void *arg)
{
    struct list_op *self = mem_new(struct list_op);
    list_init(&self->rows);
    self->each = each;
    self->arg = arg;
    return self;
}

void store_job_find(struct store *store, const char *id, store_job_fn found, void *arg)
{
    struct list_op *self = list_op_new(found, arg);
    self->filter.before = mem_strdup(id);
    store_read(store, &self->op, &find_kind);
}

static int list_run(struct store_op *op, struct database *db, struct error *err)
{
    struct list_op *self = list_op_of(op);
    const struct store_job_filter *filter = &self->filter;
    // '~' sorts behind every id. The label test is kept from texts that are no JSON by CASE.
    struct statement *statement = database_statement(
        db,
        "SELECT " JOB_ROW_COLUMNS " FROM jobs j LEFT JOIN specs s ON s.n = j.n"
        " WHERE j.id < coalesce(?1, '~') AND (?2 IS NULL OR j.state = ?2) AND (?3 IS NULL OR j.kind = ?3)"
        " AND (?4 < 0 OR j.uid = ?4) AND (?5 IS NULL OR CASE WHEN json_valid(j.labels) THEN EXISTS"
        " (SELECT 1 FROM json_each(j.labels) WHERE key = ?5 AND (?6 IS NULL OR value = ?6)) END)"
        " ORDER BY j.id DESC LIMIT ?7",
        err);
    if (!statement)
        return -1;
    statement_text(statement, filter->before);
    statement_text(statement, filter->state);
    statement_text(statement, filter->kind);
    statement_int(statement, filter->uid);
    statement_text(statement, filter->label_key);
    statement_text(statement, filter->label_value);
    statement_int(statement, filter->limit);
    return collect(statement, &self->rows, err);
}

static const struct store_op_kind list_kind = {
    .what = "listing jobs",
    .tables = STORE_JOBS | STORE_EVENTS,
    .run = list_run,
    .answer = list_answer,
    .free = list_free,
};

void store_job_list(struct store *store, const struct store_job_filter *filter, store_job_fn each, void *arg)
{
    struct list_op *self = list_op_new(each, arg);
    self->filter = (struct store_job_filter){
        .state = mem_strdup_null(filter->state),
        .kind = mem_strdup_null(filter->kind),
        .label_key = mem_strdup_null(filter->label_key),
        .label_value = mem_strdup_null(filter->label_value),
        .before = mem_strdup_null(filter->before),
        .uid = filter->uid,
        .limit = filter->limit > LIST_MAX ? LIST_MAX : filter->limit,
    };
    store_read(store, &self->op, &list_kind);
}

static int recover_rows(struct database *db, store_job_fn each, void *arg, struct error *err)
{
    struct statement *statement = database_statement(
        db,
        "SELECT " JOB_ROW_COLUMNS_SEQ(
            JOB_ROW_EVENTS_SEQ) ", x.bytes FROM jobs j LEFT JOIN specs s ON s.n = j.n"
                                " LEFT JOIN sealed x ON x.n = j.n WHERE j.terminal = 0 ORDER BY j.id",
        err);
    if (!statement)
        return -1;
    int row;
    while ((row = statement_next(statement, err)) > 0) {
        struct store_job job;
        job_row_read(statement, &job);
        job.sealed = statement_column_bytes(statement, JOB_ROW_SEALED, &job.sealed_len);
        each(arg, &job, NULL);
    }
    return row;
}

int store_recover(struct store *store, store_job_fn each, void *arg, int64_t *ret_last_cursor,
                  struct error *err)
{
    struct database *db = store_connect(store, err);
    if (!db)
        return -1;
    int result = recover_rows(db, each, arg, err);
    if (result == 0)
        result = database_number(db, "SELECT last_cursor FROM totals", 0, ret_last_cursor, err);
    database_close(db);
    if (result == 0)
        each(arg, NULL, NULL);
    return result;
}
