// SPDX-License-Identifier: Apache-2.0
//
// The disk is full or fails, or memory runs out inside SQLite, at every possible moment of a small workload.
// What must hold each time: nothing hangs, what was answered well is there afterwards, what was refused is
// not, and the store works again when the fault is over.
#include "store_fixture.h"

#include "fault_vfs.h"

enum { JOBS = 6 };

struct job_note {
    struct fixture *f;
    char id[16];
    bool inserted, finished;
    bool found, found_finished;
};

static void job_answered(struct job_note *note, const struct error *err)
{
    if (err && err->code != ERR_NO_SPACE && err->code != ERR_INTERNAL)
        fail_msg("unexpected: %s", err->detail);
    fixture_answered(note->f);
}

static void insert_answered(void *arg, const struct error *err)
{
    struct job_note *note = arg;
    note->inserted = err == NULL;
    job_answered(note, err);
}

static void finish_answered(void *arg, const struct error *err)
{
    struct job_note *note = arg;
    note->finished = err == NULL;
    if (err && err->code == ERR_NOT_FOUND) // the insert was refused
        fixture_answered(note->f);
    else
        job_answered(note, err);
}

static void flush_answered(void *arg, const struct error *err)
{
    (void)err;
    fixture_answered(arg);
}

// One call at a time and then a group at once, so that both ways through the committer are taken.
static void workload(struct fixture *f, struct job_note notes[JOBS])
{
    for (int i = 0; i < JOBS; i++) {
        notes[i] = (struct job_note){.f = f};
        snprintf(notes[i].id, sizeof notes[i].id, "J%d", i);
        struct store_job job = fixture_job(notes[i].id, "queued");
        job.sealed = "sealed";
        job.sealed_len = 6;
        store_job_insert(f->store, &job, notes[i].id, "fp", insert_answered, &notes[i]);
        if (i % 2)
            fixture_wait(f, 2);
    }
    for (int i = 0; i < JOBS; i++) {
        struct store_job job = fixture_job(notes[i].id, "failed");
        store_event_append(
            f->store, &(struct store_event){.job = notes[i].id, .seq = 1, .cursor = i + 1, .text = "{}"});
        store_job_update(f->store, &job, true, finish_answered, &notes[i]);
    }
    store_flush(f->store, flush_answered, f);
    fixture_wait(f, JOBS + 1);
}

static void audit_row(void *arg, const struct store_job *row, const struct error *err)
{
    struct job_note *note = arg;
    assert_null(err);
    if (!row) {
        fixture_answered(note->f);
        return;
    }
    note->found = true;
    note->found_finished = strcmp(row->state, "failed") == 0;
}

static void audit(struct fixture *f, struct job_note notes[JOBS])
{
    for (int i = 0; i < JOBS; i++)
        store_job_find(f->store, notes[i].id, audit_row, &notes[i]);
    fixture_wait(f, JOBS);
    for (int i = 0; i < JOBS; i++) {
        assert_int_equal(notes[i].found, notes[i].inserted);
        assert_int_equal(notes[i].found_finished, notes[i].finished);
    }
}

static void count_event(void *arg, const struct store_event *row, const struct error *err)
{
    struct fixture *f = arg;
    assert_null(err);
    if (row)
        f->n_ok++;
    else
        fixture_answered(f);
}

// Every event of a job that is there was kept, whatever the disk did.
static void audit_events(struct fixture *f, struct job_note notes[JOBS])
{
    int expected = 0;
    for (int i = 0; i < JOBS; i++)
        expected += notes[i].inserted;
    f->n_ok = 0;
    store_event_list_all(f->store, 0, 100, count_event, f);
    fixture_wait(f, 1);
    assert_int_equal(f->n_ok, expected);
}

// New jobs are refused for up to a second after the disk was full.
static void wait_until_accepting(struct fixture *f)
{
    char id[24];
    for (int i = 0; i < 200; i++) {
        snprintf(id, sizeof id, "Z%d", i);
        if (fixture_insert(f, id, "queued") == ERR_NONE)
            return;
        usleep(20000);
    }
    fail_msg("the store did not recover");
}

static void clear_directory(struct fixture *f)
{
    fixture_close(f);
    fixture_remove(f);
    fixture_directory(f);
    fixture_open(f);
}

static void every_moment(struct fixture *f, enum fault kind, int sticky)
{
    struct job_note notes[JOBS];
    long fired = 1;
    for (long n = 1; fired > 0; n++) {
        fault_set(kind, n, sticky);
        workload(f, notes);
        fired = atomic_load(&fault_fired);
        fault_set(FAULT_NONE, 0, 0);
        audit(f, notes);
        fixture_reopen(f);
        audit(f, notes);
        audit_events(f, notes);
        clear_directory(f);
        assert_true(n < 2000);
    }
}

static void test_full_once(void **state)
{
    every_moment(*state, FAULT_FULL, 0);
}

static void test_full_from_then_on(void **state)
{
    every_moment(*state, FAULT_FULL, 1);
}

