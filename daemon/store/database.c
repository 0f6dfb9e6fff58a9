// SPDX-License-Identifier: Apache-2.0
//
// Everything that knows sqlite3.h. Settings and what they are for (sqlite.org/pragma.html, wal.html):
// WAL so that readers never wait for the writer; secure_delete so that sealed credentials leave no bytes in
// the file; auto_vacuum=INCREMENTAL so that pruning gives space back; temp_store=MEMORY because the directory
// may be full; a bounded cache and log so that memory and disk stay flat.
#include "store/database.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

enum { STATEMENTS_MAX = 48, BUSY_MS = 5000, MESSAGE_MAX = 200 };
enum { STATEMENT_MS = 30000, CHECK_STEPS = 100000 };

struct statement {
    const char *sql;
    sqlite3_stmt *raw;
    struct database *db;
    int next_parameter;
    int bind_result;
};

struct database {
    sqlite3 *raw;
    char *path;
    struct statement statements[STATEMENTS_MAX];
    int n_statements;
    int durable;        // -1 not yet set
    int failure;        // extended code of the last failure
    int64_t started_ms; // of the statement that runs
    int log_pages;
};

static const char write_settings[] = "PRAGMA auto_vacuum=INCREMENTAL;"
                                     "PRAGMA journal_mode=WAL;"
                                     "PRAGMA secure_delete=ON;"
                                     "PRAGMA temp_store=MEMORY;"
                                     "PRAGMA cache_size=-8192;"
                                     "PRAGMA journal_size_limit=16777216;";
static const char read_settings[] = "PRAGMA query_only=ON;"
                                    "PRAGMA temp_store=MEMORY;"
                                    "PRAGMA cache_size=-2048;";

static enum error_code code_of(int failure, int system_errno)
{
    bool full = system_errno == ENOSPC || system_errno == EDQUOT;
    switch (failure & 0xff) {
    case SQLITE_FULL:
        return ERR_NO_SPACE;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return full ? ERR_NO_SPACE : ERR_INTERNAL;
    case SQLITE_CONSTRAINT:
        return ERR_CONFLICT;
    case SQLITE_TOOBIG:
        return ERR_TOO_LARGE;
    default:
        return ERR_INTERNAL;
    }
}

static int fail(struct database *db, struct error *err)
{
    db->failure = sqlite3_extended_errcode(db->raw);
    int system_errno = sqlite3_system_errno(db->raw);
    AUTO_FREE char *said = str_quote(sqlite3_errmsg(db->raw), MESSAGE_MAX);
    error_set(err, code_of(db->failure, system_errno), "%s: %s", db->path, said);
    if (database_damaged(db))
        error_hint(err, "The file is damaged; stop the daemon and move it away to start with an empty one.");
    else if (err->code == ERR_NO_SPACE)
        error_hint(err, "Free some space in the state directory.");
    return -1;
}

bool database_damaged(const struct database *db)
{
    int failure = db->failure & 0xff;
    // Our statements are fixed, so one that is in error means that the tables are not what they were made.
    return failure == SQLITE_CORRUPT || failure == SQLITE_NOTADB || failure == SQLITE_ERROR;
}

bool database_sync_failed(const struct database *db)
{
    return db->failure == SQLITE_IOERR_FSYNC || db->failure == SQLITE_IOERR_DIR_FSYNC;
}

// SQLite would make the file with the process's umask; the log and index files take over the mode of the
// file.
static int make_file(const char *path, struct error *err)
{
    AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_set_errno(err, errno, "cannot open %s", path);
    return 0;
}

// Also takes the place of SQLite's own checkpoints, which would run inside the commit and hide their
// failures.
static int committed(void *arg, sqlite3 *raw, const char *name, int pages)
{
    (void)raw;
    (void)name;
    ((struct database *)arg)->log_pages = pages;
    return SQLITE_OK;
}

// A damaged tree may lead in circles. No statement of ours takes long, so one that does is ended.
static int takes_too_long(void *arg)
{
    return clock_ms() - ((struct database *)arg)->started_ms > STATEMENT_MS;
}

