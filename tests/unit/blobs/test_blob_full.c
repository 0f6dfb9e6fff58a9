// SPDX-License-Identifier: Apache-2.0
//
// A cache directory on a disk that is full: what is not in use goes first, then the call fails with no-space,
// a floor is left free for others, nothing is left half, and the next write works when there is space.
#include "blob_fixture.h"

#include "small_disk.h"

enum { MEBI = 1 << 20 };

static int setup(void **state)
{
    struct fixture *f = mem_new(struct fixture);
    fixture_directory(f);
    if (!small_disk_mount(f->directory, 32))
        fail_msg("cannot mount a tmpfs: %s", strerror(errno));
    fixture_open(f, -1);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    blob_store_free(f->store);
    umount2(f->directory, MNT_DETACH);
    rmdir(f->directory);
    free(f);
    return 0;
}

static enum error_code put(struct fixture *f, unsigned seed, int64_t expected_size, struct digest *ret)
{
    AUTO_FREE char *bytes = fixture_content(seed, 4 * MEBI);
    return fixture_put(f, bytes, 4 * MEBI, NULL, expected_size, ret);
}

static void test_unused_blobs_make_room(void **state)
{
    struct fixture *f = *state;
    struct digest digest;
    for (unsigned i = 0; i < 30; i++) { // 120 MiB through 32
        assert_int_equal(put(f, i, i % 2 ? 4 * MEBI : -1, &digest), ERR_NONE);
        blob_store_release(f->store, &digest);
    }
    assert_true(fixture_stats(f).evictions > 20);
    assert_int_equal(fixture_count(f, "tmp"), 0);
}

static void test_used_blobs_do_not(void **state)
{
    struct fixture *f = *state;
    struct digest digests[10];
    enum error_code code = ERR_NONE;
    int n = 0;
    while (n < 10 && (code = put(f, (unsigned)n, -1, &digests[n])) == ERR_NONE)
        n++;
    assert_int_equal(code, ERR_NO_SPACE);
    assert_in_range(n, 5, 8);
    assert_int_equal(fixture_count(f, "tmp"), 0);
    assert_int_equal(fixture_stats(f).blobs, n);
    blob_store_release(f->store, &digests[0]);
    assert_int_equal(put(f, 77, 4 * MEBI, NULL), ERR_NONE);
}

static void test_announced_size_is_refused_at_once(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    assert_null(blob_store_write(f->store, NULL, 40 * MEBI, &err));
    assert_int_equal(err.code, ERR_NO_SPACE);
    error_clear(&err);
    struct blob_writer *first = blob_store_write(f->store, NULL, 20 * MEBI, &err);
    assert_non_null(first);
    assert_null(blob_store_write(f->store, NULL, 20 * MEBI, &err)); // the first one's is not given away twice
    assert_int_equal(err.code, ERR_NO_SPACE);
    error_clear(&err);
    blob_writer_free(first);
    struct blob_writer *second = blob_store_write(f->store, NULL, 20 * MEBI, &err);
    assert_non_null(second);
    blob_writer_free(second);
}

static void test_filled_by_others(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    AUTO_FREE char *bytes = fixture_content(1, 4 * MEBI);
    struct digest digest;
    assert_int_equal(put(f, 5, -1, &digest), ERR_NONE); // leased
    struct blob_writer *writer = blob_store_write(f->store, NULL, -1, &err);
    assert_non_null(writer);
    small_disk_fill(f->directory, 0);
    assert_int_equal(sink_write(blob_writer_sink(writer), bytes, 4 * MEBI, &err), -1);
    assert_int_equal(err.code, ERR_NO_SPACE);
    error_clear(&err);
    blob_writer_free(writer);
    assert_int_equal(put(f, 6, -1, NULL), ERR_NO_SPACE);
    small_disk_empty(f->directory);
    assert_int_equal(put(f, 6, -1, NULL), ERR_NONE);
    assert_int_equal(blob_store_size(f->store, &digest), 4 * MEBI);
}

// A write that runs into the full disk goes on once unused blobs have gone.
static void test_eviction_in_the_middle_of_a_write(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct digest digest;
    AUTO_FREE char *bytes = fixture_content(1, 4 * MEBI);
    assert_int_equal(put(f, 5, -1, &digest), ERR_NONE);
    blob_store_release(f->store, &digest);
    struct blob_writer *writer = blob_store_write(f->store, NULL, -1, &err);
    small_disk_fill(f->directory, 2 * MEBI);
    assert_int_equal(sink_write(blob_writer_sink(writer), bytes, 4 * MEBI, &err), 0);
    assert_int_equal(sink_finish(blob_writer_sink(writer), &err), 0);
    assert_int_equal(blob_store_size(f->store, &digest), -1);
    struct digest expected = fixture_digest(bytes, 4 * MEBI);
    assert_true(digest_equal(blob_writer_digest(writer), &expected));
    blob_writer_free(writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_unused_blobs_make_room, setup, teardown),
        cmocka_unit_test_setup_teardown(test_used_blobs_do_not, setup, teardown),
        cmocka_unit_test_setup_teardown(test_announced_size_is_refused_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_filled_by_others, setup, teardown),
        cmocka_unit_test_setup_teardown(test_eviction_in_the_middle_of_a_write, setup, teardown),
    };
    if (!small_disk_enter()) {
        fprintf(stderr, "mount namespaces are not permitted here; nothing to test\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