static void test_write_error_once(void **state)
{
    every_moment(*state, FAULT_WRITE, 0);
}

static void test_write_error_from_then_on(void **state)
{
    every_moment(*state, FAULT_WRITE, 1);
}

static void test_sync_error_once(void **state)
{
    every_moment(*state, FAULT_SYNC, 0);
}

static void test_sync_error_from_then_on(void **state)
{
    every_moment(*state, FAULT_SYNC, 1);
}

struct seen {
    struct fixture *f;
    int n;
    int64_t last;
};

static void seen_event(void *arg, const struct store_event *row, const struct error *err)
{
    struct seen *seen = arg;
    assert_null(err);
    if (!row) {
        fixture_answered(seen->f);
        return;
    }
    assert_int_equal(row->seq, seen->last + 1);
    seen->last = row->seq;
    seen->n++;
}

static void append(struct fixture *f, int64_t seq)
{
    store_event_append(f->store, &(struct store_event){.job = "A", .seq = seq, .cursor = seq, .text = "{}"});
}

// Events are held back while nothing can be written, told as not flushed, and written in order afterwards.
static void test_events_are_held(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {.f = f};
    assert_int_equal(fixture_insert(f, "A", "running"), ERR_NONE);
    fault_set(FAULT_FULL, 1, 1);
    for (int i = 1; i <= 3; i++) {
        append(f, i);
        store_flush(f->store, fixture_done, f);
        fixture_wait(f, 1);
        assert_int_equal(f->last, ERR_NO_SPACE);
    }
    fault_set(FAULT_NONE, 0, 0);
    append(f, 4);
    store_flush(f->store, fixture_done, f);
    fixture_wait(f, 1);
    assert_int_equal(f->last, ERR_NONE);
    store_event_list(f->store, "A", 0, 100, seen_event, &seen);
    fixture_wait(f, 1);
    assert_int_equal(seen.n, 4);
}

static bool out_of_space(struct fixture *f)
{
    struct store_stats stats;
    store_stats(f->store, &stats);
    return stats.out_of_space;
}

static void test_full_refuses_new_jobs_until_there_is_space(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fixture_insert(f, "A", "queued"), ERR_NONE);
    fault_set(FAULT_FULL, 1, 1);
    assert_int_equal(fixture_insert(f, "B", "queued"), ERR_NO_SPACE);
    assert_true(out_of_space(f));
    fault_set(FAULT_NONE, 0, 0);
    struct store_job job = fixture_job("A", "succeeded");
    store_job_update(f->store, &job, true, fixture_done, f);
    fixture_wait(f, 1);
    assert_int_equal(f->last, ERR_NONE); // what is there can be finished at once
    wait_until_accepting(f);
    assert_false(out_of_space(f));
}

// After a failed fsync the log is not trusted: it is moved into the synced file before the next answer.
static void test_failed_sync_empties_the_log(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fixture_insert(f, "A", "queued"), ERR_NONE);
    long syncs = atomic_load(&fault_main_syncs);
    assert_int_equal(fixture_insert(f, "B", "queued"), ERR_NONE);
    assert_int_equal(atomic_load(&fault_main_syncs), syncs); // a commit alone touches the log only
    fault_set(FAULT_SYNC, 1, 0);
    struct store_job job = fixture_job("A", "failed");
    store_job_update(f->store, &job, false, fixture_done, f);
    fixture_wait(f, 1);
    fault_set(FAULT_NONE, 0, 0);
    assert_int_equal(fixture_insert(f, "C", "queued"), ERR_NONE);
    assert_true(atomic_load(&fault_main_syncs) > syncs);
}

static sqlite3_mem_methods plain_memory;
static _Atomic long memory_countdown; // 0: never

static void *failing_malloc(int size)
{
    if (atomic_load(&memory_countdown) > 0 && atomic_fetch_sub(&memory_countdown, 1) == 1)
        return NULL;
    return plain_memory.xMalloc(size);
}

static void test_memory(void **state)
{
    struct fixture *f = *state;
    struct job_note notes[JOBS];
    long left = 0;
    for (long n = 1; left == 0; n += 1 + n / 12) {
        atomic_store(&memory_countdown, n);
        workload(f, notes);
        left = atomic_exchange(&memory_countdown, 0);
        audit(f, notes);
        clear_directory(f);
    }
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(test_full_once),
        WITH_STORE(test_full_from_then_on),
        WITH_STORE(test_write_error_once),
        WITH_STORE(test_write_error_from_then_on),
        WITH_STORE(test_sync_error_once),
        WITH_STORE(test_sync_error_from_then_on),
        WITH_STORE(test_events_are_held),
        WITH_STORE(test_full_refuses_new_jobs_until_there_is_space),
        WITH_STORE(test_failed_sync_empties_the_log),
        WITH_STORE(test_memory),
    };
    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &plain_memory);
    sqlite3_mem_methods memory = plain_memory;
    memory.xMalloc = failing_malloc;
    sqlite3_config(SQLITE_CONFIG_MALLOC, &memory);
    fault_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