static int connect_file(struct database *db, enum database_mode mode, struct error *err)
{
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_READWRITE;
    if (sqlite3_open_v2(db->path, &db->raw, flags, NULL) != SQLITE_OK) {
        if (db->raw)
            return fail(db, err);
        return error_set(err, ERR_INTERNAL, "%s: out of memory", db->path);
    }
    sqlite3_busy_timeout(db->raw, BUSY_MS);
    sqlite3_db_config(db->raw, SQLITE_DBCONFIG_DEFENSIVE, mode != DATABASE_SALVAGE, NULL);
    // With this, a schema that is partly damaged does not keep its other tables from being read.
    sqlite3_db_config(db->raw, SQLITE_DBCONFIG_WRITABLE_SCHEMA, mode == DATABASE_SALVAGE, NULL);
    sqlite3_wal_hook(db->raw, committed, db);
    sqlite3_progress_handler(db->raw, CHECK_STEPS, takes_too_long, db);
    return database_exec(db, mode == DATABASE_WRITE ? write_settings : read_settings, err);
}

struct database *database_open(const char *path, enum database_mode mode, bool *ret_damaged,
                               struct error *err)
{
    if (ret_damaged)
        *ret_damaged = false;
    if (mode == DATABASE_WRITE && make_file(path, err) < 0)
        return NULL;
    struct database *db = mem_new(struct database);
    db->path = mem_strdup(path);
    db->durable = -1;
    if (connect_file(db, mode, err) == 0)
        return db;
    if (ret_damaged)
        *ret_damaged = database_damaged(db);
    database_close(db);
    return NULL;
}

void database_close(struct database *db)
{
    if (!db)
        return;
    for (int i = 0; i < db->n_statements; i++)
        sqlite3_finalize(db->statements[i].raw);
    sqlite3_close(db->raw);
    free(db->path);
    free(db);
}

int database_exec(struct database *db, const char *sql, struct error *err)
{
    db->started_ms = clock_ms();
    if (sqlite3_exec(db->raw, sql, NULL, NULL, NULL) != SQLITE_OK)
        return fail(db, err);
    return 0;
}

