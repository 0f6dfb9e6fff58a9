// SPDX-License-Identifier: Apache-2.0
//
// A child process fills the store and is killed at a random moment. Afterwards every blob that it called
// published is there, every blob that is there has the right bytes, and nothing else is left.
#include "blob_fixture.h"

#include <signal.h>
#include <sys/wait.h>

enum { ROUNDS = 25, SIZE = 60000 };

static void child_main(const char *directory, int out, unsigned first)
{
    struct fixture f = {0};
    snprintf(f.directory, sizeof f.directory, "%s", directory);
    fixture_open(&f, -1);
    for (unsigned seed = first;; seed++) {
        AUTO_FREE char *bytes = fixture_content(seed, SIZE);
        struct digest digest = fixture_digest(bytes, SIZE);
        if (fixture_put(&f, bytes, SIZE, seed % 2 ? &digest : NULL, SIZE, NULL) != ERR_NONE)
            _exit(3);
        if (write(out, &seed, sizeof seed) != sizeof seed)
            _exit(4);
    }
}

// The newest seed that was published.
static unsigned run_and_kill(const char *directory, unsigned first, unsigned delay_us)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(ends[0]);
        child_main(directory, ends[1], first);
    }
    close(ends[1]);
    unsigned newest = first;
    assert_int_equal(read(ends[0], &newest, sizeof newest), sizeof newest);
    usleep(delay_us);
    kill(pid, SIGKILL);
    while (read(ends[0], &newest, sizeof newest) == sizeof newest)
        ;
    int status;
    waitpid(pid, &status, 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    close(ends[0]);
    return newest;
}

static void check_right(struct fixture *f, const char *digest_text)
{
    struct error err = ERROR_INIT;
    struct digest digest;
    static char buffer[SIZE];
    assert_int_equal(digest_parse(&digest, digest_text, &err), 0);
    struct reader_at *reader = blob_store_read(f->store, &digest, &err);
    assert_non_null(reader);
    assert_int_equal(reader->size, SIZE);
    assert_int_equal(reader_at_read(reader, buffer, SIZE, 0, &err), SIZE);
    struct digest actual = fixture_digest(buffer, SIZE);
    assert_true(digest_equal(&digest, &actual));
    reader_at_close(reader);
}

static void audit(struct fixture *f, unsigned newest)
{
    fixture_open(f, -1);
    AUTO_JSON json_t *list = blob_store_list(f->store, 1000000);
    for (size_t i = 0; i < json_array_size(list); i++)
        check_right(f, json_get_string(json_array_get(list, i), "digest"));
    for (unsigned seed = 0; seed <= newest; seed++) {
        AUTO_FREE char *bytes = fixture_content(seed, SIZE);
        struct digest digest = fixture_digest(bytes, SIZE);
        assert_int_equal(blob_store_size(f->store, &digest), SIZE);
    }
    assert_int_equal(fixture_count(f, "tmp"), 0);
    assert_int_equal(fixture_count(f, "quarantine"), 0);
    blob_store_free(f->store);
    f->store = NULL;
}

static void test_killed(void **state)
{
    (void)state;
    struct fixture f;
    unsigned next = 0;
    fixture_directory(&f);
    srand(4711);
    for (int round = 0; round < ROUNDS; round++) {
        unsigned newest = run_and_kill(f.directory, next, (unsigned)rand() % 10000);
        audit(&f, newest);
        next = newest + 1;
    }
    fixture_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_killed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
