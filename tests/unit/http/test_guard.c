// SPDX-License-Identifier: Apache-2.0
//
// The door's rules as tables: hostile Host and Origin shapes × method × transport, framing, targets, limits.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "http/guard.h"

static const char *const page_paths[] = {"/", "/v1/jobs", "/v1/jobs/*", NULL};
static const char *const hosts[] = {"builder.example", "forwarded:8080", NULL};
static const struct guard guard = {.hosts = hosts, .page_paths = page_paths};

enum { PORT = 3729 };

// A well-formed head of these fields.
static struct guard_head head_of(const char *method, const char *target, const struct http_field *fields,
                                 size_t n, bool unix_socket)
{
    struct guard_head head = {
        .method = method,
        .version = "HTTP/1.1",
        .target = target,
        .fields = fields,
        .n_fields = n,
        .blanks = n,
        .unix_socket = unix_socket,
        .port = PORT,
    };
    head.head_bytes = strlen(method) + 1 + strlen(target) + 1 + 8 + 2 + 2;
    for (size_t i = 0; i < n; i++)
        head.head_bytes += strlen(fields[i].name) + 2 + strlen(fields[i].value) + 2;
    return head;
}

static enum error_code judge(const struct guard_head *head)
{
    struct error err = ERROR_INIT;
    int result = guard_check(&guard, head, &err);
    enum error_code code = err.code;
    assert_int_equal(result, code == ERR_NONE ? 0 : -1);
    if (code != ERR_NONE)
        assert_non_null(err.detail);
    error_clear(&err);
    return code;
}

static const struct {
    const char *method, *target;
} asked[] = {{"GET", "/v1/version"}, {"POST", "/v1/jobs"}, {"GET", "/v1/events?after=1"}};

