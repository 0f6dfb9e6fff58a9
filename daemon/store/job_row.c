// SPDX-License-Identifier: Apache-2.0
#include "store/job_row.h"

#include <string.h>

#include "base/digest.h"
#include "base/mem.h"
#include "base/str.h"

enum { STATE_SUM = 16, SPEC_SUM = 17 }; // columns

static size_t text_size(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

// Moves *text into the block at *next.
static void pack(const char **text, char **next)
{
    if (!*text)
        return;
    size_t size = strlen(*text) + 1;
    *text = memcpy(*next, *text, size);
    *next += size;
}

struct job_row *job_row_new(const struct store_job *job)
{
    struct store_job copy = *job;
    const char **texts[] = {&copy.id,    &copy.kind,   &copy.state, &copy.spec,      &copy.labels,
                            &copy.extra, &copy.result, &copy.error, &copy.checkpoint};
    enum { N_TEXTS = sizeof texts / sizeof *texts };
    size_t size = sizeof(struct job_row) + job->sealed_len;
    for (int i = 0; i < N_TEXTS; i++)
        size += text_size(*texts[i]);
    struct job_row *row = mem_alloc(size);
    char *next = (char *)(row + 1);
    for (int i = 0; i < N_TEXTS; i++)
        pack(texts[i], &next);
    if (copy.sealed)
        copy.sealed = memcpy(next, copy.sealed, copy.sealed_len);
    list_init(&row->link);
    row->job = copy;
    return row;
}

void job_row_read(struct statement *statement, struct store_job *ret)
{
    *ret = (struct store_job){
        .id = statement_column_name(statement, 0),
        .kind = statement_column_name(statement, 1),
        .state = statement_column_name(statement, 2),
        .attempt = (int)statement_column_int(statement, 3),
        .priority = (int)statement_column_int(statement, 4),
        .created_ms = statement_column_int(statement, 5),
        .started_ms = statement_column_int(statement, 6),
        .finished_ms = statement_column_int(statement, 7),
        .uid = statement_column_int(statement, 8),
        .last_seq = statement_column_int(statement, 9),
        .spec = statement_column_name(statement, 10),
        .labels = statement_column_text(statement, 11),
        .extra = statement_column_text(statement, 12),
        .result = statement_column_text(statement, 13),
        .error = statement_column_text(statement, 14),
        .checkpoint = statement_column_text(statement, 15),
    };
}

// Each part ends in a byte that is in no text, so that parts cannot be taken for each other.
static void add_text(struct hasher *hasher, const char *text)
{
    hasher_update(hasher, text ? text : "", text ? strlen(text) : 0);
    hasher_update(hasher, text ? "\xff" : "\xfe", 1);
}

static void add_int(struct hasher *hasher, int64_t value)
{
    hasher_update(hasher, &value, sizeof value);
}

static char *sum_of(struct hasher *hasher)
{
    struct digest digest;
    hasher_finish(hasher, &digest);
    hasher_free(hasher);
    return mem_strdup(digest_hex(&digest));
}

char *job_row_state_sum(const struct store_job *job)
{
    struct hasher *hasher = hasher_new(DIGEST_SHA256);
    const char *texts[] = {job->id, job->kind, job->state, job->result, job->error, job->checkpoint};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        add_text(hasher, texts[i]);
    add_int(hasher, job->attempt);
    add_int(hasher, job->priority);
    add_int(hasher, job->started_ms);
    add_int(hasher, job->finished_ms);
    return sum_of(hasher);
}

static const char *spec_of(const struct store_job *job)
{
    return job->spec ? job->spec : "null";
}

// Of what never changes.
static char *spec_sum(const struct store_job *job)
{
    struct hasher *hasher = hasher_new(DIGEST_SHA256);
    add_text(hasher, job->id);
    add_text(hasher, spec_of(job));
    add_text(hasher, job->labels);
    add_text(hasher, job->extra);
    add_int(hasher, job->uid);
    add_int(hasher, job->created_ms);
    return sum_of(hasher);
}

// NULL is what a row without its end reads as.
static bool sum_fits(const char *stored, const char *made)
{
    return stored && (*stored == '\0' || str_equal(stored, made));
}

bool job_row_intact(struct statement *statement, const struct store_job *job)
{
    AUTO_FREE char *state = job_row_state_sum(job);
    AUTO_FREE char *spec = spec_sum(job);
    return sum_fits(statement_column_text(statement, STATE_SUM), state) &&
           sum_fits(statement_column_text(statement, SPEC_SUM), spec);
}

bool job_row_terminal(const char *state)
{
    return str_equal(state, "succeeded") || str_equal(state, "failed") || str_equal(state, "cancelled");
}

static int insert_row(struct database *db, const struct store_job *job, struct error *err)
{
    struct statement *statement = database_statement(db,
                                                     "INSERT INTO jobs (id, kind, state, terminal, attempt, "
                                                     "priority, created_ms, started_ms, finished_ms, uid,"
                                                     " last_seq, labels, extra, result, error, checkpoint, sum)"
                                                     " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                                                     err);
    if (!statement)
        return -1;
    AUTO_FREE char *sum = job_row_state_sum(job);
    statement_text(statement, job->id);
    statement_text(statement, job->kind);
    statement_text(statement, job->state);
    statement_int(statement, job_row_terminal(job->state));
    statement_int(statement, job->attempt);
    statement_int(statement, job->priority);
    statement_int(statement, job->created_ms);
    statement_int(statement, job->started_ms);
    statement_int(statement, job->finished_ms);
    statement_int(statement, job->uid);
    statement_int(statement, job->last_seq);
    statement_text(statement, job->labels);
    statement_text(statement, job->extra);
    statement_text(statement, job->result);
    statement_text(statement, job->error);
    statement_text(statement, job->checkpoint);
    statement_text(statement, sum);
    return statement_run(statement, err);
}

static int insert_spec(struct database *db, const struct store_job *job, struct error *err)
{
    struct statement *statement =
        database_statement(db, "INSERT INTO specs (n, spec, sum) VALUES (last_insert_rowid(), ?, ?)", err);
    if (!statement)
        return -1;
    AUTO_FREE char *sum = spec_sum(job);
    statement_text(statement, spec_of(job));
    statement_text(statement, sum);
    return statement_run(statement, err);
}

// specs.n is the job's number and was inserted last.
static int insert_sealed(struct database *db, const struct store_job *job, struct error *err)
{
    struct statement *statement =
        database_statement(db, "INSERT INTO sealed (n, bytes) VALUES (last_insert_rowid(), ?)", err);
    if (!statement)
        return -1;
    statement_bytes(statement, job->sealed, job->sealed_len);
    return statement_run(statement, err);
}

int job_row_insert(struct database *db, const struct store_job *job, struct error *err)
{
    if (insert_row(db, job, err) < 0 || insert_spec(db, job, err) < 0)
        return -1;
    return job->sealed ? insert_sealed(db, job, err) : 0;
}

int job_row_insert_key(struct database *db, const char *id, const char *key, const char *fingerprint,
                       int64_t created_ms, struct error *err)
{
    struct statement *statement =
        database_statement(db, "INSERT INTO keys (key, job, fingerprint, created_ms) VALUES (?,?,?,?)", err);
    if (!statement)
        return -1;
    statement_text(statement, key);
    statement_text(statement, id);
    statement_text(statement, fingerprint);
    statement_int(statement, created_ms);
    return statement_run(statement, err);
}

int job_row_insert_event(struct database *db, const struct store_event *event, struct error *err)
{
    struct statement *statement =
        database_statement(db, "INSERT INTO events (cursor, job, seq, text) VALUES (?,?,?,?)", err);
    if (!statement)
        return -1;
    statement_int(statement, event->cursor);
    statement_text(statement, event->job);
    statement_int(statement, event->seq);
    statement_text(statement, event->text);
    return statement_run(statement, err);
}

static int run_with(struct database *db, const char *sql, const char *id, struct error *err)
{
    struct statement *statement = database_statement(db, sql, err);
    if (!statement)
        return -1;
    statement_text(statement, id);
    return statement_run(statement, err);
}

int job_row_delete(struct database *db, const char *id, struct error *err)
{
    static const char *const parts[] = {
        "DELETE FROM events WHERE job = ?",
        "DELETE FROM keys WHERE job = ?",
        "DELETE FROM sealed WHERE n = (SELECT n FROM jobs WHERE id = ?)",
        "DELETE FROM specs WHERE n = (SELECT n FROM jobs WHERE id = ?)",
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (run_with(db, parts[i], id, err) < 0)
            return -1;
    struct statement *statement = database_statement(db, "DELETE FROM jobs WHERE id = ?", err);
    if (!statement)
        return -1;
    statement_text(statement, id);
    if (statement_run(statement, err) < 0)
        return -1;
    return statement_changes(statement) > 0;
}
