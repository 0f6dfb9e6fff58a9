// SPDX-License-Identifier: Apache-2.0
//
// What servers write about what is left, in all the forms that are found.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "net/quota.h"

static const int64_t WALL_MS = INT64_C(1790000000123);

struct row {
    const char *names[3], *values[3];
    bool found;
    struct quota_left left;
};

static const struct row rows[] = {
    // Docker Hub
    {{"ratelimit-limit", "ratelimit-remaining"}, {"100;w=21600", "76;w=21600"}, true, {76, 100, 21600000}},
    {{"RateLimit-Remaining"}, {"0;w=60"}, true, {0, -1, 60000}},
    {{"ratelimit-remaining"}, {" 5 ; w=1"}, true, {5, -1, 1000}},
    // GitLab and the early drafts: seconds, or the time of day
    {{"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"},
     {"600", "3", "1790000060"},
     true,
     {3, 600, 60000}},
    {{"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"},
     {"600", "3", "1600000000"},
     true,
     {3, 600, 0}},
    {{"ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"},
     {"10, 10;w=1, 50;w=60", "4", "7"},
     true,
     {4, 10, 7000}},
    {{"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"},
     {"60", "59", "30"},
     true,
     {59, 60, 30000}},
    {{"ratelimit-remaining"}, {"12"}, true, {12, -1, -1}},
    // the drafts of the IETF
    {{"ratelimit"}, {"limit=100, remaining=50, reset=5"}, true, {50, 100, 5000}},
    {{"ratelimit", "ratelimit-policy"},
     {"\"default\";r=50;t=30", "\"default\";q=100;w=10"},
     true,
     {50, -1, 30000}},
    // Azure
    {{"x-ms-ratelimit-remaining-calls-per-second"}, {"333.3"}, true, {333, -1, 1000}},
    // nothing that can be used
    {{"ratelimit-remaining"}, {""}, false, {-1, -1, -1}},
    {{"ratelimit-remaining"}, {"-1"}, false, {-1, -1, -1}},
    {{"ratelimit-remaining"}, {"99999999999999999999"}, false, {-1, -1, -1}},
    {{"ratelimit"}, {"limit=100;;,= ,remaining=x"}, false, {-1, 100, -1}},
    {{"ratelimit-limit"}, {"100"}, false, {-1, -1, -1}},
    {{"ratelimit-remaining", "ratelimit-reset"}, {"1", "999999999"}, true, {1, -1, 86400000}},
};

static void test_forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct http_headers headers = {0};
        struct quota_left left;
        for (size_t h = 0; h < 3 && rows[i].names[h]; h++)
            http_headers_add(&headers, rows[i].names[h], rows[i].values[h]);
        bool found = quota_parse(&headers, WALL_MS, &left);
        http_headers_clear(&headers);
        if (found != rows[i].found || left.remaining != rows[i].left.remaining ||
            left.limit != rows[i].left.limit || left.reset_ms != rows[i].left.reset_ms)
            fail_msg("row %zu: %d %lld %lld %lld", i, found, (long long)left.remaining, (long long)left.limit,
                     (long long)left.reset_ms);
    }
}

static void note(struct quota *quota, const char *host, const char *remaining, int64_t now_ms, bool begins)
{
    struct http_answer answer = {.status = 200};
    http_headers_add(&answer.headers, "ratelimit-limit", "100;w=10");
    http_headers_add(&answer.headers, "ratelimit-remaining", remaining);
    assert_int_equal(quota_note(quota, host, &answer, now_ms), begins);
    http_answer_clear(&answer);
}

static void test_hosts(void **state)
{
    (void)state;
    struct quota *quota = quota_new();
    struct quota_left left;
    assert_false(quota_find(quota, "r.test", 0, &left));
    note(quota, "R.test:5000", "50", 0, false);
    note(quota, "r.test:5000", "9", 5, true);
    note(quota, "r.test:5000", "8", 6, false); // told once
    assert_true(quota_find(quota, "r.test:5000", 10005, &left));
    assert_int_equal(left.remaining, 8);
    assert_int_equal(left.reset_ms, 10006);
    assert_false(quota_find(quota, "r.test", 7, &left));
    assert_true(quota_find(quota, "r.test:5000", 10006, &left)); // a new window
    assert_int_equal(left.remaining, 100);
    note(quota, "r.test:5000", "90", 10007, false);
    note(quota, "r.test:5000", "2", 10008, true);
    char host[32];
    for (int i = 0; i < 5000; i++) {
        snprintf(host, sizeof host, "h%d.test", i);
        note(quota, host, "1", 0, true);
    }
    assert_true(quota_find(quota, host, 1, &left));
    quota_free(quota);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_forms), cmocka_unit_test(test_hosts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
