// SPDX-License-Identifier: Apache-2.0
#include "blob_fixture.h"

#include <time.h>

enum { SIZE = 100000 };

static void check_content(struct fixture *f, const struct digest *digest, const char *bytes, size_t len)
{
    struct error err = ERROR_INIT;
    char buffer[1000];
    struct reader_at *reader = blob_store_read(f->store, digest, &err);
    assert_non_null(reader);
    assert_int_equal(reader->size, len);
    for (size_t at = 0; at < len; at += sizeof buffer) {
        ssize_t n = reader_at_read(reader, buffer, sizeof buffer, (int64_t)at, &err);
        assert_int_equal(n, len - at < sizeof buffer ? len - at : sizeof buffer);
        assert_memory_equal(buffer, bytes + at, n);
    }
    assert_int_equal(reader_at_read(reader, buffer, sizeof buffer, (int64_t)len, &err), 0);
    assert_int_equal(reader_at_read(reader, buffer, sizeof buffer, (int64_t)len + 5000, &err), 0);
    reader_at_close(reader);
}

static void test_known_digest(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *bytes = fixture_content(1, SIZE);
    struct digest digest = fixture_digest(bytes, SIZE), actual;
    assert_int_equal(fixture_put(f, bytes, SIZE, &digest, SIZE, &actual), ERR_NONE);
    assert_true(digest_equal(&digest, &actual));
    check_content(f, &digest, bytes, SIZE);
    assert_int_equal(blob_store_size(f->store, &digest), SIZE);
    assert_int_equal(fixture_count(f, "tmp"), 0);
}

static void test_unknown_digest(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *bytes = fixture_content(2, SIZE);
    struct digest digest = fixture_digest(bytes, SIZE), actual;
    assert_int_equal(fixture_put(f, bytes, SIZE, NULL, -1, &actual), ERR_NONE);
    assert_true(digest_equal(&digest, &actual));
    check_content(f, &digest, bytes, SIZE);
}

static void test_sha512_and_empty(void **state)
{
    struct fixture *f = *state;
    struct digest digest, actual;
    digest_of(&digest, DIGEST_SHA512, "abc", 3);
    assert_int_equal(fixture_put(f, "abc", 3, &digest, 3, &actual), ERR_NONE);
    assert_true(digest_equal(&digest, &actual));
    digest_of(&digest, DIGEST_SHA256, "", 0);
    assert_int_equal(fixture_put(f, "", 0, &digest, 0, &actual), ERR_NONE);
    fixture_reopen(f, -1);
    assert_int_equal(fixture_stats(f).blobs, 2);
    assert_int_equal(blob_store_size(f->store, &digest), 0);
}

static void test_wrong_content_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *bytes = fixture_content(3, SIZE);
    struct digest digest = fixture_digest("other", 5);
    assert_int_equal(fixture_put(f, bytes, SIZE, &digest, SIZE, NULL), ERR_DIGEST_MISMATCH);
    digest = fixture_digest(bytes, SIZE);
    assert_int_equal(fixture_put(f, bytes, SIZE, &digest, SIZE + 1, NULL), ERR_DIGEST_MISMATCH); // short
    assert_int_equal(fixture_put(f, bytes, SIZE, &digest, SIZE - 1, NULL), ERR_DIGEST_MISMATCH); // long
    assert_int_equal(fixture_stats(f).blobs, 0);
    assert_int_equal(fixture_count(f, "tmp"), 0);
    assert_int_equal(fixture_count(f, "blobs/sha256"), 0);
}

static void test_unfinished_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct blob_writer *writer = blob_store_write(f->store, NULL, -1, &err);
    assert_int_equal(sink_write(blob_writer_sink(writer), "abc", 3, &err), 0);
    assert_int_equal(fixture_count(f, "tmp"), 1);
    sink_close(blob_writer_sink(writer));
    blob_writer_free(writer);
    assert_int_equal(fixture_count(f, "tmp"), 0);
}

static void test_producer_hashed(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct digest digest = fixture_digest("abc", 3);
    struct blob_writer *writer = blob_store_write(f->store, NULL, -1, &err);
    assert_int_equal(sink_write(blob_writer_sink(writer), "abc", 3, &err), 0);
    assert_int_equal(blob_writer_publish(writer, &digest, &err), 0);
    assert_int_equal(blob_writer_size(writer), 3);
    assert_true(digest_equal(blob_writer_digest(writer), &digest));
    assert_int_equal(sink_write(blob_writer_sink(writer), "d", 1, &err), -1); // too late
    error_clear(&err);
    blob_writer_free(writer);
    check_content(f, &digest, "abc", 3);
}

