// SPDX-License-Identifier: Apache-2.0
//
// Kept events: appended with whatever group comes next, read by job or across all jobs.
#include <string.h>

#include "base/mem.h"
#include "store/job_row.h"
#include "store/store_op.h"

enum { LIST_MAX = 10000 };

struct event_row {
    struct list link;
    struct store_event event; // points behind the row
};

static struct event_row *row_new(const struct store_event *event)
{
    size_t job_size = strlen(event->job) + 1, text_size = strlen(event->text) + 1;
    struct event_row *row = mem_alloc(sizeof *row + job_size + text_size);
    char *texts = (char *)(row + 1);
    row->event = *event;
    row->event.job = memcpy(texts, event->job, job_size);
    row->event.text = memcpy(texts + job_size, event->text, text_size);
    list_init(&row->link);
    return row;
}

struct append_op {
    struct store_op op;
    struct event_row *row;
};

static struct append_op *append_op_of(struct store_op *op)
{
    return container_of(op, struct append_op, op);
}

static int append_run(struct store_op *op, struct database *db, struct error *err)
{
    return job_row_insert_event(db, &append_op_of(op)->row->event, err);
}

static void append_free(struct store_op *op)
{
    free(append_op_of(op)->row);
    free(append_op_of(op));
}

static const struct store_op_kind append_kind = {
    .what = "keeping an event",
    .tables = STORE_EVENTS,
    .kept = true,
    .run = append_run,
    .free = append_free,
};

void store_event_append(struct store *store, const struct store_event *event)
{
    struct append_op *self = mem_new(struct append_op);
    self->row = row_new(event);
    store_write(store, &self->op, &append_kind);
}

struct flush_op {
    struct store_op op;
    store_done_fn done;
    void *arg;
};

static int flush_run(struct store_op *op, struct database *db, struct error *err)
{
    (void)op;
    (void)db;
    (void)err;
    return 0; // its place in the order is all that counts
}

static void flush_answer(struct store_op *op)
{
    const struct flush_op *self = container_of(op, struct flush_op, op);
    self->done(self->arg, store_op_error(op));
}

static void flush_free(struct store_op *op)
{
    free(container_of(op, struct flush_op, op));
}

static const struct store_op_kind flush_kind = {
    .what = "writing events",
    .barrier = true,
    .run = flush_run,
    .answer = flush_answer,
    .free = flush_free,
};

void store_flush(struct store *store, store_done_fn done, void *arg)
{
    struct flush_op *self = mem_new(struct flush_op);
    self->done = done;
    self->arg = arg;
    store_write(store, &self->op, &flush_kind);
}

struct list_op {
    struct store_op op;
    char *job; // NULL: of all jobs
    int64_t after;
    int limit;
    struct list rows;
    store_event_fn each;
    void *arg;
};

static struct list_op *list_op_of(struct store_op *op)
{
    return container_of(op, struct list_op, op);
}

static struct statement *list_statement(const struct list_op *self, struct database *db, struct error *err)
{
    const char *one =
        "SELECT e.cursor, e.job, e.seq, e.text, j.uid FROM events e CROSS JOIN jobs j ON j.id = e.job"
        " WHERE e.job = ? AND e.seq > ? ORDER BY e.seq LIMIT ?";
    const char *all =
        "SELECT e.cursor, e.job, e.seq, e.text, j.uid FROM events e CROSS JOIN jobs j ON j.id = e.job"
        " WHERE e.cursor > ? ORDER BY e.cursor LIMIT ?";
    struct statement *statement = database_statement(db, self->job ? one : all, err);
    if (!statement)
        return NULL;
    if (self->job)
        statement_text(statement, self->job);
    statement_int(statement, self->after);
    statement_int(statement, self->limit);
    return statement;
}

static int list_run(struct store_op *op, struct database *db, struct error *err)
{
    struct list_op *self = list_op_of(op);
    struct statement *statement = list_statement(self, db, err);
    if (!statement)
        return -1;
    int row;
    while ((row = statement_next(statement, err)) > 0) {
        struct store_event event = {
            .cursor = statement_column_int(statement, 0),
            .job = statement_column_name(statement, 1),
            .seq = statement_column_int(statement, 2),
            .text = statement_column_name(statement, 3),
            .uid = statement_column_int(statement, 4),
        };
        list_append(&self->rows, &row_new(&event)->link);
    }
    return row;
}

static void list_answer(struct store_op *op)
{
    struct list_op *self = list_op_of(op);
    list_for_each(link, &self->rows)
        self->each(self->arg, &container_of(link, struct event_row, link)->event, NULL);
    self->each(self->arg, NULL, store_op_error(op));
}

static void list_free(struct store_op *op)
{
    struct list_op *self = list_op_of(op);
    for (struct list *link; (link = list_take_first(&self->rows)) != NULL;)
        free(container_of(link, struct event_row, link));
    free(self->job);
    free(self);
}

static const struct store_op_kind list_kind = {
    .what = "reading events",
    .tables = STORE_EVENTS | STORE_JOBS,
    .run = list_run,
    .answer = list_answer,
    .free = list_free,
};

static void list_start(struct store *store, const char *job, int64_t after, int limit, store_event_fn each,
                       void *arg)
{
    struct list_op *self = mem_new(struct list_op);
    self->job = mem_strdup_null(job);
    self->after = after;
    self->limit = limit > LIST_MAX ? LIST_MAX : limit;
    list_init(&self->rows);
    self->each = each;
    self->arg = arg;
    store_read(store, &self->op, &list_kind);
}

void store_event_list(struct store *store, const char *job, int64_t since_seq, int limit, store_event_fn each,
                      void *arg)
{
    list_start(store, job, since_seq, limit, each, arg);
}

void store_event_list_all(struct store *store, int64_t after_cursor, int limit, store_event_fn each,
                          void *arg)
{
    list_start(store, NULL, after_cursor, limit, each, arg);
}