int database_durable(struct database *db, bool durable, struct error *err)
{
    if (db->durable == durable)
        return 0;
    if (database_exec(db, durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL", err) < 0)
        return -1;
    db->durable = durable;
    return 0;
}

static int run_plain(struct database *db, const char *sql, struct error *err)
{
    struct statement *statement = database_statement(db, sql, err);
    return statement ? statement_run(statement, err) : -1;
}

int database_begin(struct database *db, struct error *err)
{
    return run_plain(db, "BEGIN IMMEDIATE", err);
}

int database_commit(struct database *db, struct error *err)
{
    return run_plain(db, "COMMIT", err);
}

void database_rollback(struct database *db)
{
    // SQLite may have rolled back by itself (a full disk, no memory).
    if (!sqlite3_get_autocommit(db->raw))
        sqlite3_exec(db->raw, "ROLLBACK", NULL, NULL, NULL);
}

int database_savepoint(struct database *db, struct error *err)
{
    return run_plain(db, "SAVEPOINT call", err);
}

int database_savepoint_keep(struct database *db, struct error *err)
{
    return run_plain(db, "RELEASE call", err);
}

int database_savepoint_undo(struct database *db, struct error *err)
{
    if (run_plain(db, "ROLLBACK TO call", err) < 0)
        return -1;
    return run_plain(db, "RELEASE call", err);
}

int database_checkpoint(struct database *db, struct error *err)
{
    if (sqlite3_wal_checkpoint_v2(db->raw, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL) != SQLITE_OK)
        return fail(db, err);
    return 0;
}

int database_checkpoint_all(struct database *db, struct error *err)
{
    if (sqlite3_wal_checkpoint_v2(db->raw, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) != SQLITE_OK)
        return fail(db, err);
    db->log_pages = 0;
    return 0;
}

int database_log_pages(const struct database *db)
{
    return db->log_pages;
}

int64_t database_size_bytes(struct database *db)
{
    struct error ignored = ERROR_INIT;
    int64_t pages = 0, page_bytes = 0;
    if (database_number(db, "PRAGMA page_count", 0, &pages, &ignored) < 0 ||
        database_number(db, "PRAGMA page_size", 0, &page_bytes, &ignored) < 0)
        pages = 0;
    error_clear(&ignored);
    return pages * page_bytes;
}

static struct statement *prepare(struct database *db, const char *sql, struct error *err)
{
    if (db->n_statements == STATEMENTS_MAX) {
        error_set(err, ERR_INTERNAL, "%s: too many kinds of statements", db->path);
        return NULL;
    }
    struct statement *statement = &db->statements[db->n_statements];
    *statement = (struct statement){.sql = sql, .db = db};
    if (sqlite3_prepare_v3(db->raw, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement->raw, NULL) != SQLITE_OK) {
        fail(db, err);
        return NULL;
    }
    db->n_statements++;
    return statement;
}

struct statement *database_statement(struct database *db, const char *sql, struct error *err)
{
    struct statement *statement = NULL;
    for (int i = 0; i < db->n_statements && !statement; i++)
        if (db->statements[i].sql == sql)
            statement = &db->statements[i];
    if (!statement)
        statement = prepare(db, sql, err);
    if (!statement)
        return NULL;
    statement_end(statement);
    db->started_ms = clock_ms();
    return statement;
}

static void bound(struct statement *statement, int result)
{
    if (result != SQLITE_OK)
        statement->bind_result = result;
}

void statement_text(struct statement *statement, const char *text)
{
    int at = statement->next_parameter++;
    bound(statement, sqlite3_bind_text(statement->raw, at, text, -1, SQLITE_STATIC)); // NULL binds NULL
}

void statement_bytes(struct statement *statement, const void *bytes, size_t len)
{
    int at = statement->next_parameter++;
    bound(statement, sqlite3_bind_blob64(statement->raw, at, bytes, len, SQLITE_STATIC));
}

void statement_int(struct statement *statement, int64_t value)
{
    bound(statement, sqlite3_bind_int64(statement->raw, statement->next_parameter++, value));
}

void statement_end(struct statement *statement)
{
    sqlite3_reset(statement->raw);
    sqlite3_clear_bindings(statement->raw);
    statement->next_parameter = 1;
    statement->bind_result = SQLITE_OK;
}

int statement_next(struct statement *statement, struct error *err)
{
    int result = statement->bind_result;
    if (result == SQLITE_OK)
        result = sqlite3_step(statement->raw);
    if (result == SQLITE_ROW)
        return 1;
    if (result != SQLITE_DONE)
        fail(statement->db, err); // before the reset, which may change the message
    statement_end(statement);
    return result == SQLITE_DONE ? 0 : -1;
}

int statement_run(struct statement *statement, struct error *err)
{
    int row;
    do
        row = statement_next(statement, err);
    while (row > 0);
    return row;
}

int64_t statement_changes(const struct statement *statement)
{
    return sqlite3_changes64(statement->db->raw);
}

const char *statement_column_text(struct statement *statement, int column)
{
    return (const char *)sqlite3_column_text(statement->raw, column);
}

const char *statement_column_name(struct statement *statement, int column)
{
    const char *text = statement_column_text(statement, column);
    return text ? text : "";
}

const void *statement_column_bytes(struct statement *statement, int column, size_t *ret_len)
{
    const void *bytes = sqlite3_column_blob(statement->raw, column);
    *ret_len = bytes ? (size_t)sqlite3_column_bytes(statement->raw, column) : 0;
    return bytes;
}

int64_t statement_column_int(struct statement *statement, int column)
{
    return sqlite3_column_int64(statement->raw, column);
}

int database_number(struct database *db, const char *sql, int64_t fallback, int64_t *ret, struct error *err)
{
    struct statement *statement = database_statement(db, sql, err);
    if (!statement)
        return -1;
    int row = statement_next(statement, err);
    if (row < 0)
        return -1;
    bool set = row > 0 && sqlite3_column_type(statement->raw, 0) != SQLITE_NULL;
    *ret = set ? statement_column_int(statement, 0) : fallback;
    statement_end(statement);
    return 0;
}
