// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "http/router.h"

static const struct route routes[] = {
    {.method = "GET", .path = "/", .operation = "root"},
    {.method = "GET", .path = "/v1/jobs", .operation = "list"},
    {.method = "POST", .path = "/v1/jobs", .operation = "create"},
    {.method = "GET", .path = "/v1/jobs/{id}", .operation = "get"},
    {.method = "GET", .path = "/v1/jobs/{id}/events", .operation = "events"},
    {.method = "PUT", .path = "/v1/contexts/{digest}", .operation = "context"},
    {0},
};

static void test_table(void **state)
{
    static const struct {
        const char *method, *path, *operation; // NULL: refused
        enum error_code code;
        const char *allow;
    } table[] = {
        {"GET", "/", "root", ERR_NONE, NULL},
        {"GET", "/v1/jobs", "list", ERR_NONE, NULL},
        {"POST", "/v1/jobs", "create", ERR_NONE, NULL},
        {"GET", "/v1/jobs/x", "get", ERR_NONE, NULL},
        {"GET", "/v1/jobs/..", "get", ERR_NONE, NULL}, // a name like any other: nothing is resolved
        {"GET", "/v1/jobs/x/events", "events", ERR_NONE, NULL},
        {"PUT", "/v1/contexts/sha256:00", "context", ERR_NONE, NULL},
        {"DELETE", "/v1/jobs", NULL, ERR_METHOD_NOT_ALLOWED, "GET, POST"},
        {"get", "/v1/jobs", NULL, ERR_METHOD_NOT_ALLOWED, "GET, POST"},
        {"HEAD", "/v1/jobs/x", NULL, ERR_METHOD_NOT_ALLOWED, "GET"},
        {"GET", "/v1/jobs/", NULL, ERR_NOT_FOUND, NULL},
        {"GET", "/v1//jobs", NULL, ERR_NOT_FOUND, NULL},
        {"GET", "/v1/jobs//events", NULL, ERR_NOT_FOUND, NULL},
        {"GET", "/v1/jobs/x/", NULL, ERR_NOT_FOUND, NULL},
        {"GET", "/v1/jobs/x/y", NULL, ERR_NOT_FOUND, NULL},
        {"GET", "/v1/job", NULL, ERR_NOT_FOUND, NULL},
        {"GET", "/v1/jobsx", NULL, ERR_NOT_FOUND, NULL},
        {"GET", "/V1/jobs", NULL, ERR_NOT_FOUND, NULL},
        {"GET", "/v1/jobs/x/events/y", NULL, ERR_NOT_FOUND, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        AUTO_FREE char *allow = NULL;
        const struct route *route = router_find(routes, table[i].method, table[i].path, &allow, &err);
        assert_int_equal(err.code, table[i].code);
        if (table[i].operation)
            assert_string_equal(route->operation, table[i].operation);
        else
            assert_null(route);
        if (table[i].allow)
            assert_string_equal(allow, table[i].allow);
        else
            assert_null(allow);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
