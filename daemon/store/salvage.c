// SPDX-License-Identifier: Apache-2.0
//
// Walks the damaged table by number. Where that fails each number is asked for by itself, as far as a page or some
// can reach, and then in strides that double, so that a bad file ends soon. A number that is wrong itself leads
// past the rest, so the table is walked from its other end too. The two files are two connections, so that an error of the old one
// cannot spoil the transaction of the new one. A job counts as saved if its row and its spec could be read; a
// missing event or key costs its reader something, a missing job breaks a promise.
#include "store/salvage.h"

#include "base/log.h"
#include "store/job_row.h"
#include "store/schema.h"

static const int64_t STRIDE_MAX = (int64_t)1 << 40;
enum { SINGLE_STEPS = 2048 };

struct salvage {
    struct database *old, *db;
    struct error err; // of the last failure; what could not be read is skipped, not reported
};

static struct statement *query(struct salvage *self, const char *sql)
{
    error_clear(&self->err);
    return database_statement(self->old, sql, &self->err);
}

static void save_key(struct salvage *self, const char *id)
{
    struct statement *found = query(self, "SELECT key, fingerprint, created_ms FROM keys WHERE job = ?");
    if (!found)
        return;
    statement_text(found, id);
    while (statement_next(found, &self->err) > 0)
        job_row_insert_key(self->db, id, statement_column_name(found, 0), statement_column_name(found, 1),
                           statement_column_int(found, 2), &self->err);
}

static void save_events(struct salvage *self, const char *id)
{
    struct statement *found = query(self, "SELECT cursor, seq, text FROM events WHERE job = ? ORDER BY seq");
    if (!found)
        return;
    statement_text(found, id);
    while (statement_next(found, &self->err) > 0) {
        struct store_event event = {
            .cursor = statement_column_int(found, 0),
            .job = id,
            .seq = statement_column_int(found, 1),
            .text = statement_column_name(found, 2),
        };
        job_row_insert_event(self->db, &event, &self->err);
    }
}

// Borrowed until the statement ends.
static struct statement *read_sealed(struct salvage *self, int64_t n, struct store_job *job)
{
    struct statement *found = query(self, "SELECT bytes FROM sealed WHERE n = ?");
    if (!found)
        return NULL;
    statement_int(found, n);
    if (statement_next(found, &self->err) > 0)
        job->sealed = statement_column_bytes(found, 0, &job->sealed_len);
    return found;
}

static bool save_row(struct salvage *self, int64_t n, struct statement *found)
{
    struct store_job job;
    statement_int(found, n);
    if (statement_next(found, &self->err) <= 0)
        return false;
    job_row_read(found, &job);
    if (!job_row_intact(found, &job))
        return false;
    struct statement *sealed = read_sealed(self, n, &job);
    error_clear(&self->err);
    bool saved = job_row_insert(self->db, &job, &self->err) == 0;
    if (sealed)
        statement_end(sealed);
    if (!saved)
        return false;
    save_key(self, job.id);
    save_events(self, job.id);
    return true;
}

static bool save_job(struct salvage *self, int64_t n)
{
    struct statement *found =
        query(self, "SELECT " JOB_ROW_COLUMNS_SEQ("j.last_seq") " FROM jobs j JOIN specs s ON s.n = j.n"
                                                                " WHERE j.n = ?");
    if (!found)
        return false;
    bool saved = save_row(self, n, found);
    statement_end(found);
    return saved;
}

// 1: *ret is the number of the job behind (direction 1) or before (-1) that one; 0: there is none; -1: cannot be
// read.
static int next_number(struct salvage *self, int direction, int64_t after, int64_t *ret)
{
    struct statement *found = query(
        self, direction > 0 ? "SELECT n FROM jobs NOT INDEXED WHERE n > ? ORDER BY n LIMIT 1"
                            : "SELECT n FROM jobs NOT INDEXED WHERE n < ? ORDER BY n DESC LIMIT 1");
    if (!found)
        return -1;
    statement_int(found, after);
    int row = statement_next(found, &self->err);
    if (row > 0)
        *ret = statement_column_int(found, 0);
    statement_end(found);
    bool astray = direction > 0 ? *ret <= after : *ret >= after; // a tree out of order
    return row > 0 && astray ? -1 : row;
}

// What was saved before is not saved twice: its id is taken.
static int64_t save_jobs(struct salvage *self, int direction, int64_t after)
{
    int64_t saved = 0, stride = 1, failures = 0, n = 0;
    for (int found = 1; found != 0 && after >= 0 && stride < STRIDE_MAX;) {
        found = next_number(self, direction, after, &n);
        failures = found < 0 ? failures + 1 : 0;
        stride = failures > SINGLE_STEPS ? stride * 2 : 1;
        after = found < 0 ? after + direction * stride : n;
        saved += found != 0 && save_job(self, after);
    }
    return saved;
}

// Numbers are given from 1 on.
static int64_t save_all_jobs(struct salvage *self)
{
    return save_jobs(self, 1, 0) + save_jobs(self, -1, INT32_MAX);
}

// Two indexes know each job; the one that remembers more is asked.
static int64_t count_jobs(struct salvage *self)
{
    static const char *const ways[] = {"SELECT count(*) FROM jobs INDEXED BY sqlite_autoindex_jobs_1",
                                       "SELECT count(*) FROM specs"};
    int64_t most = -1, n;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        error_clear(&self->err);
        if (database_number(self->old, ways[i], 0, &n, &self->err) == 0 && n > most)
            most = n;
    }
    return most;
}

static bool known_version(struct salvage *self)
{
    int64_t version = -1;
    return database_number(self->old, "PRAGMA user_version", -1, &version, &self->err) == 0 &&
           version == schema_version();
}

int64_t salvage_jobs(struct database *db, const char *damaged_path, int64_t *ret_lost)
{
    struct salvage self = {.db = db, .err = ERROR_INIT};
    int64_t saved = 0, known = -1;
    self.old = database_open(damaged_path, DATABASE_SALVAGE, NULL, &self.err);
    if (self.old && known_version(&self) && database_begin(db, &self.err) == 0) {
        saved = save_all_jobs(&self);
        known = count_jobs(&self);
        error_clear(&self.err);
        if (database_commit(db, &self.err) < 0) {
            log_warning("store: what was saved could not be written: %s", self.err.detail);
            database_rollback(db);
            saved = 0;
        }
    }
    database_close(self.old);
    error_clear(&self.err);
    *ret_lost = known < 0 ? -1 : known > saved ? known - saved : 0;
    return saved;
}
