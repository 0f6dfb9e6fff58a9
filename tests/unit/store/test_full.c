// SPDX-License-Identifier: Apache-2.0
//
// A state directory without any space left: new jobs are refused, those that are there can be finished, the
// store lives and accepts again when there is space.
#include "store_fixture.h"

#include "small_disk.h"

static struct fixture *mounted(void **state)
{
    struct fixture *f = *state;
    if (!small_disk_mount(f->directory, 24))
        fail_msg("cannot mount a tmpfs: %s", strerror(errno));
    fixture_open(f);
    return f;
}

static int setup(void **state)
{
    struct fixture *f = mem_new(struct fixture);
    fixture_directory(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->store)
        fixture_close(f);
    umount2(f->directory, MNT_DETACH);
    rmdir(f->directory);
    free(f);
    return 0;
}

static enum error_code finish(struct fixture *f, const char *id)
{
    struct store_job job = fixture_job(id, "succeeded");
    job.result = "{\"digest\":\"sha256:0\"}";
    store_job_update(f->store, &job, true, fixture_done, f);
    fixture_wait(f, 1);
    return f->last;
}

static int insert_until_refused(struct fixture *f)
{
    char *spec = mem_alloc(65537), id[16];
    memset(spec, 'x', 65536);
    spec[65536] = '\0';
    for (int i = 0; i < 1000; i++) {
        snprintf(id, sizeof id, "%06d", i);
        struct store_job job = fixture_job(id, "running");
        job.spec = spec;
        store_job_insert(f->store, &job, NULL, NULL, fixture_done, f);
        fixture_wait(f, 1);
        if (f->last != ERR_NONE) {
            free(spec);
            return i;
        }
    }
    fail_msg("the disk never became full");
    return 0;
}

static void insert_until_accepted(struct fixture *f)
{
    char id[16];
    for (int i = 0; i < 500; i++) {
        snprintf(id, sizeof id, "Z%d", i);
        if (fixture_insert(f, id, "queued") == ERR_NONE)
            return;
        assert_int_equal(f->last, ERR_NO_SPACE);
        usleep(20000);
    }
    fail_msg("no job was accepted although there is space");
}

static void test_full(void **state)
{
    struct fixture *f = mounted(state);
    int n = insert_until_refused(f);
    char id[16];
    assert_true(n > 20);
    assert_int_equal(f->last, ERR_NO_SPACE);
    for (int i = 0; i < n; i++) {
        snprintf(id, sizeof id, "%06d", i);
        store_event_append(f->store,
                           &(struct store_event){.job = id, .seq = 1, .cursor = i + 1, .text = "{}"});
        assert_int_equal(finish(f, id), ERR_NONE);
    }
    store_flush(f->store, fixture_done, f);
    fixture_wait(f, 1);
    assert_int_equal(f->last, ERR_NONE);
    store_prune(f->store, &(struct store_retention){.jobs_count = 1}, fixture_done, f);
    fixture_wait(f, 1);
    assert_int_equal(f->last, ERR_NONE);
    fixture_reopen(f);
    insert_until_accepted(f);
}

// Somebody else took the space, to the last byte.
static void test_filled_by_others(void **state)
{
    struct fixture *f = mounted(state);
    assert_int_equal(fixture_insert(f, "A", "running"), ERR_NONE);
    small_disk_fill(f->directory, 0);
    assert_int_equal(finish(f, "A"), ERR_NONE);
    small_disk_fill(f->directory, 0);
    insert_until_refused(f);
    small_disk_empty(f->directory);
    insert_until_accepted(f);
    assert_int_equal(finish(f, "A"), ERR_NONE);
}

static void one(void *arg, const struct store_job *row, const struct error *err)
{
    assert_null(err);
    if (row)
        ++*(int *)arg;
}

// The reserve also lets a daemon start that was stopped before the disk became full.
static void test_start_on_a_full_disk(void **state)
{
    struct fixture *f = mounted(state);
    struct error err = ERROR_INIT;
    int64_t cursor;
    int n = 0;
    assert_int_equal(fixture_insert(f, "A", "running"), ERR_NONE);
    fixture_close(f);
    small_disk_fill(f->directory, 0);
    fixture_open(f);
    assert_int_equal(store_recover(f->store, one, &n, &cursor, &err), 0);
    assert_int_equal(n, 1);
    assert_int_equal(finish(f, "A"), ERR_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_full, setup, teardown),
        cmocka_unit_test_setup_teardown(test_filled_by_others, setup, teardown),
        cmocka_unit_test_setup_teardown(test_start_on_a_full_disk, setup, teardown),
    };
    if (!small_disk_enter()) {
        fprintf(stderr,
                "mount namespaces are not permitted here; test_faults fills the disk by other means\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
