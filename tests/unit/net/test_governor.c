// SPDX-License-Identifier: Apache-2.0
//
// The governor under a clock of the test's own.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "net/governor.h"
#include "net/quota.h"

static struct host_table *hosts;
static struct governor *governor;
static struct quota *quota;
static int64_t at;

static int set_up(void **state)
{
    (void)state;
    hosts = host_table_new();
    quota = quota_new();
    governor = governor_new(hosts, quota);
    at = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    governor_free(governor);
    quota_free(quota);
    host_table_free(hosts);
    return 0;
}

static bool enter(const char *host, int64_t now_ms)
{
    at = -1;
    return governor_enter(governor, host, now_ms, &at);
}

static void leave(const char *host, int64_t now_ms, enum error_code code, int64_t retry_after_ms)
{
    struct error err = ERROR_INIT;
    if (code != ERR_NONE)
        error_set(&err, code, "test");
    err.retry_after_ms = retry_after_ms;
    governor_leave(governor, host, now_ms, code == ERR_NONE ? NULL : &err);
    error_clear(&err);
}

static void test_connections(void **state)
{
    (void)state;
    host_table_add(hosts, &(struct host_settings){.name = mem_strdup("r.test:5000"), .max_connections = 2});
    assert_true(enter("r.test:5000", 0));
    assert_true(enter("R.test:5000", 0));
    assert_false(enter("r.test:5000", 0));
    assert_int_equal(at, 0);
    assert_true(enter("r.test", 0)); // another port
    leave("r.test:5000", 1, ERR_NONE, -1);
    assert_true(enter("r.test:5000", 1));
    for (int i = 0; i < HOST_CONNECTIONS_DEFAULT; i++)
        assert_true(enter("other.test", 1));
    assert_false(enter("other.test", 1));
}

static void test_requests_per_second(void **state)
{
    (void)state;
    host_table_add(hosts, &(struct host_settings){.name = mem_strdup("r.test"), .requests_per_s = 2});
    assert_true(enter("r.test", 0));
    leave("r.test", 0, ERR_NONE, -1);
    assert_true(enter("r.test", 0));
    leave("r.test", 0, ERR_NONE, -1);
    assert_false(enter("r.test", 0)); // the memory outlives the last step
    assert_int_equal(at, 501);
    assert_false(enter("r.test", 499));
    assert_true(enter("r.test", 501));
    assert_false(enter("r.test", 501));
    // a rate below one
    host_table_add(hosts, &(struct host_settings){.name = mem_strdup("slow.test"), .requests_per_s = 0.1});
    assert_true(enter("slow.test", 0));
    assert_false(enter("slow.test", 0));
    assert_int_equal(at, 10001);
}

static void test_pause(void **state)
{
    (void)state;
    assert_true(enter("r.test", 0));
    assert_true(enter("r.test", 0));
    leave("r.test", 100, ERR_REGISTRY_RATE_LIMIT, 7000);
    assert_false(enter("r.test", 200));
    assert_int_equal(at, 7100);
    leave("r.test", 200, ERR_REGISTRY_RATE_LIMIT, 1000); // a shorter one does not shorten
    assert_false(enter("r.test", 7099));
    assert_true(enter("r.test", 7100));
    leave("r.test", 7100, ERR_REGISTRY_RATE_LIMIT, 6 * 3600 * 1000);
    assert_false(enter("r.test", 7100));
    assert_int_equal(at, 7100 + GOVERNOR_PAUSE_MS_MAX);
    assert_true(enter("s.test", 0));
    leave("s.test", 0, ERR_REGISTRY_ERROR, 3000); // 503 with Retry-After
    assert_false(enter("s.test", 0));
    assert_int_equal(at, 3000);
    assert_true(enter("t.test", 0));
    leave("t.test", 0, ERR_REGISTRY_RATE_LIMIT, -1);
    assert_false(enter("t.test", 0));
}

static void fail_times(int times, int64_t now_ms)
{
    for (int i = 0; i < times; i++) {
        assert_true(enter("r.test", now_ms));
        leave("r.test", now_ms, ERR_REGISTRY_UNREACHABLE, -1);
    }
}

static void test_breaker(void **state)
{
    (void)state;
    fail_times(GOVERNOR_FAILURES - 1, 0);
    assert_true(enter("r.test", 0));
    leave("r.test", 0, ERR_NONE, -1); // well in between: the count begins again
    fail_times(GOVERNOR_FAILURES - 1, 0);
    assert_true(enter("r.test", 0));
    leave("r.test", 0, ERR_IMAGE_NOT_FOUND, -1); // an answer is an answer
    fail_times(GOVERNOR_FAILURES, 0);
    assert_false(enter("r.test", 10));
    assert_int_equal(at, 1000);
    assert_true(enter("r.test", 1000)); // the probe
    assert_false(enter("r.test", 1000));
    assert_int_equal(at, 0);
    leave("r.test", 1100, ERR_REGISTRY_UNREACHABLE, -1);
    assert_false(enter("r.test", 1100));
    assert_int_equal(at, 3100); // twice as long
    assert_true(enter("r.test", 3100));
    leave("r.test", 3200, ERR_CANCELLED, -1); // tells nothing: another probe
    assert_true(enter("r.test", 3200));
    assert_false(enter("r.test", 3200));
    leave("r.test", 3300, ERR_NONE, -1);
    assert_true(enter("r.test", 3300));
    assert_true(enter("r.test", 3300));
}

