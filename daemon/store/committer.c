// SPDX-License-Identifier: Apache-2.0
//
// What must hold: an operation is answered well only after the transaction that carries it was committed,
// durably if it asks for that. When a group fails it is rolled back as a whole and its operations run again
// one by one, so that one that is too large for the disk does not take the others along; the storage may fail
// for hours, the writer goes on.
//
// A failed fsync is treated as SQLite cannot: the kernel may have dropped the pages and say "well" next time,
// and the log would have a hole before later commits. So after one, nothing is committed until the whole log
// was copied into the database file and that was synced.
#include "store/committer.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/job_row.h"
#include "store/reserve.h"
#include "store/salvage.h"
#include "store/schema.h"

enum { HELD_MAX = 20000, LOG_PAGES_MAX = 2000 };

struct committer {
    struct database *db;
    struct reserve reserve;
    struct list held; // operations of kinds that are kept, oldest first
    struct committer_stats stats;
    bool suspect;         // an fsync failed and the log was not moved to the file since
    bool wiped;           // the log may hold something that was wiped from the tables
    struct error failure; // of the last commit that failed
};

// Reads all that recovery reads, so that damage shows now and not in the middle of it: what cannot be read, and
// jobs that are not what was written. Sealed texts have a checksum of their own.
static int probe(struct database *db, bool *ret_damaged, struct error *err)
{
    int64_t cursor;
    struct statement *statement = database_statement(
        db,
        "SELECT " JOB_ROW_COLUMNS ", x.bytes FROM jobs j LEFT JOIN specs s ON s.n = j.n"
                                  " LEFT JOIN sealed x ON x.n = j.n WHERE j.terminal = 0",
        err);
    int row = statement ? 1 : -1;
    while (row > 0 && (row = statement_next(statement, err)) > 0) {
        struct store_job job;
        job_row_read(statement, &job);
        statement_column_bytes(statement, JOB_ROW_SEALED, &job.sealed_len);
        if (job_row_intact(statement, &job))
            continue;
        statement_end(statement);
        *ret_damaged = true;
        return error_set(err, ERR_INTERNAL, "a job in it is not what was written");
    }
    if (row == 0)
        row = database_number(db, "SELECT last_cursor FROM totals", 0, &cursor, err);
    if (row < 0)
        *ret_damaged = database_damaged(db);
    return row;
}

static struct database *open_database(const char *path, bool *ret_damaged, struct error *err)
{
    struct database *db = database_open(path, DATABASE_WRITE, ret_damaged, err);
    if (!db)
        return NULL;
    int result = schema_migrate(db, err);
    *ret_damaged = result < 0 && database_damaged(db);
    if (result == 0 && probe(db, ret_damaged, err) == 0)
        return db;
    database_close(db);
    return NULL;
}

// Returns the new name.
static char *set_aside(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char now[CLOCK_TEXT_MAX];
    clock_format(clock_wall_ms(), now);
    char *aside = mem_printf("%s.damaged-%s", path, now);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        AUTO_FREE char *from = mem_printf("%s%s", path, suffixes[i]);
        AUTO_FREE char *to = mem_printf("%s%s", aside, suffixes[i]);
        if (rename(from, to) < 0 && errno != ENOENT)
            log_error("store: cannot set %s aside: %m", from);
    }
    return aside;
}

static struct database *replace_database(const char *path, struct error *err)
{
    bool ignored;
    AUTO_FREE char *aside = set_aside(path);
    log_error("store: %s cannot be read (%s); it was set aside as %s", path, err->detail, aside);
    error_clear(err);
    struct database *db = open_database(path, &ignored, err);
    if (!db)
        return NULL;
    int64_t lost, saved = salvage_jobs(db, aside, &lost);
    if (lost < 0)
        log_error("store: %lld jobs were saved from %s; how many were lost cannot be told", (long long)saved, aside);
    else
        log_error("store: %lld jobs were saved from %s, %lld could not be read and are lost", (long long)saved,
                  aside, (long long)lost);
    return db;
}

