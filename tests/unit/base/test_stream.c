// SPDX-License-Identifier: Apache-2.0
#include "base_test.h"

#include <fcntl.h>

#include "base/list.h"
#include "base/stream.h"

static void assert_reads(struct reader_at *reader, int64_t offset, size_t len, const char *expected)
{
    struct error err = ERROR_INIT;
    char buffer[64];
    assert_int_equal(reader_at_read(reader, buffer, len, offset, &err), strlen(expected));
    assert_memory_equal(buffer, expected, strlen(expected));
}

static void check_hello(struct reader_at *reader)
{
    struct error err = ERROR_INIT;
    char buffer[8];
    assert_int_equal(reader->size, 5);
    assert_reads(reader, 0, 64, "hello");
    assert_reads(reader, 1, 3, "ell");
    assert_reads(reader, 4, 64, "o");
    assert_reads(reader, 5, 64, "");
    assert_reads(reader, INT64_MAX, 64, "");
    assert_reads(reader, 2, 0, "");
    assert_fails(&err, ERR_INTERNAL, "negative", reader_at_read(reader, buffer, 1, -1, &err) < 0);
}

static void test_bytes(void **state)
{
    (void)state;
    char source[] = "hello";
    struct reader_at *reader = reader_at_bytes(source, 5);
    source[0] = 'X'; // it copies
    check_hello(reader);
    reader_at_close(reader);
    struct reader_at *empty = reader_at_bytes(NULL, 0);
    assert_reads(empty, 0, 10, "");
    reader_at_close(empty);
    reader_at_close(NULL);
}

static void test_descriptor(void **state)
{
    struct error err = ERROR_INIT;
    AUTO_FREE char *path = mem_printf("%s/file", (char *)*state);
    assert_works(&err, file_publish(path, "hello and more", 14, 0600, &err));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct reader_at *reader = reader_at_fd(fd, 5);
    check_hello(reader); // what lies behind size does not exist
    reader_at_close(reader);
    assert_int_equal(fcntl(fd, F_GETFD), -1); // it took the descriptor
}

static void test_descriptor_shorter_than_said(void **state)
{
    struct error err = ERROR_INIT;
    AUTO_FREE char *path = mem_printf("%s/file", (char *)*state);
    assert_works(&err, file_publish(path, "hello", 5, 0600, &err));
    struct reader_at *reader = reader_at_fd(open(path, O_RDONLY | O_CLOEXEC), 100);
    assert_reads(reader, 0, 64, "hello");
    assert_reads(reader, 5, 64, "");
    reader_at_close(reader);
    reader = reader_at_fd(open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC), 100);
    char buffer[8];
    assert_fails(&err, ERR_UNSUPPORTED_FILE, "reading a local file failed: Is a directory",
                 reader_at_read(reader, buffer, 8, 0, &err) < 0);
    reader_at_close(reader);
}

struct recorder {
    struct sink base;
    int calls;
};

static int record_write(struct sink *sink, const void *bytes, size_t len, struct error *err)
{
    container_of(sink, struct recorder, base)->calls += (int)len;
    return memchr(bytes, '!', len) ? error_set(err, ERR_NO_SPACE, "full") : 0;
}

static int record_finish(struct sink *sink, struct error *err)
{
    (void)err;
    container_of(sink, struct recorder, base)->calls += 100;
    return 0;
}

static void record_close(struct sink *sink)
{
    container_of(sink, struct recorder, base)->calls += 1000;
}

static void test_sink_dispatch(void **state)
{
    (void)state;
    static const struct sink_ops whole = {record_write, record_finish, record_close};
    static const struct sink_ops bare = {record_write, NULL, record_close};
    struct error err = ERROR_INIT;
    struct recorder recorder = {.base = {&whole}}, plain = {.base = {&bare}};
    assert_works(&err, sink_write(&recorder.base, "abc", 3, &err));
    assert_works(&err, sink_finish(&recorder.base, &err));
    sink_close(&recorder.base);
    assert_int_equal(recorder.calls, 1103);
    assert_fails(&err, ERR_NO_SPACE, "full", sink_write(&plain.base, "!", 1, &err));
    assert_works(&err, sink_finish(&plain.base, &err)); // nothing to publish is fine
    sink_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        directory_test(test_descriptor),
        directory_test(test_descriptor_shorter_than_said),
        cmocka_unit_test(test_sink_dispatch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
