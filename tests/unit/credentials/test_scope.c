// SPDX-License-Identifier: Apache-2.0
//
// Token scopes: what is asked for, and what covers what.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "credentials/credentials.h"
#include "credentials/scope.h"

static void R11_R16_R17_building(void **state)
{
    (void)state;
    static const struct {
        const char *repository;
        unsigned actions;
        const char *mount_from, *extra, *wanted;
    } rows[] = {
        {"a/b", CREDENTIAL_PULL, NULL, NULL, "repository:a/b:pull"},
        {"a/b", CREDENTIAL_PULL | CREDENTIAL_PUSH, NULL, NULL, "repository:a/b:pull,push"},
        {"a/b", CREDENTIAL_PUSH, "c/d", NULL, "repository:a/b:pull,push repository:c/d:pull"},
        {"a/b", CREDENTIAL_DELETE, NULL, NULL, "repository:a/b:pull,push"},
        {"a/b", CREDENTIAL_DELETE, NULL, "repository:a/b:delete",
         "repository:a/b:delete repository:a/b:pull,push"},
        {NULL, CREDENTIAL_CATALOG, NULL, NULL, "registry:catalog:*"},
        {NULL, 0, NULL, NULL, ""},
        {NULL, 0, NULL, "aws", "aws"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        AUTO_FREE char *scope =
            scope_build(rows[i].repository, rows[i].actions, rows[i].mount_from, rows[i].extra);
        assert_string_equal(scope, rows[i].wanted);
    }
}

static void R18_covering(void **state)
{
    (void)state;
    static const struct {
        const char *have, *wanted;
        bool covers;
    } rows[] = {
        {"repository:a:pull,push", "repository:a:pull", true},
        {"repository:a:pull", "repository:a:pull,push", false},
        {"repository:a:pull repository:a:push", "repository:a:push,pull", true},
        {"repository:a:pull", "repository:b:pull", false},
        {"repository:a:pull", "repository:a/b:pull", false},
        {"repository:ab:pull", "repository:a:pull", false},
        {"repository:a:*", "repository:a:delete", true},
        {"registry:catalog:*", "registry:catalog:*", true},
        {"repository:h:5000/a:pull", "repository:h:5000/a:pull", true},
        {"aws", "aws", true},
        {"repository:a:pull", "aws", false},
        {"repository:a:pull", "", true},
        {"repository:a:pull", NULL, true},
        {"", "repository:a:pull", false},
        {"repository:a:pull,push", "repository:a:pull repository:a:delete", false},
        {"repository:a:pulled", "repository:a:pull", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(scope_covers(rows[i].have, rows[i].wanted), rows[i].covers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(R11_R16_R17_building),
                                       cmocka_unit_test(R18_covering)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
