// SPDX-License-Identifier: Apache-2.0
//
// The grammar of distribution/reference, with Docker Hub's short forms, as a table of what is read and what
// is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "oci/reference.h"

#define HEX64 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define HEX128 HEX64 HEX64
#define D256 "sha256:" HEX64
#define D512 "sha512:" HEX128
#define TEN "abcdefghij"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define TAG128 HUNDRED TEN TEN "abcdefgh"

struct good {
    const char *text;
    const char *registry;
    const char *repository;
    const char *tag;
    const char *digest;
};

static const struct good good[] = {
    // Docker Hub's short forms
    {"node", "docker.io", "library/node", NULL, NULL},
    {"node:lts-slim", "docker.io", "library/node", "lts-slim", NULL},
    {"grafana/grafana", "docker.io", "grafana/grafana", NULL, NULL},
    {"user/image:1", "docker.io", "user/image", "1", NULL},
    {"docker.io/node", "docker.io", "library/node", NULL, NULL},
    {"docker.io/library/node", "docker.io", "library/node", NULL, NULL},
    {"docker.io/user/x", "docker.io", "user/x", NULL, NULL},
    {"index.docker.io/node:1", "docker.io", "library/node", "1", NULL},
    {"registry-1.docker.io/user/x", "docker.io", "user/x", NULL, NULL},
    {"registry.hub.docker.com/user/x", "docker.io", "user/x", NULL, NULL},
    {"library/node", "docker.io", "library/node", NULL, NULL},
    {"a/b/c", "docker.io", "a/b/c", NULL, NULL},
    {"foo/foo_bar.com:8080", "docker.io", "foo/foo_bar.com", "8080", NULL},
    {"test.com:tag", "docker.io", "library/test.com", "tag", NULL},
    {"test:5000", "docker.io", "library/test", "5000", NULL},
    {"localhost", "docker.io", "library/localhost", NULL, NULL},
    {"sha256:" HEX64, "docker.io", "library/sha256", HEX64, NULL},
    {"lowercase:Uppercase", "docker.io", "library/lowercase", "Uppercase", NULL},
    // hosts
    {"localhost/x", "localhost", "x", NULL, NULL},
    {"LocalHost/x", "localhost", "x", NULL, NULL},
    {"localhost:5000/x", "localhost:5000", "x", NULL, NULL},
    {"localhost:5000/x:tag", "localhost:5000", "x", "tag", NULL},
    {"host:80/x", "host:80", "x", NULL, NULL},
    {"gcr.io/project/image", "gcr.io", "project/image", NULL, NULL},
    {"GCR.io/project/image", "gcr.io", "project/image", NULL, NULL},
    {"a.b-c.example:443/x/y/z/w:t", "a.b-c.example:443", "x/y/z/w", "t", NULL},
    {"127.0.0.1:5000/x", "127.0.0.1:5000", "x", NULL, NULL},
    {"192.168.0.1/x", "192.168.0.1", "x", NULL, NULL},
    {"[::1]/x", "[::1]", "x", NULL, NULL},
    {"[::1]:5000/x", "[::1]:5000", "x", NULL, NULL},
    {"[2001:DB8::1]:5000/x/y:t", "[2001:db8::1]:5000", "x/y", "t", NULL},
    {"xn--n3h.com/myimage:xn--n3h.com", "xn--n3h.com", "myimage", "xn--n3h.com", NULL},
    {"xn--7o8h.com:5000/x", "xn--7o8h.com:5000", "x", NULL, NULL},
    {"registry.example.com/docker.io/x", "registry.example.com", "docker.io/x", NULL, NULL},
    {"gcr.io.evil.com/x", "gcr.io.evil.com", "x", NULL, NULL},
    {"us-docker.pkg.dev/p/r/i@" D256, "us-docker.pkg.dev", "p/r/i", NULL, D256},
    // separators in paths
    {"do__cker/x", "docker.io", "do__cker/x", NULL, NULL},
    {"a--b/x---y", "docker.io", "a--b/x---y", NULL, NULL},
    {"foo_bar/x.y", "docker.io", "foo_bar/x.y", NULL, NULL},
    {"test.com/a_b__c-d--e.f", "test.com", "a_b__c-d--e.f", NULL, NULL},
    // digests
    {"node@" D256, "docker.io", "library/node", NULL, D256},
    {"node:1@" D256, "docker.io", "library/node", "1", D256},
    {"test:5000/repo:tag@" D256, "test:5000", "repo", "tag", D256},
    {"test:5000/repo@" D512, "test:5000", "repo", NULL, D512},
    {"[::1]:5000/repo:tag@" D256, "[::1]:5000", "repo", "tag", D256},
    // limits
    {"x:" TAG128, "docker.io", "library/x", TAG128, NULL},
    {"x:_", "docker.io", "library/x", "_", NULL},
};