static void test_same_blob_twice(void **state)
{
    struct fixture *f = *state;
    struct digest first = fixture_add(f, 4, SIZE), second = fixture_add(f, 4, SIZE);
    assert_true(digest_equal(&first, &second));
    assert_int_equal(fixture_stats(f).blobs, 1);
    assert_int_equal(fixture_stats(f).bytes, SIZE);
    assert_int_equal(fixture_count(f, "tmp"), 0);
}

static void test_hits_and_misses(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct digest digest = fixture_add(f, 5, 10), absent = fixture_digest("x", 1);
    assert_null(blob_store_read(f->store, &absent, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    error_clear(&err);
    reader_at_close(blob_store_read(f->store, &digest, &err));
    assert_int_equal(fixture_stats(f).hits, 1);
    assert_int_equal(fixture_stats(f).misses, 1);
    assert_int_equal(blob_store_size(f->store, &absent), -1);
    assert_false(blob_store_lease(f->store, &absent));
}

static void test_limit_evicts_what_was_not_used(void **state)
{
    struct fixture *f = *state;
    fixture_reopen(f, 3 * SIZE);
    struct digest a = fixture_add(f, 1, SIZE), b = fixture_add(f, 2, SIZE), c = fixture_add(f, 3, SIZE);
    assert_true(blob_store_lease(f->store, &a)); // a is used again
    blob_store_release(f->store, &a);
    struct digest d = fixture_add(f, 4, SIZE);
    assert_int_equal(blob_store_size(f->store, &a), SIZE);
    assert_int_equal(blob_store_size(f->store, &b), -1);
    assert_int_equal(blob_store_size(f->store, &c), SIZE);
    assert_int_equal(blob_store_size(f->store, &d), SIZE);
    assert_int_equal(fixture_stats(f).evictions, 1);
    assert_int_equal(fixture_count(f, "blobs/sha256"), 3);
    assert_int_equal(fixture_count(f, "tmp"), 0);
}

static void test_leased_stay(void **state)
{
    struct fixture *f = *state;
    fixture_reopen(f, SIZE);
    struct digest a = fixture_add(f, 1, SIZE);
    assert_true(blob_store_lease(f->store, &a));
    assert_true(blob_store_lease(f->store, &a));
    struct digest b = fixture_add(f, 2, SIZE); // both are over the limit, b alone is free
    assert_int_equal(blob_store_size(f->store, &a), SIZE);
    blob_store_trim(f->store);
    assert_int_equal(blob_store_size(f->store, &b), -1);
    assert_int_equal(blob_store_prune(f->store, 0, 0), 0);
    blob_store_release(f->store, &a);
    assert_int_equal(blob_store_prune(f->store, 0, 0), 0);
    blob_store_release(f->store, &a);
    assert_int_equal(blob_store_prune(f->store, 0, 0), SIZE);
    assert_int_equal(fixture_count(f, "blobs/sha256"), 0);
}

// A lease of content that went into quarantine meanwhile is not taken from content that came after it.
static void test_leases_outlive_quarantine(void **state)
{
    struct fixture *f = *state;
    struct digest a = fixture_add(f, 1, SIZE);
    assert_true(blob_store_lease(f->store, &a));
    blob_store_quarantine(f->store, &a, "test");
    assert_int_equal(blob_store_size(f->store, &a), -1);
    assert_false(blob_store_lease(f->store, &a));
    fixture_add(f, 1, SIZE);
    assert_true(blob_store_lease(f->store, &a));
    blob_store_release(f->store, &a); // the first one's
    assert_int_equal(blob_store_prune(f->store, 0, 0), 0);
    blob_store_release(f->store, &a);
    blob_store_release(f->store, &a); // one too many does no harm
    assert_int_equal(blob_store_prune(f->store, 0, 0), SIZE);
}

static void test_reader_survives_eviction_of_its_file(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    char byte;
    struct digest a = fixture_add(f, 1, SIZE);
    AUTO_FREE char *path = fixture_path(f, &a);
    struct reader_at *reader = blob_store_read(f->store, &a, &err);
    unlink(path);
    assert_int_equal(reader_at_read(reader, &byte, 1, SIZE - 1, &err), 1);
    reader_at_close(reader);
}

static void test_prune_by_age(void **state)
{
    struct fixture *f = *state;
    struct digest a = fixture_add(f, 1, SIZE), b = fixture_add(f, 2, SIZE);
    AUTO_FREE char *path = fixture_path(f, &a);
    struct timespec times[2] = {{.tv_sec = time(NULL) - 7200}, {.tv_nsec = UTIME_OMIT}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    fixture_reopen(f, -1);
    assert_int_equal(blob_store_prune(f->store, 0, 10000), 0);
    assert_int_equal(blob_store_prune(f->store, 0, 3600), SIZE);
    assert_int_equal(blob_store_size(f->store, &a), -1);
    assert_int_equal(blob_store_size(f->store, &b), SIZE);
    assert_int_equal(blob_store_prune(f->store, SIZE, 0), 0); // few enough
}

// The order of use is in the files: a new store evicts what the one before it used last but one.
static void test_index_is_rebuilt(void **state)
{
    struct fixture *f = *state;
    struct digest digests[3];
    for (unsigned i = 0; i < 3; i++) {
        digests[i] = fixture_add(f, i, SIZE);
        AUTO_FREE char *path = fixture_path(f, &digests[i]);
        struct timespec times[2] = {{.tv_sec = time(NULL) - 1000 * (i + 1)}, {.tv_nsec = UTIME_OMIT}};
        assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    }
    fixture_reopen(f, -1);
    assert_int_equal(fixture_stats(f).bytes, 3 * SIZE);
    assert_true(blob_store_lease(f->store, &digests[2])); // the oldest is used: this must reach the file
    blob_store_release(f->store, &digests[2]);
    fixture_reopen(f, 2 * SIZE);
    assert_int_equal(blob_store_size(f->store, &digests[0]), SIZE);
    assert_int_equal(blob_store_size(f->store, &digests[1]), -1);
    assert_int_equal(blob_store_size(f->store, &digests[2]), SIZE);
}

static void put_file(const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
}

static void test_strangers_in_the_directory(void **state)
{
    struct fixture *f = *state;
    struct digest a = fixture_add(f, 1, SIZE), b = fixture_digest("b", 1), c = fixture_digest("c", 1);
    AUTO_FREE char *odd = mem_printf("%s/blobs/sha256/README", f->directory);
    AUTO_FREE char *left = mem_printf("%s/tmp/17", f->directory);
    AUTO_FREE char *link_path = fixture_path(f, &b);
    AUTO_FREE char *directory = fixture_path(f, &c);
    put_file(odd);
    put_file(left);
    assert_int_equal(symlink("/etc/passwd", link_path), 0);
    assert_int_equal(mkdir(directory, 0700), 0);
    fixture_reopen(f, -1);
    assert_int_equal(fixture_stats(f).blobs, 1);
    assert_int_equal(blob_store_size(f->store, &a), SIZE);
    assert_int_equal(fixture_count(f, "tmp"), 0);
    assert_int_equal(access(odd, F_OK), 0);
}

static void test_file_changed_behind_our_back(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct digest gone = fixture_add(f, 1, SIZE), shorter = fixture_add(f, 2, SIZE),
                  linked = fixture_add(f, 3, SIZE);
    AUTO_FREE char *gone_path = fixture_path(f, &gone);
    AUTO_FREE char *shorter_path = fixture_path(f, &shorter);
    AUTO_FREE char *linked_path = fixture_path(f, &linked);
    unlink(gone_path);
    assert_int_equal(truncate(shorter_path, 10), 0);
    unlink(linked_path);
    assert_int_equal(symlink(shorter_path, linked_path), 0);
    const struct digest *all[] = {&gone, &shorter, &linked};
    for (int i = 0; i < 3; i++) {
        assert_null(blob_store_read(f->store, all[i], &err));
        assert_int_equal(err.code, ERR_NOT_FOUND);
        error_clear(&err);
        assert_int_equal(blob_store_size(f->store, all[i]), -1);
    }
    assert_int_equal(fixture_stats(f).bytes, 0);
    fixture_add(f, 2, SIZE); // and can be had again
    assert_int_equal(blob_store_size(f->store, &shorter), SIZE);
}

static void test_file_shrinks_while_read(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    char buffer[100];
    struct digest a = fixture_add(f, 1, SIZE);
    AUTO_FREE char *path = fixture_path(f, &a);
    struct reader_at *reader = blob_store_read(f->store, &a, &err);
    assert_int_equal(truncate(path, 50), 0);
    assert_int_equal(reader_at_read(reader, buffer, 100, 0, &err), -1);
    assert_true(err.retryable);
    error_clear(&err);
    assert_int_equal(blob_store_size(f->store, &a), -1);
    reader_at_close(reader);
    assert_int_equal(fixture_count(f, "quarantine"), 1);
}

static void test_verify(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    srand(4711);
    for (int i = 0; i < 200; i++) {
        struct digest a = fixture_add(f, 1, SIZE);
        AUTO_FREE char *path = fixture_path(f, &a);
        assert_int_equal(blob_store_verify(f->store, &a, &err), 0);
        int fd = open(path, O_RDWR);
        off_t at = rand() % SIZE;
        char byte;
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= (char)(1 << rand() % 8);
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        close(fd);
        assert_int_equal(blob_store_verify(f->store, &a, &err), -1);
        assert_int_equal(err.code, ERR_DIGEST_MISMATCH);
        error_clear(&err);
        assert_int_equal(blob_store_verify(f->store, &a, &err), -1);
        assert_int_equal(err.code, ERR_NOT_FOUND);
        error_clear(&err);
    }
}

static void test_quarantine_is_bounded(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 20; i++) {
        struct digest digest = fixture_add(f, i, 100);
        blob_store_quarantine(f->store, &digest, "test");
    }
    assert_int_equal(fixture_stats(f).quarantined, 20);
    assert_int_equal(fixture_count(f, "quarantine"), 8);
    blob_store_prune(f->store, 1 << 30, 0);
    assert_int_equal(fixture_count(f, "quarantine"), 0);
}

static void test_list(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 5; i++) {
        struct digest digest = fixture_add(f, i, 100 + i);
        AUTO_FREE char *path = fixture_path(f, &digest);
        struct timespec times[2] = {{.tv_sec = 1000000 + i}, {.tv_nsec = UTIME_OMIT}};
        assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    }
    fixture_reopen(f, -1);
    AUTO_JSON json_t *list = blob_store_list(f->store, 3);
    assert_int_equal(json_array_size(list), 3);
    const json_t *first = json_array_get(list, 0);
    assert_int_equal(json_get_int(first, "size", 0), 104);
    assert_string_equal(json_get_string(first, "last_used"), "1970-01-12T13:46:44.000Z");
    assert_true(digest_valid(json_get_string(first, "digest")));
}

static void test_one_daemon_only(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    assert_null(blob_store_open(f->directory, -1, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    error_clear(&err);
}

static void test_nothing_is_kept_with_limit_0(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    fixture_reopen(f, 0);
    AUTO_FREE char *bytes = fixture_content(1, SIZE);
    struct digest digest = fixture_digest(bytes, SIZE);
    assert_int_equal(fixture_put(f, bytes, SIZE, &digest, SIZE, NULL), ERR_NONE); // leased: it can be used
    struct reader_at *reader = blob_store_read(f->store, &digest, &err);
    assert_non_null(reader);
    blob_store_release(f->store, &digest);
    reader_at_close(reader);
    assert_int_equal(fixture_stats(f).blobs, 0);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(test_known_digest),
        WITH_STORE(test_unknown_digest),
        WITH_STORE(test_sha512_and_empty),
        WITH_STORE(test_wrong_content_leaves_nothing),
        WITH_STORE(test_unfinished_leaves_nothing),
        WITH_STORE(test_producer_hashed),
        WITH_STORE(test_same_blob_twice),
        WITH_STORE(test_hits_and_misses),
        WITH_STORE(test_limit_evicts_what_was_not_used),
        WITH_STORE(test_leased_stay),
        WITH_STORE(test_leases_outlive_quarantine),
        WITH_STORE(test_reader_survives_eviction_of_its_file),
        WITH_STORE(test_prune_by_age),
        WITH_STORE(test_index_is_rebuilt),
        WITH_STORE(test_strangers_in_the_directory),
        WITH_STORE(test_file_changed_behind_our_back),
        WITH_STORE(test_file_shrinks_while_read),
        WITH_STORE(test_verify),
        WITH_STORE(test_quarantine_is_bounded),
        WITH_STORE(test_list),
        WITH_STORE(test_one_daemon_only),
        WITH_STORE(test_nothing_is_kept_with_limit_0),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
