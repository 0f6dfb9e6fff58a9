// SPDX-License-Identifier: Apache-2.0
//
// Idempotency keys and facts: small texts by name.
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "store/store_op.h"

struct text_op {
    struct store_op op;
    char *kind, *key, *value; // value: what is put, or what was found
    int64_t expires_ms;
    store_text_fn found;
    void *arg;
};

static struct text_op *text_op_of(struct store_op *op)
{
    return container_of(op, struct text_op, op);
}

static struct text_op *text_op_new(const char *kind, const char *key)
{
    struct text_op *self = mem_new(struct text_op);
    self->kind = mem_strdup_null(kind);
    self->key = mem_strdup(key);
    return self;
}

static void text_answer(struct store_op *op)
{
    struct text_op *self = text_op_of(op);
    self->found(self->arg, self->value, store_op_error(op));
}

static void text_free(struct store_op *op)
{
    struct text_op *self = text_op_of(op);
    free(self->kind);
    free(self->key);
    free(self->value);
    free(self);
}

static char *key_record(struct statement *statement)
{
    AUTO_JSON json_t *record = json_pack("{s:s, s:s, s:I}", "job", statement_column_name(statement, 0),
                                         "fingerprint", statement_column_name(statement, 1), "created_ms",
                                         (json_int_t)statement_column_int(statement, 2));
    return record ? json_text(record) : NULL; // none if the row is no text any more
}

static int key_find_run(struct store_op *op, struct database *db, struct error *err)
{
    struct text_op *self = text_op_of(op);
    struct statement *statement =
        database_statement(db, "SELECT job, fingerprint, created_ms FROM keys WHERE key = ?", err);
    if (!statement)
        return -1;
    statement_text(statement, self->key);
    int row = statement_next(statement, err);
    if (row > 0)
        self->value = key_record(statement);
    statement_end(statement);
    return row < 0 ? -1 : 0;
}

static const struct store_op_kind key_find_kind = {
    .what = "looking up an idempotency key",
    .tables = STORE_JOBS,
    .run = key_find_run,
    .answer = text_answer,
    .free = text_free,
};

void store_key_find(struct store *store, const char *key, store_text_fn found, void *arg)
{
    struct text_op *self = text_op_new(NULL, key);
    self->found = found;
    self->arg = arg;
    store_read(store, &self->op, &key_find_kind);
}

static int fact_put_run(struct store_op *op, struct database *db, struct error *err)
{
    const struct text_op *self = text_op_of(op);
    struct statement *statement = database_statement(
        db,
        "INSERT INTO facts (kind, key, value, expires_ms) VALUES (?,?,?,?) ON CONFLICT (kind, key)"
        " DO UPDATE SET value = excluded.value, expires_ms = excluded.expires_ms",
        err);
    if (!statement)
        return -1;
    statement_text(statement, self->kind);
    statement_text(statement, self->key);
    statement_text(statement, self->value);
    statement_int(statement, self->expires_ms);
    return statement_run(statement, err);
}

static const struct store_op_kind fact_put_kind = {
    .what = "noting a fact",
    .tables = STORE_FACTS,
    .grows = true,
    .run = fact_put_run,
    .free = text_free,
};

void store_fact_put(struct store *store, const char *kind, const char *key, const char *value,
                    int64_t expires_wall_ms)
{
    struct text_op *self = text_op_new(kind, key);
    self->value = mem_strdup(value);
    self->expires_ms = expires_wall_ms;
    store_write(store, &self->op, &fact_put_kind);
}

static int fact_find_run(struct store_op *op, struct database *db, struct error *err)
{
    struct text_op *self = text_op_of(op);
    struct statement *statement = database_statement(
        db, "SELECT value FROM facts WHERE kind = ? AND key = ? AND (expires_ms = 0 OR expires_ms > ?)", err);
    if (!statement)
        return -1;
    statement_text(statement, self->kind);
    statement_text(statement, self->key);
    statement_int(statement, clock_wall_ms());
    int row = statement_next(statement, err);
    if (row > 0)
        self->value = mem_strdup(statement_column_name(statement, 0));
    statement_end(statement);
    return row < 0 ? -1 : 0;
}

static const struct store_op_kind fact_find_kind = {
    .what = "looking up a fact",
    .tables = STORE_FACTS,
    .run = fact_find_run,
    .answer = text_answer,
    .free = text_free,
};

void store_fact_find(struct store *store, const char *kind, const char *key, store_text_fn found, void *arg)
{
    struct text_op *self = text_op_new(kind, key);
    self->found = found;
    self->arg = arg;
    store_read(store, &self->op, &fact_find_kind);
}

static int fact_delete_run(struct store_op *op, struct database *db, struct error *err)
{
    const struct text_op *self = text_op_of(op);
    struct statement *statement = database_statement(db, "DELETE FROM facts WHERE kind = ? AND key = ?", err);
    if (!statement)
        return -1;
    statement_text(statement, self->kind);
    statement_text(statement, self->key);
    return statement_run(statement, err);
}

static const struct store_op_kind fact_delete_kind = {
    .what = "dropping a fact",
    .tables = STORE_FACTS,
    .run = fact_delete_run,
    .free = text_free,
};

void store_fact_delete(struct store *store, const char *kind, const char *key)
{
    store_write(store, &text_op_new(kind, key)->op, &fact_delete_kind);
}

int store_fact_each(struct store *store, const char *kind,
                    void (*each)(void *arg, const char *key, const char *value, int64_t expires_wall_ms),
                    void *arg, struct error *err)
{
    struct database *db = store_connect(store, err);
    if (!db)
        return -1;
    int row = -1;
    struct statement *statement = database_statement(
        db, "SELECT key, value, expires_ms FROM facts WHERE kind = ? AND (expires_ms = 0 OR expires_ms > ?)",
        err);
    if (statement) {
        statement_text(statement, kind);
        statement_int(statement, clock_wall_ms());
        while ((row = statement_next(statement, err)) > 0)
            each(arg, statement_column_name(statement, 0), statement_column_name(statement, 1),
                 statement_column_int(statement, 2));
    }
    database_close(db);
    return row;
}
