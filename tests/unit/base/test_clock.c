// SPDX-License-Identifier: Apache-2.0
#include "base_test.h"

#include "base/clock.h"

static void test_clocks_run(void **state)
{
    (void)state;
    int64_t before = clock_ms();
    assert_true(before > 0);
    assert_true(clock_ms() >= before);
    assert_true(clock_wall_ms() > 1700000000000); // after 2023
}

static void test_format(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {1767225600123, "2026-01-01T00:00:00.123Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {-62135596800000, "0001-01-01T00:00:00.000Z"},
        {253402300799999, "9999-12-31T23:59:59.999Z"},
        {INT64_MAX, "9999-12-31T23:59:59.807Z"},
        {INT64_MIN, "0000-01-01T00:00:00.192Z"},
    };
    char text[CLOCK_TEXT_MAX];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        clock_format(rows[i].ms, text);
        assert_string_equal(text, rows[i].text);
    }
    clock_format_s(1767225600, text);
    assert_string_equal(text, "2026-01-01T00:00:00Z");
    clock_format_s(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59Z");
}

static void test_parse(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-01-01T00:00:00.5Z", 1767225600500},
        {"2026-01-01T00:00:00.123456789Z", 1767225600123},
        {"2026-01-01t02:30:00+02:30", 1767225600000},
        {"2025-12-31 19:00:00-05:00", 1767225600000},
        {"2024-02-29T00:00:00z", 1709164800000},
        {"2016-12-31T23:59:60Z", 1483228800000}, // a leap second
        {"1969-12-31T23:59:59.999Z", -1},
    };
    static const char *const bad[] = {
        "", "2026", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01T00:00Z", "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-01-32T00:00:00Z", "2026-01-00T00:00:00Z",
        "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:61Z", "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00+0100", "2026-01-01T00:00:00Zx", " 2026-01-01T00:00:00Z",
        "26-01-01T00:00:00Z", "2026-1-1T00:00:00Z", "+2026-01-01T00:00:00Z", "2026/01/01T00:00:00Z", "tomorrow",
    };
    int64_t ms;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(clock_parse(good[i].text, &ms));
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (clock_parse(bad[i], &ms))
            fail_msg("%s was accepted", bad[i]);
}

// Every prefix of a good text is bad, and reading it stays inside the text (the sanitizer sees to that).
static void test_prefixes_are_refused(void **state)
{
    (void)state;
    static const char text[] = "2026-01-01T00:00:00.5+01:00", date[] = "Sun, 06 Nov 1994 08:49:37 GMT";
    int64_t ms;
    for (size_t len = 0; len < sizeof(text) - 1; len++) {
        AUTO_FREE char *cut = mem_strndup(text, len);
        assert_false(clock_parse(cut, &ms));
    }
    for (size_t len = 0; len < sizeof(date) - 1; len++) {
        AUTO_FREE char *cut = mem_strndup(date, len);
        assert_false(clock_parse_http_date(cut, &ms));
    }
}

static void test_http_date(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 nov 1994 08:49:37 GMT", "Sun, 31 Feb 2026 08:49:37 GMT", "Sun, 06 Nov 1994 25:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT ", "120", "Sun, 6 Nov 1994 08:49:37 GMT",
    };
    int64_t ms;
    assert_true(clock_parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT", &ms)); // the example of RFC 9110, 5.6.7
    assert_int_equal(ms, 784111777000);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (clock_parse_http_date(bad[i], &ms))
            fail_msg("%s was accepted", bad[i]);
}

// Neither the time zone of the machine nor its locale counts.
static void test_zone_does_not_matter(void **state)
{
    (void)state;
    setenv("TZ", "Asia/Kathmandu", 1);
    int64_t ms;
    char text[CLOCK_TEXT_MAX];
    assert_true(clock_parse("1970-01-01T00:00:00Z", &ms));
    assert_int_equal(ms, 0);
    clock_format_s(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clocks_run),           cmocka_unit_test(test_format),
        cmocka_unit_test(test_parse),                cmocka_unit_test(test_prefixes_are_refused),
        cmocka_unit_test(test_http_date),            cmocka_unit_test(test_zone_does_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
