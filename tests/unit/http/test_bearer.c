// SPDX-License-Identifier: Apache-2.0
//
// The token: what is right, what is limited, what happens when the file changes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "http/bearer.h"

static char directory[] = "/tmp/dray-bearer-XXXXXX";
static char *path;

static void write_token(const char *text)
{
    struct error err = ERROR_INIT;
    assert_int_equal(file_publish(path, text, strlen(text), 0600, &err), 0);
}

static int setup(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/dray-bearer-XXXXXX");
    assert_non_null(mkdtemp(directory));
    path = mem_printf("%s/token", directory);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    rmdir(directory);
    free(path);
    return 0;
}

static void test_verdicts(void **state)
{
    static const struct {
        const char *authorization;
        bool basic;
        enum bearer_verdict verdict;
    } table[] = {
        {NULL, true, BEARER_MISSING},
        {"Bearer s3cret", false, BEARER_RIGHT},
        {"bearer  s3cret", false, BEARER_RIGHT},
        {"Bearer s3cret\n", false, BEARER_WRONG},
        {"Bearer s3cre", false, BEARER_WRONG},
        {"Bearer S3CRET", false, BEARER_WRONG},
        {"Bearer ", false, BEARER_WRONG},
        {"Bearer", false, BEARER_WRONG},
        {"s3cret", false, BEARER_WRONG},
        {"Basic OnMzY3JldA==", true, BEARER_RIGHT}, // :s3cret
        {"Basic eDpzM2NyZXQ=", true, BEARER_RIGHT}, // x:s3cret
        {"Basic eDpzM2NyZXQ=", false, BEARER_WRONG},
        {"Basic czNjcmV0", true, BEARER_WRONG}, // no colon
        {"Basic !!", true, BEARER_WRONG},
        {"Digest s3cret", true, BEARER_WRONG},
    };
    struct error err = ERROR_INIT;
    (void)state;
    write_token("s3cret\r\n");
    struct bearer *bearer = bearer_open(path, &err);
    assert_non_null(bearer);
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        if (bearer_check(bearer, table[i].authorization, table[i].basic, false, 1000) != table[i].verdict)
            fail_msg("row %zu: %s", i, table[i].authorization);
    bearer_free(bearer);
}

static void test_files_without_token(void **state)
{
    static const char *const table[] = {"", "\n", "\r\n"};
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        write_token(table[i]);
        assert_null(bearer_open(path, &err));
        assert_non_null(strstr(err.detail, path));
    }
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    assert_null(bearer_open("/nonexistent/token", &err));
}

static void test_limit(void **state)
{
    struct error err = ERROR_INIT;
    int64_t now = 1000000;
    (void)state;
    write_token("s3cret");
    struct bearer *bearer = bearer_open(path, &err);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(bearer_check(bearer, NULL, false, false, now), BEARER_MISSING); // costs nothing
    for (int i = 0; i < 100; i++)
        assert_int_equal(bearer_check(bearer, "Bearer guess", false, false, now), BEARER_WRONG);
    assert_int_equal(bearer_check(bearer, "Bearer guess", false, false, now), BEARER_LIMITED);
    assert_int_equal(bearer_check(bearer, "Bearer s3cret", false, false, now),
                     BEARER_LIMITED); // tells nothing
    assert_int_equal(bearer_check(bearer, "Bearer s3cret", false, true, now),
                     BEARER_RIGHT); // known connection
    assert_int_equal(bearer_check(bearer, "Bearer guess", false, false, now + 1000), BEARER_WRONG);
    assert_int_equal(bearer_check(bearer, "Bearer s3cret", false, false, now + 1000), BEARER_LIMITED);
    assert_int_equal(bearer_check(bearer, "Bearer s3cret", false, false, now + 2000), BEARER_RIGHT);
    bearer_free(bearer);
}

static void test_rotation(void **state)
{
    struct error err = ERROR_INIT;
    (void)state;
    write_token("old");
    struct bearer *bearer = bearer_open(path, &err);
    write_token("new");
    assert_int_equal(bearer_check(bearer, "Bearer new", false, false, 0), BEARER_RIGHT);
    assert_int_equal(bearer_check(bearer, "Bearer old", false, false, 0), BEARER_WRONG);
    write_token("\n"); // broken: the former stays
    assert_int_equal(bearer_check(bearer, "Bearer new", false, false, 0), BEARER_RIGHT);
    unlink(path);
    assert_int_equal(bearer_check(bearer, "Bearer new", false, false, 0), BEARER_RIGHT);
    bearer_free(bearer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_verdicts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files_without_token, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rotation, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