static const char *const bad[] = {
    "",
    " ",
    ":justtag",
    "@" D256,
    "repo@sha256:fff",
    "repo@sha256:" HEX64 "0",
    "repo@md5:d41d8cd98f00b204e9800998ecf8427e",
    "repo@SHA256:" HEX64,
    "repo@sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
    "repo@",
    "validname@invaliddigest:ff",
    "x@" D256 "@" D256,
    HEX64,
    "Uppercase:tag",
    "Uppercase/lowercase",
    "test:5000/Uppercase/x",
    "a/",
    "/a",
    "/",
    "a//b",
    "gcr.io/",
    "gcr.io//x",
    "a/b/",
    "-foo",
    "foo-",
    "foo-/bar",
    "_foo",
    "foo_",
    "foo/_bar",
    "foo..bar",
    "foo___bar",
    "foo._bar",
    "foo.-bar",
    ".foo",
    "foo/.",
    "foo/..",
    "..",
    "../x",
    "foo/../bar",
    "a^b",
    "aa/asdf$$^/aa",
    "foo bar",
    "foo\nbar",
    "foo\tbar",
    "n\xc3\xb6"
    "de",
    "x:",
    "x:.tag",
    "x:-tag",
    "x:ta g",
    "x:ta/g",
    "x:feature/abc",
    "r.io/x:feature/abc",
    "x:" TAG128 "x",
    "https://gcr.io/x",
    "docker://x",
    "http://localhost:5000/x",
    "host:/x",
    "host:port/x",
    "host:0/x",
    "host:65536/x",
    "host:5000:6000/x",
    "-host.com/x",
    "host-.com/x",
    "ho_st.com/x",
    "host..com/x",
    "host.com./x",
    ".host.com/x",
    "[::1]",
    "[]/x",
    "[::1/x",
    "[::1]x/y",
    "[::g]/x",
    "[fe80::1%eth0]/x",
    "[::1]:/x",
    "[::1]:70000/x",
    "xn--n3h.com/foo_",
    "\xe2\x98\x83.com/x",
    "::1/x",
    "host.com:5000/",
    "user@host.com/x",
    "user:pass@host.com/x",
    "x?y",
    "x#y",
    "x%2fy",
    "x\\y",
    HUNDRED HUNDRED HUNDRED,
    "host.com/" HUNDRED HUNDRED TEN TEN TEN TEN TEN,
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        struct reference ref;
        if (reference_parse(&ref, good[i].text, &err) < 0)
            fail_msg("%s: %s", good[i].text, err.detail);
        assert_string_equal(ref.registry, good[i].registry);
        assert_string_equal(ref.repository, good[i].repository);
        if (good[i].tag)
            assert_string_equal(ref.tag, good[i].tag);
        else
            assert_null(ref.tag);
        assert_string_equal(ref.digest.text, good[i].digest ? good[i].digest : "");
        reference_clear(&ref);
    }
}

static void test_b2_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        struct reference ref;
        if (reference_parse(&ref, bad[i], &err) == 0)
            fail_msg("'%s' was taken", bad[i]);
        assert_int_equal(err.code, ERR_REFERENCE_INVALID);
        assert_non_null(strstr(err.detail, "reference"));
        assert_null(ref.registry);
    }
}