// A registry that is down for a minute gets no storm: 100 steps that want to go all the time.
static void test_no_storm(void **state)
{
    int sent = 0;
    (void)state;
    for (int64_t now_ms = 0; now_ms < 60000; now_ms += 10) {
        if (!enter("r.test", now_ms))
            continue;
        sent++;
        leave("r.test", now_ms, ERR_REGISTRY_UNREACHABLE, -1);
    }
    assert_true(sent <= GOVERNOR_FAILURES + 6);
}

static void test_failures_together_count_once_open(void **state)
{
    (void)state;
    for (int i = 0; i < 16; i++)
        assert_true(enter("r.test", 0));
    for (int i = 0; i < 16; i++)
        leave("r.test", 0, ERR_REGISTRY_UNREACHABLE, -1);
    assert_false(enter("r.test", 0));
    assert_int_equal(at, 1000);
}

static void say(const char *host, int status, const char *headers, int64_t now_ms)
{
    struct http_answer answer = {.status = status};
    for (const char *line = headers; *line; line += strcspn(line, "\n") + 1) {
        AUTO_FREE char *name = mem_strndup(line, strcspn(line, ":"));
        AUTO_FREE char *value = mem_strndup(strchr(line, ':') + 2, strcspn(strchr(line, ':') + 2, "\n"));
        http_headers_add(&answer.headers, name, value);
    }
    quota_note(quota, host, &answer, now_ms);
    http_answer_clear(&answer);
}

static void test_low_quota(void **state)
{
    (void)state;
    say("R.test", 200, "ratelimit-limit: 100\nratelimit-remaining: 9\nratelimit-reset: 30\n", 0);
    assert_true(enter("r.test", 0));
    assert_true(enter("r.test", 0)); // 4 requests each: that is what is left
    assert_false(enter("r.test", 0));
    assert_int_equal(at, 0); // a leave makes room
    assert_true(enter("other.test", 0));
    leave("r.test", 1, ERR_NONE, -1);
    assert_true(enter("r.test", 1));
    say("r.test", 200, "ratelimit-limit: 100\nratelimit-remaining: 3\nratelimit-reset: 20\n", 10000);
    leave("r.test", 10000, ERR_NONE, -1);
    leave("r.test", 10000, ERR_NONE, -1);
    assert_false(enter("r.test", 10000)); // nothing is under way: until the reset
    assert_int_equal(at, 30000);
    for (int i = 0; i < 16; i++) // a new window, but no more than it can serve
        assert_true(enter("r.test", 30001));
    for (int i = 1; i < 16; i++)
        leave("r.test", 30001, ERR_NONE, -1);
    say("r.test", 200, "ratelimit-limit: 3\nratelimit-remaining: 3\nratelimit-reset: 1\n", 29000);
    assert_false(enter("r.test", 30001));
    assert_int_equal(at, 0);
    // more again, before the reset
    leave("r.test", 30001, ERR_NONE, -1);
    say("r.test", 200, "ratelimit-remaining: 0;w=20\n", 31000);
    assert_false(enter("r.test", 31000));
    say("r.test", 200, "ratelimit-remaining: 80;w=20\n", 32000);
    for (int i = 0; i < HOST_CONNECTIONS_DEFAULT; i++)
        assert_true(enter("r.test", 32000));
}

static void test_r88_quota_of_hours(void **state)
{
    (void)state;
    say("docker.io", 200, "ratelimit-limit: 100;w=21600\nratelimit-remaining: 1;w=21600\n", 0);
    assert_true(enter("docker.io", 0)); // to wait for it helps nobody, but one after the other
    assert_false(enter("docker.io", 0));
    assert_int_equal(at, 0);
    leave("docker.io", 5, ERR_NONE, -1);
    assert_true(enter("docker.io", 5));
}

static void test_quota_that_is_not_meant(void **state)
{
    (void)state;
    for (int i = 0; i < 7; i++)
        say("r.test", 200, "ratelimit-remaining: 0\nratelimit-reset: 30\n", 0);
    assert_false(enter("r.test", 0));
    say("r.test", 200, "ratelimit-remaining: 0\nratelimit-reset: 30\n", 0);
    assert_true(enter("r.test", 0)); // it answers all the same
    leave("r.test", 0, ERR_NONE, -1);
    say("r.test", 429, "ratelimit-remaining: 0\nratelimit-reset: 30\n", 0);
    assert_false(enter("r.test", 0)); // now it does not
    assert_int_equal(at, 30000);
}

static void test_many_hosts_are_forgotten(void **state)
{
    char host[32];
    (void)state;
    for (int i = 0; i < 5000; i++) {
        snprintf(host, sizeof host, "h%d.test", i);
        assert_true(enter(host, i));
        leave(host, i, i % 2 ? ERR_NONE : ERR_REGISTRY_RATE_LIMIT, 1);
    }
    governor_leave(governor, "never.test", 0, NULL); // harmless
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_connections, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_requests_per_second, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pause, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_breaker, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_storm, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failures_together_count_once_open, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_low_quota, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_r88_quota_of_hours, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_quota_that_is_not_meant, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_hosts_are_forgotten, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
