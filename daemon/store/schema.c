// SPDX-License-Identifier: Apache-2.0
//
// Migrations are only ever appended. What must hold: each text leaves the file as the statements of this
// program need it after the last one, and none depends on a setting of the connection.
//
// Specs and sealed credentials lie beside the jobs, not in them: a change of state then never rewrites them,
// and wiping a sealed text is the deletion of a row that secure_delete overwrites. The totals are kept by
// triggers, so retention needs no scan and a cursor is never given twice, even after the newest events were
// pruned.
#include "store/schema.h"

#include "base/mem.h"

enum { APPLICATION_ID = 0x64726179 }; // "dray"

static const char *const migrations[] = {
    // 1
    "CREATE TABLE jobs ("
    "  n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, state TEXT NOT NULL,"
    "  terminal INTEGER NOT NULL, attempt INTEGER NOT NULL, priority INTEGER NOT NULL, created_ms INTEGER "
    "NOT NULL,"
    "  started_ms INTEGER NOT NULL, finished_ms INTEGER NOT NULL, uid INTEGER NOT NULL, last_seq INTEGER NOT "
    "NULL,"
    "  labels TEXT, extra TEXT, error TEXT, result TEXT, checkpoint TEXT);"
    "CREATE INDEX jobs_active ON jobs (id) WHERE terminal = 0;"
    "CREATE INDEX jobs_finished ON jobs (finished_ms) WHERE terminal = 1;"
    "CREATE TABLE specs (n INTEGER PRIMARY KEY, spec TEXT NOT NULL);"
    "CREATE TABLE sealed (n INTEGER PRIMARY KEY, bytes BLOB NOT NULL);"
    "CREATE TABLE keys ("
    "  key TEXT PRIMARY KEY, job TEXT NOT NULL, fingerprint TEXT NOT NULL, created_ms INTEGER NOT NULL) "
    "WITHOUT ROWID;"
    "CREATE INDEX keys_job ON keys (job);"
    "CREATE INDEX keys_created ON keys (created_ms);"
    "CREATE TABLE events (cursor INTEGER PRIMARY KEY, job TEXT NOT NULL, seq INTEGER NOT NULL, text TEXT NOT "
    "NULL);"
    "CREATE UNIQUE INDEX events_job ON events (job, seq);"
    "CREATE TABLE facts ("
    "  kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, expires_ms INTEGER NOT NULL,"
    "  PRIMARY KEY (kind, key)) WITHOUT ROWID;"
    "CREATE INDEX facts_expiry ON facts (expires_ms) WHERE expires_ms > 0;"
    "CREATE TABLE totals (id INTEGER PRIMARY KEY CHECK (id = 1), event_bytes INTEGER NOT NULL,"
    "  last_cursor INTEGER NOT NULL);"
    "INSERT INTO totals VALUES (1, 0, 0);"
    "CREATE TRIGGER events_added AFTER INSERT ON events BEGIN"
    "  UPDATE totals SET event_bytes = event_bytes + length(CAST(NEW.text AS BLOB)),"
    "    last_cursor = max(last_cursor, NEW.cursor) WHERE id = 1; END;"
    "CREATE TRIGGER events_removed AFTER DELETE ON events BEGIN"
    "  UPDATE totals SET event_bytes = event_bytes - length(CAST(OLD.text AS BLOB)) WHERE id = 1; END;",
    // 2: checksums, see job_row_intact
    "ALTER TABLE jobs ADD COLUMN sum TEXT;"
    "ALTER TABLE specs ADD COLUMN sum TEXT;"
    "UPDATE jobs SET sum = '';"
    "UPDATE specs SET sum = '';",
};

int schema_version(void)
{
    return (int)(sizeof migrations / sizeof *migrations);
}

static int check(struct database *db, int64_t *ret_version, struct error *err)
{
    int64_t application = 0;
    if (database_number(db, "PRAGMA application_id", 0, &application, err) < 0 ||
        database_number(db, "PRAGMA user_version", 0, ret_version, err) < 0)
        return -1;
    if (*ret_version > schema_version()) {
        error_set(err, ERR_CONFLICT, "the job database has version %lld, this program knows up to %d",
                  (long long)*ret_version, schema_version());
        error_hint(err, "Start the newer program again, or give this one another state directory.");
        return -1;
    }
    if (application != APPLICATION_ID && (application != 0 || *ret_version != 0))
        return error_set(err, ERR_CONFLICT, "the job database belongs to another program");
    return 0;
}

static int step(struct database *db, int version, struct error *err)
{
    AUTO_FREE char *marks =
        mem_printf("PRAGMA application_id=%d; PRAGMA user_version=%d", APPLICATION_ID, version + 1);
    if (database_begin(db, err) < 0)
        return -1;
    if (database_exec(db, migrations[version], err) < 0 || database_exec(db, marks, err) < 0 ||
        database_commit(db, err) < 0) {
        database_rollback(db);
        return error_wrap(err, "migrating the job database to version %d", version + 1);
    }
    return 0;
}

int schema_migrate(struct database *db, struct error *err)
{
    int64_t version = 0;
    if (check(db, &version, err) < 0 || database_durable(db, true, err) < 0)
        return -1;
    for (; version < schema_version(); version++)
        if (step(db, (int)version, err) < 0)
            return -1;
    return 0;
}
