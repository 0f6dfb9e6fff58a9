// SPDX-License-Identifier: Apache-2.0
#include "base_test.h"

#include "base/str.h"

static void test_questions(void **state)
{
    (void)state;
    assert_true(str_starts("sha256:ab", "sha256:"));
    assert_false(str_starts("sha", "sha256:"));
    assert_true(str_ends("a.json", ".json"));
    assert_false(str_ends("json", "a.json"));
    assert_true(str_equal("a", "a"));
    assert_false(str_equal("a", "A"));
    assert_true(str_equal(NULL, NULL));
    assert_false(str_equal("a", NULL));
    assert_false(str_equal(NULL, "a"));
    assert_true(str_equal_case("Bearer", "bEARER"));
    assert_false(str_equal_case("Bearer", "Bearers"));
    assert_false(str_equal_case("Bearers", "Bearer"));
    assert_false(str_equal_case("[", "{")); // a letter folds, a neighbour of the letters does not
    assert_true(str_equal_case(NULL, NULL));
    assert_false(str_equal_case(NULL, ""));
    char text[] = "ABCxyz@[\xc3\x84";
    str_lower(text);
    assert_string_equal(text, "abcxyz@[\xc3\x84");
    assert_true(str_equal_secret("abcd", "abcX", 3));
    assert_false(str_equal_secret("abcd", "abcX", 4));
}

static void test_utf8(void **state)
{
    (void)state;
    static const char *const good[] = {"", "abc", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xed\x9f\xbf",
                                       "\xee\x80\x80", "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80", "\xc3", "\xc0\xaf", "\xc1\xbf", "\xe0\x80\xaf", "\xe0\x9f\xbf",
                                      "\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80", "\xff", "\xe2\x82", "\xe2\x28\xa1", "\xf0\x9f\x98",
                                      "ok\xfe"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(str_utf8_valid(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(str_utf8_valid(bad[i], strlen(bad[i])));
    assert_false(str_utf8_valid("\xe2\x82\xac", 2)); // looks at no more than it was given
}

static void test_to_int64(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "-", "+1", " 1", "1 ", "1a", "0x1", "1.0", "--1", "9223372036854775808",
                                      "-9223372036854775809", "99999999999999999999"};
    int64_t value = 77;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(str_to_int64(bad[i], INT64_MIN, INT64_MAX, &value));
    assert_false(str_to_int64(NULL, 0, 1, &value));
    assert_false(str_to_int64("-1", 0, 10, &value)); // no sign unless min < 0
    assert_false(str_to_int64("-0", 0, 10, &value));
    assert_false(str_to_int64("11", 0, 10, &value));
    assert_false(str_to_int64("-6", -5, 10, &value));
    assert_int_equal(value, 77);
    assert_true(str_to_int64("9223372036854775807", INT64_MIN, INT64_MAX, &value));
    assert_true(value == INT64_MAX);
    assert_true(str_to_int64("-9223372036854775808", INT64_MIN, INT64_MAX, &value));
    assert_true(value == INT64_MIN);
    assert_true(str_to_int64("0010", 0, 10, &value));
    assert_int_equal(value, 10);
}

static void test_quote(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t max;
        const char *quoted;
    } rows[] = {
        {"plain", 100, "plain"},
        {"", 0, ""},
        {"a\033[31m\r\n\tb\x7f", 100, "a?[31m???b?"},
        {"\xc2\x85 C1, \xc2\xa0 not", 100, "? C1, \xc2\xa0 not"},
        {"\xff\xfe x \xe2\x82", 100, "?? x ??"},
        {"caf\xc3\xa9", 100, "caf\xc3\xa9"},
        {"abc\xe2\x80\xae""cba", 100, "abc?cba"},       // right-to-left override
        {"a\xe2\x80\x8b""b\xe2\x80\xa8""c", 100, "a?b?c"}, // zero width, line separator
        {"a\xe2\x81\xa6""b\xef\xbb\xbf", 100, "a?b?"},  // isolate, byte order mark
        {"\xe2\x80\x94 dash \xe2\x82\xac", 100, "\xe2\x80\x94 dash \xe2\x82\xac"},
        {"abcdef", 6, "abcdef"},
        {"abcdef", 5, "abcde…"},
        {"abcd\xc3\xa9", 5, "abcd…"}, // no half characters
        {"abc", 0, "…"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        AUTO_FREE char *quoted = str_quote(rows[i].text, rows[i].max);
        assert_string_equal(quoted, rows[i].quoted);
    }
}

static void test_url_for_log(void **state)
{
    (void)state;
    static const struct {
        const char *url, *shown;
    } rows[] = {
        {"https://r.example/v2/a?token=x#y", "https://r.example/v2/a"},
        {"https://user:pw@r.example:5000/v2/", "https://r.example:5000/v2/"},
        {"https://u:p@ss@r.example/", "https://r.example/"},
        {"https://r.example/a@b/c", "https://r.example/a@b/c"},
        {"https://r.example", "https://r.example"},
        {"https://u:p@r.example?x=@", "https://r.example"},
        {"//u:p@r.example/x", "//r.example/x"},
        {"u:p@r.example/x", "r.example/x"},
        {"/v2/a/blobs/uploads/1?_state=s", "/v2/a/blobs/uploads/1"},
        {"https://r.example/\033]0;x", "https://r.example/?]0;x"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        AUTO_FREE char *shown = str_url_for_log(rows[i].url);
        assert_string_equal(shown, rows[i].shown);
    }
}

static void test_glob(void **state)
{
    (void)state;
    static const char *const match[][2] = {
        {"", ""}, {"*", ""}, {"*", "x"}, {"v1.*", "v1.2.3"}, {"*-rc*", "v1-rc1"}, {"a*b*c", "aXbYbZc"}, {"?", "x"},
        {"??", "ab"}, {"*?", "ab"}, {"**a**", "a"}, {"?", "\xc3\xa9"}, {"*?xy", "\xc3\xa9xy"}, {"[a]", "[a]"},
    };
    static const char *const differ[][2] = {
        {"", "x"}, {"v1.*", "v2.1"}, {"?", ""}, {"?", "ab"}, {"??", "\xc3\xa9"}, {"*??", "\xc3\xa9"}, {"a*b", "abc"},
        {"[a]", "a"}, {"A", "a"}, {"*x", ""},
    };
    for (size_t i = 0; i < sizeof(match) / sizeof(match[0]); i++)
        assert_true(str_glob(match[i][0], match[i][1]));
    for (size_t i = 0; i < sizeof(differ) / sizeof(differ[0]); i++)
        assert_false(str_glob(differ[i][0], differ[i][1]));
}

// With backtracking over every star this would not end in a lifetime.
static void test_glob_is_not_exponential(void **state)
{
    (void)state;
    char name[2001];
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_false(str_glob("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*ab", name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_questions),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_to_int64),
        cmocka_unit_test(test_quote),
        cmocka_unit_test(test_url_for_log),
        cmocka_unit_test(test_glob),
        cmocka_unit_test(test_glob_is_not_exponential),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
