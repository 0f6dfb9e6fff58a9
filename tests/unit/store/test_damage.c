// SPDX-License-Identifier: Apache-2.0
//
// What store_open makes of files that are not as it left them.
#include "store_fixture.h"

#include <dirent.h>
#include <sqlite3.h>
#include <sys/stat.h>

static char *path_of(const struct fixture *f, const char *name)
{
    return mem_printf("%s/%s", f->directory, name);
}

static void put_file(const struct fixture *f, const char *name, const void *bytes, size_t len)
{
    AUTO_FREE char *path = path_of(f, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static char *get_file(const struct fixture *f, const char *name, size_t *ret_len)
{
    struct error err = ERROR_INIT;
    AUTO_FREE char *path = path_of(f, name);
    char *bytes = file_read(path, 1 << 28, ret_len, &err);
    error_clear(&err);
    return bytes;
}

static int count_names(const struct fixture *f, const char *part)
{
    int n = 0;
    DIR *directory = opendir(f->directory);
    assert_non_null(directory);
    for (const struct dirent *item; (item = readdir(directory)) != NULL;)
        n += strstr(item->d_name, part) != NULL;
    closedir(directory);
    return n;
}

static void insert_jobs(struct fixture *f, int n, const char *state)
{
    char id[16], key[32];
    for (int i = 0; i < n; i++) {
        snprintf(id, sizeof id, "%06d", i);
        snprintf(key, sizeof key, "key %d", i);
        struct store_job job = fixture_job(id, state);
        job.sealed = "sealed";
        job.sealed_len = 6;
        store_job_insert(f->store, &job, key, "fp", fixture_done, f);
        store_event_append(f->store,
                           &(struct store_event){.job = id, .seq = 1, .cursor = i + 1, .text = "{\"seq\":1}"});
    }
    fixture_wait(f, n);
    assert_int_equal(f->n_ok, n);
}

static void sql(const struct fixture *f, const char *text)
{
    AUTO_FREE char *path = path_of(f, "dray.db");
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void count_row(void *arg, const struct store_job *row, const struct error *err)
{
    assert_null(err);
    if (row) {
        assert_string_equal(row->spec, "{\"kind\":\"build\"}");
        ++*(int *)arg;
    }
}

static int recovered(struct fixture *f)
{
    struct error err = ERROR_INIT;
    int64_t cursor;
    int n = 0;
    assert_int_equal(store_recover(f->store, count_row, &n, &cursor, &err), 0);
    return n;
}

static enum error_code refused(struct fixture *f)
{
    struct error err = ERROR_INIT;
    f->loop = loop_new(&err);
    f->mailbox = mailbox_new(f->loop, &err);
    f->store = store_open(f->directory, f->mailbox, &err);
    assert_null(f->store);
    assert_non_null(err.detail);
    enum error_code code = err.code;
    error_clear(&err);
    mailbox_free(f->mailbox);
    loop_free(f->loop);
    return code;
}

static void test_no_database_is_set_aside(void **state)
{
    struct fixture *f = *state;
    char garbage[8192];
    memset(garbage, 'x', sizeof garbage);
    fixture_close(f);
    put_file(f, "dray.db", garbage, sizeof garbage);
    fixture_open(f);
    assert_int_equal(count_names(f, "dray.db.damaged-"), 1);
    assert_int_equal(recovered(f), 0);
    assert_int_equal(fixture_insert(f, "A", "queued"), ERR_NONE);
}

static void test_empty_file_is_a_new_database(void **state)
{
    struct fixture *f = *state;
    fixture_close(f);
    put_file(f, "dray.db", "", 0);
    fixture_open(f);
    assert_int_equal(count_names(f, "damaged"), 0);
    assert_int_equal(fixture_insert(f, "A", "queued"), ERR_NONE);
}

static void test_newer_is_refused_and_left_alone(void **state)
{
    struct fixture *f = *state;
    insert_jobs(f, 3, "queued");
    fixture_close(f);
    sql(f, "PRAGMA user_version = 99");
    assert_int_equal(refused(f), ERR_CONFLICT);
    assert_int_equal(count_names(f, "damaged"), 0);
    sql(f, "PRAGMA user_version = 2");
    fixture_open(f);
    assert_int_equal(recovered(f), 3);
}

static void test_foreign_is_refused_and_left_alone(void **state)
{
    struct fixture *f = *state;
    fixture_close(f);
    sql(f, "PRAGMA application_id = 7");
    assert_int_equal(refused(f), ERR_CONFLICT);
    assert_int_equal(count_names(f, "damaged"), 0);
}

static void test_second_daemon_is_refused(void **state)
{
    struct fixture *f = *state;
    struct fixture second = {0};
    memcpy(second.directory, f->directory, sizeof second.directory);
    assert_int_equal(refused(&second), ERR_CONFLICT);
    assert_int_equal(fixture_insert(f, "A", "queued"), ERR_NONE);
}

static void test_directory_cannot_be_made(void **state)
{
    struct fixture *f = *state;
    struct fixture other = {0};
    put_file(f, "file", "x", 1);
    snprintf(other.directory, sizeof other.directory, "%.40s/file/x", f->directory);
    assert_int_not_equal(refused(&other), ERR_NONE);
}

static void test_files_are_private(void **state)
{
    struct fixture *f = *state;
    const char *names[] = {"dray.db", "dray.db-wal", "dray.db-shm", "dray.reserve", "dray.lock"};
    fixture_insert(f, "A", "queued");
    for (size_t i = 0; i < 5; i++) {
        struct stat status;
        AUTO_FREE char *path = path_of(f, names[i]);
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 077, 0);
    }
}

static long page_of(const struct fixture *f, const char *table)
{
    AUTO_FREE char *path = path_of(f, "dray.db");
    AUTO_FREE char *text = mem_printf("SELECT rootpage FROM sqlite_schema WHERE name = '%s'", table);
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, text, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    long page = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return page;
}

// One leaf of the table of jobs is lost: the jobs on the others are saved, with what hangs on them.
static void test_jobs_are_saved_from_a_damaged_table(void **state)
{
    struct fixture *f = *state;
    insert_jobs(f, 400, "queued");
    fixture_close(f);
    size_t len;
    AUTO_FREE char *bytes = get_file(f, "dray.db", &len);
    const unsigned char *root = (unsigned char *)bytes + (page_of(f, "jobs") - 1) * 4096;
    assert_int_equal(root[0], 5); // an interior page; its last child is at offset 8, big-endian (sqlite.org/fileformat2)
    size_t leaf = (size_t)root[8] << 24 | (size_t)root[9] << 16 | (size_t)root[10] << 8 | root[11];
    memset(bytes + (leaf - 1) * 4096, 0xee, 4096);
    put_file(f, "dray.db", bytes, len);
    fixture_open(f);
    assert_int_equal(count_names(f, "dray.db.damaged-"), 1);
    int n = recovered(f);
    assert_in_range(n, 300, 399);
    f->n_ok = 0;
    store_job_delete(f->store, "000000", fixture_done, f);
    fixture_wait(f, 1);
    assert_int_equal(f->n_ok, 1);
    fixture_reopen(f);
    assert_int_equal(recovered(f), n - 1);
}

static void test_lost_events_do_not_lose_jobs(void **state)
{
    struct fixture *f = *state;
    insert_jobs(f, 400, "queued");
    fixture_close(f);
    size_t len;
    AUTO_FREE char *bytes = get_file(f, "dray.db", &len);
    memset(bytes + (page_of(f, "events_job") - 1) * 4096, 0xee, 4096);
    put_file(f, "dray.db", bytes, len);
    fixture_open(f);
    assert_int_equal(recovered(f), 400);
}

enum { KEPT_JOBS = 1000 };

static int n_damages(void)
{
    const char *more = getenv("DRAY_DAMAGES");
    return more ? atoi(more) : 50;
}

// Each job has a text of its own, of a size of its own.
static char *spec_of(const char *id)
{
    int n = atoi(id);
    return mem_printf("{\"kind\":\"build\",\"n\":\"%s\",\"pad\":\"%0*d\"}", id, 1 + n * 37 % 700, n);
}

struct kept {
    bool seen[KEPT_JOBS];
    int n;
};

static void keep_row(void *arg, const struct store_job *row, const struct error *err)
{
    struct kept *kept = arg;
    assert_null(err);
    if (!row)
        return;
    int n = atoi(row->id);
    AUTO_FREE char *spec = spec_of(row->id);
    assert_in_range(n, 0, KEPT_JOBS - 1);
    assert_false(kept->seen[n]);
    assert_string_equal(row->spec, spec);
    assert_string_equal(row->state, "queued");
    assert_string_equal(row->labels, "{\"ci\":\"42\"}");
    assert_int_equal(row->uid, 1000);
    kept->seen[n] = true;
    kept->n++;
}

static void fill_with_jobs(struct fixture *f)
{
    for (int i = 0; i < KEPT_JOBS; i++) {
        AUTO_FREE char *id = mem_printf("%06d", i);
        AUTO_FREE char *spec = spec_of(id);
        struct store_job job = fixture_job(id, "queued");
        job.spec = spec;
        store_job_insert(f->store, &job, NULL, NULL, fixture_done, f);
    }
    fixture_wait(f, KEPT_JOBS);
    assert_int_equal(f->n_ok, KEPT_JOBS);
}

static void damage_page(char *bytes, size_t page, int how)
{
    char *at = bytes + page * 4096;
    if (how == 0)
        memset(at, rand() % 256, 4096);
    else
        for (int i = 0; i < how; i++)
            at[rand() % 4096] ^= (char)(1 << rand() % 8);
}

// One page is damaged, by a bit, some bits or as a whole: every job that is not on it is there, and each is what
// was accepted.
static void test_jobs_beside_a_damaged_page_are_saved(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    int64_t cursor;
    int worst = KEPT_JOBS, rounds = n_damages();
    long total = 0;
    fill_with_jobs(f);
    fixture_close(f);
    size_t len;
    AUTO_FREE char *sound = get_file(f, "dray.db", &len);
    AUTO_FREE char *bytes = mem_alloc(len);
    srand(815);
    for (int round = 0; round < rounds; round++) {
        struct kept kept = {0};
        size_t page = (size_t)rand() % (len / 4096);
        memcpy(bytes, sound, len);
        damage_page(bytes, page, round % 3 == 0 ? 0 : round % 3 == 1 ? 1 : 20);
        fixture_remove(f);
        fixture_directory(f);
        put_file(f, "dray.db", bytes, len);
        fixture_open(f);
        assert_int_equal(store_recover(f->store, keep_row, &kept, &cursor, &err), 0);
        if (kept.n < KEPT_JOBS - 50)
            print_message("page %zu of %zu, type %d: %d jobs\n", page, len / 4096, sound[page * 4096], kept.n);
        worst = kept.n < worst ? kept.n : worst;
        total += kept.n;
        fixture_close(f);
    }
    print_message("%d damages: %.2f %% of the jobs saved, at worst %d of %d\n", rounds,
                  100.0 * (double)total / rounds / KEPT_JOBS, worst, KEPT_JOBS);
    assert_true(total >= (long)rounds * KEPT_JOBS * 9 / 10);
}

static void any_row(void *arg, const struct store_job *row, const struct error *err)
{
    (void)err;
    if (!row)
        fixture_answered(arg);
}

// Whatever bytes change: the store opens or refuses with a reason, and answers every call.
static void test_random_damage(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    insert_jobs(f, 200, "running");
    fixture_close(f);
    size_t len;
    AUTO_FREE char *sound = get_file(f, "dray.db", &len);
    AUTO_FREE char *bytes = mem_alloc(len);
    srand(4711);
    for (int round = 0; round < n_damages(); round++) {
        memcpy(bytes, sound, len);
        int n = 1 << rand() % 7;
        for (int i = 0; i < n; i++)
            bytes[(size_t)rand() % len] ^= (char)(1 + rand() % 255);
        fixture_remove(f);
        fixture_directory(f);
        put_file(f, "dray.db", bytes, round % 5 == 4 ? (size_t)rand() % len : len);
        f->loop = loop_new(&err);
        f->mailbox = mailbox_new(f->loop, &err);
        f->store = store_open(f->directory, f->mailbox, &err);
        if (f->store) {
            struct store_job job = fixture_job("X", "queued");
            store_job_insert(f->store, &job, NULL, NULL, fixture_done, f);
            store_job_list(f->store, &(struct store_job_filter){.uid = -1, .limit = 1000}, any_row, f);
            store_prune(f->store, &(struct store_retention){.jobs_count = 1}, fixture_done, f);
            fixture_wait(f, 3);
        }
        error_clear(&err);
        fixture_close(f);
    }
}

// A log that was cut anywhere holds the commits before the cut and nothing else.
static void test_torn_log(void **state)
{
    struct fixture *f = *state;
    char id[16];
    for (int i = 0; i < 40; i++) {
        snprintf(id, sizeof id, "%06d", i);
        assert_int_equal(fixture_insert(f, id, "queued"), ERR_NONE);
    }
    size_t db_len, log_len;
    AUTO_FREE char *db = get_file(f, "dray.db", &db_len);
    AUTO_FREE char *log = get_file(f, "dray.db-wal", &log_len);
    assert_true(log_len > 100000);
    fixture_close(f);
    int before = -1;
    for (size_t cut = 0; cut <= log_len; cut += 10007) {
        fixture_remove(f);
        fixture_directory(f);
        put_file(f, "dray.db", db, db_len);
        put_file(f, "dray.db-wal", log, cut);
        fixture_open(f);
        int n = recovered(f);
        assert_true(n >= before);
        assert_int_equal(fixture_insert(f, "X", "queued"), ERR_NONE);
        fixture_close(f);
        before = n;
    }
    assert_in_range(before, 30, 40);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(test_no_database_is_set_aside),
        WITH_STORE(test_empty_file_is_a_new_database),
        WITH_STORE(test_newer_is_refused_and_left_alone),
        WITH_STORE(test_foreign_is_refused_and_left_alone),
        WITH_STORE(test_second_daemon_is_refused),
        WITH_STORE(test_directory_cannot_be_made),
        WITH_STORE(test_files_are_private),
        WITH_STORE(test_jobs_are_saved_from_a_damaged_table),
        WITH_STORE(test_lost_events_do_not_lose_jobs),
        WITH_STORE(test_jobs_beside_a_damaged_page_are_saved),
        WITH_STORE(test_random_damage),
        WITH_STORE(test_torn_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