static void test_hostile_hosts(void **state)
{
    static const char *const table[] = {
        "evil.example",
        "evil.example:3729",
        "localhost.evil.example",
        "localhost.evil.example:3729",
        "127.0.0.1.nip.io:3729",
        "localhost.:3729",
        "localhost.",
        "LOCALHOST:3729",
        "Localhost",
        "localhost:80x",
        "localhost:03729",
        "localhost:3730",
        "127.0.0.1:22",
        "user@localhost:3729",
        "localhost:3729@evil.example",
        "127.1:3729",
        "2130706433:3729",
        "0x7f.0.0.1:3729",
        "0.0.0.0:3729",
        "[::1%lo]:3729",
        "[::ffff:127.0.0.1]:3729",
        "::1",
        "",
        " ",
        "localhost,evil.example",
        "localhost evil.example",
        "localhost/",
        "http://localhost",
        "127.0.0.2:3729",
        "builder.example.evil.example",
        "forwarded:8081",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        for (size_t a = 0; a < sizeof(asked) / sizeof(*asked); a++)
            for (int unix_socket = 0; unix_socket < 2; unix_socket++) {
                struct http_field fields[] = {{"Host", table[i]}, {"Accept", "*/*"}};
                struct guard_head head = head_of(asked[a].method, asked[a].target, fields, 2, unix_socket);
                if (judge(&head) != ERR_MISDIRECTED)
                    fail_msg("Host \"%s\" was let in (%s)", table[i], unix_socket ? "unix" : "tcp");
            }
}

static void test_own_hosts(void **state)
{
    static const struct {
        const char *host;
        bool unix_socket, tcp;
    } table[] = {
        {"localhost", true, false},
        {"127.0.0.1", true, false},
        {"[::1]", true, false},
        {"localhost:3729", false, true},
        {"127.0.0.1:3729", false, true},
        {"[::1]:3729", false, true},
        {"builder.example", true, true},
        {"forwarded:8080", true, true},
        {"builder.example:3729", false, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        struct http_field fields[] = {{"host", table[i].host}};
        struct guard_head local = head_of("GET", "/", fields, 1, true),
                          tcp = head_of("GET", "/", fields, 1, false);
        assert_int_equal(judge(&local), table[i].unix_socket ? ERR_NONE : ERR_MISDIRECTED);
        assert_int_equal(judge(&tcp), table[i].tcp ? ERR_NONE : ERR_MISDIRECTED);
    }
}

static void test_number_of_hosts(void **state)
{
    struct http_field two[] = {{"Host", "localhost"}, {"hOST", "localhost"}};
    struct http_field none[] = {{"Accept", "*/*"}};
    struct guard_head head = head_of("GET", "/", two, 2, true);
    (void)state;
    assert_int_equal(judge(&head), ERR_INVALID_REQUEST);
    head = head_of("GET", "/", none, 1, true);
    assert_int_equal(judge(&head), ERR_INVALID_REQUEST);
}

static void test_foreign_pages(void **state)
{
    static const struct http_field table[] = {
        {"Origin", "http://evil.example"},
        {"Origin", "null"},
        {"Origin", ""},
        {"Origin", "https://127.0.0.1:3729"},
        {"Origin", "http://127.0.0.1:3730"},
        {"Origin", "http://127.0.0.1"},
        {"Origin", "http://localhost:3729"}, // another origin than the one asked
        {"Origin", "http://127.0.0.1:3729.evil.example"},
        {"Origin", "http://127.0.0.1:3729/"},
        {"Origin", "file://"},
        {"Origin", "chrome-extension://abcdef"},
        {"Referer", "http://evil.example/x"},
        {"Referer", "http://127.0.0.1:3729.evil.example/"},
        {"Referer", "http://evil.example/http://127.0.0.1:3729/"},
        {"Sec-Fetch-Site", "cross-site"},
        {"Sec-Fetch-Site", "same-site"},
        {"Sec-Fetch-Site", "SAME-ORIGIN"},
        {"Sec-Fetch-Site", "odd"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        for (int path = 0; path < 2; path++)
            for (int method = 0; method < 2; method++) {
                struct http_field fields[] = {{"Host", "127.0.0.1:3729"}, table[i]};
                struct guard_head head =
                    head_of(method ? "POST" : "GET", path ? "/v1/jobs" : "/", fields, 2, false);
                if (judge(&head) != ERR_FORBIDDEN_ORIGIN)
                    fail_msg("%s: %s was let in", table[i].name, table[i].value);
            }
}

static void test_own_page(void **state)
{
    static const struct {
        const char *method, *target;
        enum error_code code;
    } table[] = {
        {"GET", "/", ERR_NONE},
        {"GET", "/?x=1", ERR_NONE},
        {"GET", "/v1/jobs?limit=5", ERR_NONE},
        {"GET", "/v1/jobs/x/events", ERR_NONE},
        {"GET", "/v1/credentials", ERR_FORBIDDEN_ORIGIN},
        {"GET", "/v1/jobsx", ERR_FORBIDDEN_ORIGIN},
        {"POST", "/v1/jobs", ERR_FORBIDDEN_ORIGIN},
        {"DELETE", "/v1/jobs/x", ERR_FORBIDDEN_ORIGIN},
        {"OPTIONS", "/v1/jobs", ERR_FORBIDDEN_ORIGIN},
        {"HEAD", "/", ERR_FORBIDDEN_ORIGIN},
    };
    static const struct http_field senders[] = {
        {"Sec-Fetch-Site", "same-origin"},
        {"Origin", "http://127.0.0.1:3729"},
        {"Referer", "http://127.0.0.1:3729/"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        for (size_t s = 0; s < 3; s++) {
            struct http_field fields[] = {{"Host", "127.0.0.1:3729"}, senders[s]};
            struct guard_head head = head_of(table[i].method, table[i].target, fields, 2, false);
            assert_int_equal(judge(&head), table[i].code);
        }
    // typed by a person
    struct http_field typed[] = {{"Host", "127.0.0.1:3729"}, {"Sec-Fetch-Site", "none"}};
    struct guard_head head = head_of("GET", "/openapi.json", typed, 2, false);
    assert_int_equal(judge(&head), ERR_NONE);
    // one good sign does not outweigh a bad one
    struct http_field mixed[] = {
        {"Host", "127.0.0.1:3729"}, {"Sec-Fetch-Site", "same-origin"}, {"Origin", "http://evil.example"}};
    head = head_of("GET", "/", mixed, 3, false);
    assert_int_equal(judge(&head), ERR_FORBIDDEN_ORIGIN);
    struct http_field none_with_origin[] = {
        {"Host", "127.0.0.1:3729"}, {"Sec-Fetch-Site", "none"}, {"Origin", "http://evil.example"}};
    head = head_of("GET", "/", none_with_origin, 3, false);
    assert_int_equal(judge(&head), ERR_FORBIDDEN_ORIGIN);
}

static void test_framing(void **state)
{
    static const struct {
        struct http_field a, b;
        enum error_code code;
    } table[] = {
        {{"Content-Length", "5"}, {"Accept", "*/*"}, ERR_NONE},
        {{"Transfer-Encoding", "chunked"}, {"Accept", "*/*"}, ERR_NONE},
        {{"Transfer-Encoding", "Chunked"}, {"Accept", "*/*"}, ERR_NONE},
        {{"Content-Length", "5"}, {"Transfer-Encoding", "chunked"}, ERR_INVALID_REQUEST},
        {{"Content-Length", "5"}, {"content-length", "5"}, ERR_INVALID_REQUEST},
        {{"Content-Length", "5"}, {"Content-Length", "6"}, ERR_INVALID_REQUEST},
        {{"Content-Length", "5, 5"}, {"Accept", "*/*"}, ERR_INVALID_REQUEST},
        {{"Content-Length", "-1"}, {"Accept", "*/*"}, ERR_INVALID_REQUEST},
        {{"Content-Length", "+1"}, {"Accept", "*/*"}, ERR_INVALID_REQUEST},
        {{"Content-Length", "0x10"}, {"Accept", "*/*"}, ERR_INVALID_REQUEST},
        {{"Content-Length", ""}, {"Accept", "*/*"}, ERR_INVALID_REQUEST},
        {{"Content-Length", "99999999999999999999"}, {"Accept", "*/*"}, ERR_INVALID_REQUEST},
        {{"Transfer-Encoding", "identity"}, {"Accept", "*/*"}, ERR_INVALID_REQUEST},
        {{"Transfer-Encoding", "gzip, chunked"}, {"Accept", "*/*"}, ERR_INVALID_REQUEST},
        {{"Transfer-Encoding", "chunked, chunked"}, {"Accept", "*/*"}, ERR_INVALID_REQUEST},
        {{"Transfer-Encoding", "\x0b"
                               "chunked"},
         {"Accept", "*/*"},
         ERR_INVALID_REQUEST},
        {{"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "chunked"}, ERR_INVALID_REQUEST},
        {{"Transfer-Encoding", ""}, {"Accept", "*/*"}, ERR_INVALID_REQUEST},
        {{"Idempotency-Key", "a"}, {"Idempotency-Key", "b"}, ERR_INVALID_REQUEST},
        {{"Authorization", "Bearer a"}, {"Authorization", "Bearer b"}, ERR_INVALID_REQUEST},
        {{"X", "a\rb"}, {"Accept", "*/*"}, ERR_INVALID_REQUEST},
        {{"X", "a\x1b[31mb"}, {"Accept", "*/*"}, ERR_INVALID_REQUEST},
        {{"X ", "a"}, {"Accept", "*/*"}, ERR_INVALID_REQUEST},
        {{"", "a"}, {"Accept", "*/*"}, ERR_INVALID_REQUEST},
        {{"X(y)", "a"}, {"Accept", "*/*"}, ERR_INVALID_REQUEST},
        {{"X", "a\tb"}, {"Accept", "*/*"}, ERR_NONE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        struct http_field fields[] = {{"Host", "localhost"}, table[i].a, table[i].b};
        struct guard_head head = head_of("POST", "/v1/jobs", fields, 3, true);
        if (judge(&head) != table[i].code)
            fail_msg("row %zu: %s: %s", i, table[i].a.name, table[i].a.value);
    }
}

static void test_targets(void **state)
{
    static const struct {
        const char *target;
        enum error_code code;
    } table[] = {
        {"/", ERR_NONE},
        {"/v1/jobs?label=a%20b", ERR_NONE},
        {"/v1/contexts/sha256:abc", ERR_NONE},
        {"*", ERR_INVALID_REQUEST},
        {"", ERR_INVALID_REQUEST},
        {"http://localhost/", ERR_INVALID_REQUEST},
        {"//localhost/", ERR_INVALID_REQUEST},
        {"localhost:80", ERR_INVALID_REQUEST},
        {"/a%00b", ERR_INVALID_REQUEST},
        {"/jobs/%2e%2e/etc", ERR_INVALID_REQUEST},
        {"/%", ERR_INVALID_REQUEST},
        {"/a\\b", ERR_INVALID_REQUEST},
        {"/a;b", ERR_INVALID_REQUEST},
        {"/a#b", ERR_INVALID_REQUEST},
        {"/a\x7f", ERR_INVALID_REQUEST},
        {"/a\xc3\xa9", ERR_INVALID_REQUEST},
        {"/a?b=\x01", ERR_INVALID_REQUEST},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        struct http_field fields[] = {{"Host", "localhost"}};
        struct guard_head head = head_of("GET", table[i].target, fields, 1, true);
        if (judge(&head) != table[i].code)
            fail_msg("target \"%s\"", table[i].target);
    }
}

static void test_versions(void **state)
{
    static const char *const versions[] = {"HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/1.2", "http/1.1", ""};
    struct http_field fields[] = {{"Host", "localhost"}};
    (void)state;
    for (size_t i = 0; i < sizeof(versions) / sizeof(*versions); i++) {
        struct guard_head head = head_of("GET", "/", fields, 1, true);
        head.version = versions[i];
        assert_int_equal(judge(&head), ERR_INVALID_REQUEST);
    }
}

static void test_limits(void **state)
{
    struct http_field fields[GUARD_FIELDS_MAX + 1];
    AUTO_FREE char *target = mem_alloc(GUARD_TARGET_MAX + 2);
    (void)state;
    fields[0] = (struct http_field){"Host", "localhost"};
    for (size_t i = 1; i <= GUARD_FIELDS_MAX; i++)
        fields[i] = (struct http_field){"X", "y"};
    struct guard_head head = head_of("GET", "/", fields, GUARD_FIELDS_MAX, true);
    assert_int_equal(judge(&head), ERR_NONE);
    head = head_of("GET", "/", fields, GUARD_FIELDS_MAX + 1, true);
    assert_int_equal(judge(&head), ERR_TOO_LARGE);
    memset(target, 'a', GUARD_TARGET_MAX + 1);
    target[0] = '/';
    target[GUARD_TARGET_MAX + 1] = '\0';
    head = head_of("GET", target, fields, 1, true);
    assert_int_equal(judge(&head), ERR_TOO_LARGE);
    head = head_of("GET", "/", fields, 1, true);
    head.head_bytes = GUARD_HEAD_BYTES_MAX + 1;
    assert_int_equal(judge(&head), ERR_TOO_LARGE);
}

// What the parser in front of us dropped or joined is missing from the sum.
static void test_head_adds_up(void **state)
{
    struct http_field fields[] = {{"Host", "localhost"}, {"Accept", "*/*"}};
    struct guard_head head = head_of("GET", "/", fields, 2, true);
    (void)state;
    assert_int_equal(judge(&head), ERR_NONE);
    head.head_bytes -= 1; // a bare line feed
    assert_int_equal(judge(&head), ERR_INVALID_REQUEST);
    head.blanks -= 1; // … or no space behind one colon
    assert_int_equal(judge(&head), ERR_NONE);
    head.blanks = 0;
    head.head_bytes -= 1;
    assert_int_equal(judge(&head), ERR_NONE);
    head.head_bytes += 4; // bytes behind a NUL
    assert_int_equal(judge(&head), ERR_INVALID_REQUEST);
    head.blanks += 4; // surplus white space
    assert_int_equal(judge(&head), ERR_INVALID_REQUEST);
}

static void test_content_length(void **state)
{
    struct http_field length[] = {{"Host", "localhost"}, {"content-length", "17"}};
    struct http_field chunked[] = {{"Transfer-Encoding", "chunked"}};
    (void)state;
    assert_int_equal(guard_content_length(length, 2), 17);
    assert_int_equal(guard_content_length(length, 1), 0);
    assert_int_equal(guard_content_length(chunked, 1), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hostile_hosts),   cmocka_unit_test(test_own_hosts),
        cmocka_unit_test(test_number_of_hosts), cmocka_unit_test(test_foreign_pages),
        cmocka_unit_test(test_own_page),        cmocka_unit_test(test_framing),
        cmocka_unit_test(test_targets),         cmocka_unit_test(test_versions),
        cmocka_unit_test(test_limits),          cmocka_unit_test(test_head_adds_up),
        cmocka_unit_test(test_content_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
