// SPDX-License-Identifier: Apache-2.0
#include "base_test.h"

#include <fcntl.h>

#include "base/log.h"

static int captured[2], saved;

static int capture(void **state)
{
    (void)state;
    unsetenv("JOURNAL_STREAM");
    saved = dup(STDERR_FILENO);
    return saved < 0 || pipe2(captured, O_NONBLOCK | O_CLOEXEC) || dup2(captured[1], STDERR_FILENO) < 0;
}

static int release(void **state)
{
    (void)state;
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(captured[0]);
    close(captured[1]);
    return 0;
}

static void assert_written(const char *expected)
{
    char text[8192] = "";
    ssize_t got = read(captured[0], text, sizeof(text) - 1);
    assert_string_equal(got < 0 ? "" : text, expected);
}

static void test_lines(void **state)
{
    (void)state;
    log_init(LOG_LEVEL_INFO);
    log_info("started on %s", "unix:/x");
    assert_written("drayd: info: started on unix:/x\n");
    log_warning("w");
    assert_written("drayd: warning: w\n");
    log_error("e");
    assert_written("drayd: error: e\n");
    log_write(LOG_LEVEL_INFO, "01J", "r7", "job %s", "failed");
    assert_written("drayd: info: job failed job=01J request=r7\n");
}

static void test_level(void **state)
{
    (void)state;
    log_init(LOG_LEVEL_WARNING);
    assert_int_equal(log_level_get(), LOG_LEVEL_WARNING);
    log_info("not shown");
    log_debug("not shown");
    assert_written("");
    log_init(LOG_LEVEL_DEBUG);
    log_debug("shown");
    assert_written("drayd: debug: shown\n");
}

static void test_one_line_each(void **state)
{
    (void)state;
    log_init(LOG_LEVEL_INFO);
    log_info("two\nlines");
    assert_written("drayd: info: two lines\n");
    AUTO_FREE char *longer = mem_alloc(6000);
    memset(longer, 'x', 5999);
    longer[5999] = '\0';
    log_info("%s", longer);
    char text[8192] = "";
    ssize_t got = read(captured[0], text, sizeof(text) - 1);
    assert_in_range(got, 4000, 5000); // cut, and still a line
    assert_int_equal(text[got - 1], '\n');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lines, capture, release),
        cmocka_unit_test_setup_teardown(test_level, capture, release),
        cmocka_unit_test_setup_teardown(test_one_line_each, capture, release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