static struct database *open_or_replace(const char *path, struct reserve *reserve, struct error *err)
{
    bool damaged;
    struct database *db = open_database(path, &damaged, err);
    if (!db && err->code == ERR_NO_SPACE && reserve_release(reserve)) {
        error_clear(err);
        db = open_database(path, &damaged, err);
    }
    if (!db && damaged)
        db = replace_database(path, err);
    return db;
}

struct committer *committer_open(const char *directory, struct error *err)
{
    AUTO_FREE char *path = mem_printf("%s/dray.db", directory);
    struct committer *committer = mem_new(struct committer);
    committer->failure = ERROR_INIT;
    list_init(&committer->held);
    reserve_init(&committer->reserve, directory);
    committer->db = open_or_replace(path, &committer->reserve, err);
    if (committer->db)
        return committer;
    committer_free(committer);
    return NULL;
}

static void drop(struct store_op *op)
{
    op->kind->free(op);
}

void committer_free(struct committer *committer)
{
    if (!committer)
        return;
    if (committer->stats.held > 0)
        log_error("store: %lld events could not be written before the end", (long long)committer->stats.held);
    for (struct list *link; (link = list_take_first(&committer->held)) != NULL;)
        drop(store_op_of(link));
    error_clear(&committer->failure);
    database_close(committer->db);
    reserve_fini(&committer->reserve);
    free(committer);
}

static bool is_storage_fault(const struct error *err)
{
    return err->code == ERR_NO_SPACE || err->code == ERR_INTERNAL;
}

// -1: the storage failed and with it the transaction. An operation that is merely refused has that in
// op->err.
static int run_one(struct committer *committer, struct store_op *op, struct error *err)
{
    struct database *db = committer->db;
    error_clear(&op->err);
    op->again = false;
    if (op->kind->grows && !committer->reserve.held) {
        error_set(&op->err, ERR_NO_SPACE, "%s: the state directory has no space left", op->kind->what);
        error_hint(&op->err,
                   "Free some space in the state directory; jobs that were accepted go on meanwhile.");
        return 0;
    }
    if (op->kind->barrier && committer->stats.held > 0) {
        error_copy(&op->err, &committer->failure);
        return 0;
    }
    if (op->atomic && database_savepoint(db, err) < 0)
        return -1;
    int result = op->kind->run(op, db, &op->err);
    if (result < 0 && is_storage_fault(&op->err)) {
        error_move(err, &op->err);
        return error_wrap(err, "%s", op->kind->what);
    }
    if (!op->atomic)
        return 0;
    return result < 0 ? database_savepoint_undo(db, err) : database_savepoint_keep(db, err);
}

static bool any_durable(struct list *ops)
{
    list_for_each(link, ops) {
        if (store_op_of(link)->durable)
            return true;
    }
    return false;
}

static int move_log(struct committer *committer, struct error *err)
{
    if (database_checkpoint_all(committer->db, err) < 0)
        return -1;
    committer->suspect = false;
    committer->wiped = false;
    return 0;
}

static int run_all(struct committer *committer, struct list *ops, struct error *err)
{
    list_for_each(link, ops) {
        if (run_one(committer, store_op_of(link), err) < 0)
            return -1;
    }
    return database_commit(committer->db, err);
}

static int commit_group(struct committer *committer, struct list *ops, struct error *err)
{
    struct database *db = committer->db;
    if (committer->suspect && move_log(committer, err) < 0)
        return -1;
    if (database_durable(db, any_durable(ops), err) < 0 || database_begin(db, err) < 0)
        return -1;
    if (run_all(committer, ops, err) == 0)
        return 0;
    if (database_sync_failed(db))
        committer->suspect = true;
    database_rollback(db);
    return -1;
}

