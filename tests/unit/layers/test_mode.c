// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "layers/layer.h"
#include "layers/mode.h"

static const struct {
    const char *rule;
    uint32_t bits;
    bool directory;
    uint32_t want;
} CASES[] = {
    {NULL, 0600, false, 0644},
    {NULL, 0700, false, 0755},
    {NULL, 0070, false, 0644},
    {NULL, 0700, true, 0755},
    {"normal", 04755, false, 0755},
    {"keep", 04711, false, 04711},
    {"keep", 01777, true, 01777},
    {"0644", 0777, false, 0644},
    {"4755", 0, false, 04755},
    {"7777", 0, true, 07777},
    {"0", 0777, false, 0},
    {"u+x", 0644, false, 0744},
    {"a+r", 0200, false, 0644},
    {"+r", 0200, false, 0644},
    {"go-rwx", 0777, true, 0700},
    {"u=rwX,go=rX", 0600, false, 0644},
    {"u=rwX,go=rX", 0700, false, 0755},
    {"u=rwX,go=rX", 0600, true, 0755},
    {"a=", 0777, false, 0},
    {"g=u", 0740, false, 0770},
    {"o=g", 0750, false, 0755},
    {"u-w+x", 0600, false, 0500},
    {"+t", 0755, true, 01755},
    {"ug+s", 0755, true, 06755},
    {"a-s", 06755, false, 0755},
    {"u=r,u+x", 0600, false, 0500},
    {"+X", 0644, false, 0644},
    {"+X", 0645, false, 0755},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct mode_rule rule;
        struct error err = ERROR_INIT;
        if (mode_parse(&rule, CASES[i].rule, &err) < 0)
            fail_msg("%s: %s", CASES[i].rule, err.detail);
        uint32_t got = mode_apply(&rule, CASES[i].bits, CASES[i].directory);
        if (got != CASES[i].want)
            fail_msg("%s on %04o: %04o", CASES[i].rule, CASES[i].bits, got);
    }
}

static void test_faults(void **state)
{
    (void)state;
    static const char *const bad[] = {"",     "Normal", "08",   "10000", "00000644", "0x1ff",
                                      "u",    "u+q",    "z+x",  "u+x,",  ",u+x",     "rwx",
                                      "644 ", " 644",   "u+x;", "-1",    "u=rwx,go", "u~x"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct error err = ERROR_INIT;
        if (layer_mode_check(bad[i], &err) == 0)
            fail_msg("\"%s\" is taken", bad[i]);
        assert_int_equal(err.code, ERR_INVALID_REQUEST);
        error_clear(&err);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_faults)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