// The short form of Docker Hub is not a host, however much it looks like one.
static void test_b1_short_form(void **state)
{
    (void)state;
    static const char *const names[] = {"grafana/grafana", "user/image", "myhost/app", "registry/app"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        struct reference ref;
        assert_int_equal(reference_parse(&ref, names[i], &err), 0);
        assert_string_equal(ref.registry, "docker.io");
        assert_string_equal(ref.repository, names[i]);
        reference_clear(&ref);
    }
}

// What is canonical is read back as itself.
static void test_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        struct reference ref, again;
        assert_int_equal(reference_parse(&ref, good[i].text, &err), 0);
        AUTO_FREE char *text = reference_format(&ref);
        assert_int_equal(reference_parse(&again, text, &err), 0);
        AUTO_FREE char *text_again = reference_format(&again);
        assert_string_equal(text, text_again);
        assert_string_equal(ref.registry, again.registry);
        assert_string_equal(ref.repository, again.repository);
        reference_clear(&ref);
        reference_clear(&again);
    }
}

static void test_format(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct reference ref, copy;
    assert_int_equal(reference_parse(&ref, "node:1@" D256, &err), 0);
    reference_copy(&copy, &ref);
    AUTO_FREE char *text = reference_format(&copy);
    assert_string_equal(text, "docker.io/library/node:1@" D256);
    AUTO_FREE char *pinned = reference_format_digest(&copy, &ref.digest);
    assert_string_equal(pinned, "docker.io/library/node@" D256);
    reference_clear(&ref);
    reference_clear(&copy);
}

// A digest is never answered with "latest" (it decides), and only a name alone means "latest".
static void test_b9_digest_decides(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"node", "latest", "latest"},
        {"node:1", "1", "1"},
        {"node@" D256, NULL, D256},
        {"node:1@" D256, "1", D256},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        struct reference ref;
        assert_int_equal(reference_parse(&ref, cases[i][0], &err), 0);
        if (cases[i][1])
            assert_string_equal(reference_tag(&ref), cases[i][1]);
        else
            assert_null(reference_tag(&ref));
        assert_string_equal(reference_target(&ref), cases[i][2]);
        reference_clear(&ref);
    }
}

static void test_repository(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct reference ref;
    assert_int_equal(reference_parse_repository(&ref, "gcr.io/p/x", &err), 0);
    reference_clear(&ref);
    assert_int_equal(reference_parse_repository(&ref, "gcr.io/p/x:1", &err), -1);
    error_clear(&err);
    assert_int_equal(reference_parse_repository(&ref, "gcr.io/p/x@" D256, &err), -1);
    assert_int_equal(err.code, ERR_REFERENCE_INVALID);
}

static void test_hosts(void **state)
{
    (void)state;
    assert_string_equal(reference_host("docker.io"), "registry-1.docker.io");
    assert_string_equal(reference_host("gcr.io"), "gcr.io");
    assert_string_equal(reference_host("docker.io.evil.com"), "docker.io.evil.com");
}

static void test_hints(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"Team/App:1", "team/app"},   {"https://gcr.io/p/x", "gcr.io/p/x"},
        {"app:feature/login", "'-'"}, {"r.io/app:feature/login", "'-'"},
        {"app@latest", "sha256:"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        struct reference ref;
        assert_int_equal(reference_parse(&ref, cases[i][0], &err), -1);
        assert_non_null(err.hint);
        if (!strstr(err.hint, cases[i][1]))
            fail_msg("'%s': the hint is '%s'", cases[i][0], err.hint);
    }
}

// Exactly 255 characters of registry and repository are fine, one more is not.
static void test_name_limit(void **state)
{
    (void)state;
    char text[300] = "r.io/";
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct reference ref;
    memset(text + 5, 'a', 250);
    assert_int_equal(reference_parse(&ref, text, &err), 0);
    reference_clear(&ref);
    text[255] = 'a';
    assert_int_equal(reference_parse(&ref, text, &err), -1);
    assert_non_null(strstr(err.detail, "255"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_b1_short_form), cmocka_unit_test(test_good),
        cmocka_unit_test(test_b2_bad),        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_format),        cmocka_unit_test(test_b9_digest_decides),
        cmocka_unit_test(test_repository),    cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_hints),         cmocka_unit_test(test_name_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