// One log line when it begins to fail, one when it works again.
static void note(struct committer *committer, const struct error *err)
{
    if (err) {
        committer->stats.failures++;
        error_copy(&committer->failure, err);
        if (!committer->stats.failing)
            log_error("store: cannot commit: %s", err->detail);
    } else {
        committer->stats.commits++;
        if (committer->stats.failing)
            log_info("store: commits work again");
    }
    committer->stats.failing = err != NULL;
}

static void hold(struct committer *committer, struct store_op *op)
{
    error_clear(&op->err);
    if (committer->stats.held >= HELD_MAX) {
        log_error("store: %s: given up, too many are waiting for the disk", op->kind->what);
        drop(op);
        return;
    }
    list_append(&committer->held, &op->letter.link);
    committer->stats.held++;
}

static void commit_alone(struct committer *committer, struct store_op *op, struct list *done)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct list one = LIST_INIT(one);
    list_append(&one, &op->letter.link);
    int result = commit_group(committer, &one, &err);
    note(committer, result < 0 ? &err : NULL);
    list_remove(&op->letter.link);
    if (result < 0 && op->kind->kept) {
        hold(committer, op);
        return;
    }
    if (result < 0)
        error_move(&op->err, &err);
    list_append(done, &op->letter.link);
}

static void commit_each(struct committer *committer, struct list *ops)
{
    struct list todo = LIST_INIT(todo);
    list_splice(&todo, ops);
    for (struct list *link; (link = list_take_first(&todo)) != NULL;)
        commit_alone(committer, store_op_of(link), ops);
}

static void count(struct committer *committer, struct list *ops)
{
    list_for_each(link, ops) {
        committer->stats.operations++;
        if (store_op_of(link)->wipes)
            committer->wiped = true;
    }
}

void committer_commit(struct committer *committer, struct list *ops)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct list group = LIST_INIT(group);
    reserve_retake(&committer->reserve);
    list_splice(&group, &committer->held); // older than all others
    committer->stats.held = 0;
    list_splice(&group, ops);
    if (commit_group(committer, &group, &err) == 0) {
        note(committer, NULL);
    } else {
        note(committer, &err);
        if (err.code == ERR_NO_SPACE)
            reserve_release(&committer->reserve);
        commit_each(committer, &group);
    }
    count(committer, &group);
    list_splice(ops, &group);
}

void committer_tidy(struct committer *committer)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    if (database_log_pages(committer->db) < LOG_PAGES_MAX || committer->suspect)
        return;
    if (database_checkpoint(committer->db, &err) == 0)
        return;
    if (database_sync_failed(committer->db))
        committer->suspect = true;
    note(committer, &err);
}

bool committer_restless(const struct committer *committer)
{
    return committer->wiped || committer->suspect || !committer->reserve.held || committer->stats.failing ||
           !list_empty(&committer->held);
}

// Finds out whether commits work again, so that who asks is told so before the next job comes.
static void try_again(struct committer *committer)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct database *db = committer->db;
    if (database_begin(db, &err) == 0 &&
        database_exec(db, "UPDATE totals SET last_cursor = last_cursor", &err) == 0 &&
        database_commit(db, &err) == 0) {
        note(committer, NULL);
        return;
    }
    if (database_sync_failed(db))
        committer->suspect = true;
    database_rollback(db);
    note(committer, &err);
}

void committer_idle(struct committer *committer)
{
    struct error ignored = ERROR_INIT;
    struct list ops = LIST_INIT(ops);
    if (!list_empty(&committer->held))
        committer_commit(committer, &ops);
    reserve_retake(&committer->reserve);
    if (committer->wiped || committer->suspect)
        move_log(committer, &ignored);
    if (committer->stats.failing)
        try_again(committer);
    error_clear(&ignored);
    for (struct list *link; (link = list_take_first(&ops)) != NULL;)
        drop(store_op_of(link));
}

void committer_stats(struct committer *committer, struct committer_stats *ret)
{
    *ret = committer->stats;
    ret->out_of_space = !committer->reserve.held;
    ret->bytes = database_size_bytes(committer->db);
}
