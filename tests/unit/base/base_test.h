// SPDX-License-Identifier: Apache-2.0
//
// What the tests of base share: cmocka's headers, asserts for errors, a directory that goes with its test.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"

// The call fails with this code and a detail that holds this text; err is cleared.
#define assert_fails(err, expected, text, call)                                                                        \
    do {                                                                                                               \
        assert_true(call);                                                                                             \
        assert_string_equal(error_wire((err)->code), error_wire(expected));                                            \
        if (!strstr((err)->detail, text))                                                                              \
            assert_string_equal((err)->detail, text);                                                                  \
        error_clear(err);                                                                                              \
    } while (0)

#define assert_works(err, call)                                                                                        \
    do {                                                                                                               \
        if (call)                                                                                                      \
            fail_msg("%s: %s", #call, (err)->detail);                                                                  \
        assert_int_equal((err)->code, ERR_NONE);                                                                       \
    } while (0)

static inline int directory_setup(void **state)
{
    char path[] = "/tmp/dray-test-XXXXXX";
    char *resolved = mkdtemp(path) ? realpath(path, NULL) : NULL;
    *state = resolved;
    return resolved ? 0 : -1;
}

static inline int directory_teardown(void **state)
{
    struct error err = ERROR_INIT;
    int result = file_remove_tree(-1, *state, &err); // an absolute path, so the descriptor does not count
    error_clear(&err);
    free(*state);
    return result;
}

#define directory_test(function) cmocka_unit_test_setup_teardown(function, directory_setup, directory_teardown)
