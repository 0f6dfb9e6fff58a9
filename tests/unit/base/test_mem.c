// SPDX-License-Identifier: Apache-2.0
#include "base_test.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void test_blocks(void **state)
{
    (void)state;
    AUTO_FREE char *none = mem_alloc(0);
    assert_non_null(none);
    AUTO_FREE char *zeroed = mem_calloc(3, 5);
    for (int i = 0; i < 15; i++)
        assert_int_equal(zeroed[i], 0);
    AUTO_FREE char *grown = mem_realloc(mem_dup("abc", 4), 4096);
    assert_string_equal(grown, "abc");
}

static void test_texts(void **state)
{
    (void)state;
    AUTO_FREE char *whole = mem_strdup("text");
    AUTO_FREE char *cut = mem_strndup("text", 2);
    AUTO_FREE char *short_one = mem_strndup("text", 100);
    AUTO_FREE char *printed = mem_printf("%s-%d", "a", 7);
    assert_string_equal(whole, "text");
    assert_string_equal(cut, "te");
    assert_string_equal(short_one, "text");
    assert_string_equal(printed, "a-7");
    assert_null(mem_strdup_null(NULL));
}

static void test_take_and_cleanup(void **state)
{
    (void)state;
    char *kept;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    {
        AUTO_FREE char *text = mem_strdup("kept");
        AUTO_CLOSE int fd = fds[0];
        AUTO_CLOSE int none = -1;
        kept = mem_take(text);
        assert_null(text);
        assert_true(fd >= 0 && none < 0);
    }
    assert_string_equal(kept, "kept");
    free(kept);
    errno = 0;
    assert_int_equal(fcntl(fds[0], F_GETFD), -1);
    assert_int_equal(errno, EBADF);
    close(fds[1]);
}

static void test_init_gives_jansson_our_allocator(void **state)
{
    (void)state;
    json_malloc_t before, after;
    json_free_t before_free, after_free;
    json_get_alloc_funcs(&before, &before_free);
    mem_init();
    json_get_alloc_funcs(&after, &after_free);
    assert_true(before != after);
    json_t *value = json_pack("{s:[i,i]}", "a", 1, 2);
    char *text = json_dumps(value, JSON_COMPACT);
    assert_string_equal(text, "{\"a\":[1,2]}");
    free(text); // not json_free: what jansson makes may be freed by us
    json_decref(value);
}

// A size nobody has: the process ends by abort, with a line that says why.
static void test_exhaustion_ends_the_process(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0) {
        struct rlimit no_core = {0};
        setrlimit(RLIMIT_CORE, &no_core);
        dup2(fds[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        volatile size_t huge = SIZE_MAX / 2;
        void *block = mem_calloc(huge, 4); // overflows; no allocator is asked
        _exit(block ? 1 : 2);
    }
    close(fds[1]);
    char text[200] = "";
    assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
    close(fds[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(text, "out of memory"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_take_and_cleanup),
        cmocka_unit_test(test_init_gives_jansson_our_allocator),
        cmocka_unit_test(test_exhaustion_ends_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
