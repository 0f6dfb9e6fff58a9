// SPDX-License-Identifier: Apache-2.0
//
// Patterns and the order of versions.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "images/tag_filter.h"

static void test_version_order(void **state)
{
    (void)state;
    static const char *const ordered[] = {"1.2-rc1", "1.2-rc2", "1.2", "1.2.1", "1.9", "1.10", "v1.0", "v2.0-beta", "v2.0"};
    for (size_t i = 0; i + 1 < sizeof(ordered) / sizeof(*ordered); i++) {
        assert_true(tag_compare_version(ordered[i], ordered[i + 1]) < 0);
        assert_true(tag_compare_version(ordered[i + 1], ordered[i]) > 0);
    }
    assert_int_equal(tag_compare_version("1.02", "1.2"), 0);
    assert_true(tag_compare_version("9", "10000000000000000000000") < 0);
}

static void test_costly_patterns_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"/(a)\\1/", "/a{1,255}/", "/(/", "", "/[/"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct pattern pattern;
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        assert_int_equal(pattern_parse(&pattern, bad[i], &err), -1);
        assert_int_equal(err.code, ERR_INVALID_REQUEST);
    }
}

static void test_globs_and_expressions(void **state)
{
    (void)state;
    struct pattern pattern;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    assert_int_equal(pattern_parse(&pattern, "v1.*", &err), 0);
    assert_true(pattern_matches(&pattern, "v1.2") && !pattern_matches(&pattern, "v11") && !pattern_matches(&pattern, "xv1.2"));
    pattern_clear(&pattern);
    assert_int_equal(pattern_parse(&pattern, "/^v[0-9]+$/", &err), 0);
    assert_true(pattern_matches(&pattern, "v12") && !pattern_matches(&pattern, "v1.2"));
    pattern_clear(&pattern);
}

static void test_tags_that_carry_referrers(void **state)
{
    (void)state;
    char tag[80] = "sha256-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    assert_true(tag_is_referrer(tag));
    tag[71] = '.';
    tag[72] = 's';
    assert_true(tag_is_referrer(tag));
    tag[71] = 'a';
    assert_false(tag_is_referrer(tag));
    assert_false(tag_is_referrer("sha256-abc"));
    assert_false(tag_is_referrer("latest"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_order),
        cmocka_unit_test(test_costly_patterns_are_refused),
        cmocka_unit_test(test_globs_and_expressions),
        cmocka_unit_test(test_tags_that_carry_referrers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
