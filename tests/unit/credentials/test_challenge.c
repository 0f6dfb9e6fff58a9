// SPDX-License-Identifier: Apache-2.0
//
// WWW-Authenticate as servers write it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "credentials/challenge.h"

static struct challenges parse(const char *first, const char *second)
{
    struct http_headers headers = {0};
    struct challenges list;
    http_headers_add(&headers, "www-authenticate", first);
    if (second)
        http_headers_add(&headers, "www-authenticate", second);
    challenges_parse(&list, &headers);
    http_headers_clear(&headers);
    return list;
}

struct row {
    const char *header;
    enum challenge_scheme scheme;
    const char *realm, *service, *scope, *error;
};

static const struct row rows[] = {
    {"Bearer "
     "realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",scope=\"repository:a/b:pull\"",
     CHALLENGE_BEARER, "https://auth.docker.io/token", "registry.docker.io", "repository:a/b:pull", NULL},
    {"bearer REALM=\"https://a/t\" , Service = \"s\"", CHALLENGE_BEARER, "https://a/t", "s", NULL, NULL},
    {"BEARER realm=https://a/t,service=s,scope=repository:x:pull", CHALLENGE_BEARER, "https://a/t", "s",
     "repository:x:pull", NULL},
    {"Bearer realm=\"https://a/t?x=1\"", CHALLENGE_BEARER, "https://a/t?x=1", NULL, NULL, NULL},
    {"Bearer realm=\"a \\\"quoted\\\" b\"", CHALLENGE_BEARER, "a \"quoted\" b", NULL, NULL, NULL},
    {"Bearer foo=bar, realm=\"r\", x=\"y\", error=\"insufficient_scope\"", CHALLENGE_BEARER, "r", NULL, NULL,
     "insufficient_scope"},
    {"Bearer realm=\"unterminated", CHALLENGE_BEARER, "unterminated", NULL, NULL, NULL},
    {"Bearer realm=\"first\", realm=\"second\"", CHALLENGE_BEARER, "first", NULL, NULL, NULL},
    {"Bearer realm=\"a,b=c\",service=\"s\"", CHALLENGE_BEARER, "a,b=c", "s", NULL, NULL},
    {"  ,, Basic realm=\"x\"", CHALLENGE_BASIC, "x", NULL, NULL, NULL},
    {"Basic", CHALLENGE_BASIC, NULL, NULL, NULL, NULL},
    {"Bearer", CHALLENGE_BEARER, NULL, NULL, NULL, NULL},
    {"Digest realm=\"x\", nonce=\"y\"", CHALLENGE_OTHER, "x", NULL, NULL, NULL},
};

static void check(const char *got, const char *wanted)
{
    if (wanted)
        assert_string_equal(got, wanted);
    else
        assert_null(got);
}

static void R04_odd_spellings(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct challenges list = parse(rows[i].header, NULL);
        assert_int_equal(list.count, 1);
        assert_int_equal(list.items[0].scheme, rows[i].scheme);
        check(list.items[0].realm, rows[i].realm);
        check(list.items[0].service, rows[i].service);
        check(list.items[0].scope, rows[i].scope);
        check(list.items[0].error, rows[i].error);
        challenges_clear(&list);
    }
}

static void R03_several_challenges(void **state)
{
    (void)state;
    struct challenges list = parse("Negotiate, Basic realm=\"a\", Bearer realm=\"b\",service=\"c\"", NULL);
    assert_int_equal(list.count, 3);
    assert_int_equal(list.items[0].scheme, CHALLENGE_OTHER);
    assert_int_equal(list.items[1].scheme, CHALLENGE_BASIC);
    assert_string_equal(list.items[1].realm, "a");
    assert_int_equal(list.items[2].scheme, CHALLENGE_BEARER);
    assert_string_equal(list.items[2].service, "c");
    challenges_clear(&list);

    list = parse("Negotiate YIIabc==, Bearer realm=b", "Basic realm=\"x\"");
    assert_int_equal(list.count, 3);
    assert_int_equal(list.items[1].scheme, CHALLENGE_BEARER);
    assert_string_equal(list.items[1].realm, "b");
    assert_int_equal(list.items[2].scheme, CHALLENGE_BASIC);
    challenges_clear(&list);
}

// Nothing that a server sends may do more than be skipped.
static void R04_nonsense(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "=",
                                        "\"",
                                        ",,,",
                                        "====",
                                        "a=b",
                                        "\"\"=\"\"",
                                        "Bearer =",
                                        "Bearer realm=",
                                        "Bearer realm=\"\\",
                                        "Bearer \"realm\"",
                                        "\x01\x02 \xff=\xfe",
                                        "B r=\"\","};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct challenges list = parse(texts[i], texts[i]);
        challenges_clear(&list);
    }
    char *many = mem_alloc(64 << 10);
    memset(many, ' ', (64 << 10) - 1);
    for (size_t i = 0; i + 2 < (64 << 10); i += 2)
        many[i] = 'x';
    many[(64 << 10) - 1] = '\0';
    struct challenges list = parse(many, NULL);
    assert_int_equal(list.count, CHALLENGES_MAX);
    challenges_clear(&list);
    free(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(R04_odd_spellings),
        cmocka_unit_test(R03_several_challenges),
        cmocka_unit_test(R04_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
