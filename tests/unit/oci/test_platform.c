// SPDX-License-Identifier: Apache-2.0
//
// Reading platforms, when one serves for another, and which child of an index is chosen.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "oci/manifest.h"
#include "oci/platform.h"

static void test_parse(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"linux/amd64", "linux/amd64"},
        {"linux/arm/v7", "linux/arm/v7"},
        {"Linux/AMD64", "linux/amd64"},
        {"linux/arm64/v8", "linux/arm64/v8"},
        {"windows(10.0.17763)/amd64", "windows(10.0.17763)/amd64"},
        {"wasi/wasm", "wasi/wasm"},
        {"linux/x86_64", "linux/x86_64"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        struct platform p, again;
        assert_int_equal(platform_parse(&p, cases[i][0], &err), 0);
        AUTO_FREE char *text = platform_format(&p);
        assert_string_equal(text, cases[i][1]);
        AUTO_JSON json_t *value = platform_to_json(&p);
        assert_int_equal(platform_from_json(&again, value, &err), 0);
        AUTO_FREE char *text_again = platform_format(&again);
        assert_string_equal(text_again, cases[i][1]);
        platform_clear(&p);
        platform_clear(&again);
    }
}

static void test_parse_bad(void **state)
{
    (void)state;
    static const char *const cases[] = {"",
                                        "linux",
                                        "/amd64",
                                        "linux/",
                                        "linux//v7",
                                        "linux/amd64/",
                                        "a/b/c/d",
                                        "linux/a b",
                                        "linux/\xc3\xb6",
                                        "linux/amd64\n",
                                        "windows()/amd64",
                                        "windows(1/amd64",
                                        "(1)/amd64",
                                        "linux/amd64/v\x1b[31m"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        struct platform p;
        if (platform_parse(&p, cases[i], &err) == 0)
            fail_msg("'%s' was taken", cases[i]);
        assert_int_equal(err.code, ERR_INVALID_REQUEST);
        assert_non_null(err.hint);
        assert_null(strchr(err.detail, '\x1b'));
    }
}

static void test_matches(void **state)
{
    (void)state;
    static const struct {
        const char *wanted;
        const char *have;
        bool matches;
    } cases[] = {
        {"linux/amd64", "linux/amd64", true},
        {"linux/x86_64", "linux/amd64", true},
        {"linux/amd64", "linux/amd64/v1", true},
        {"linux/amd64", "linux/amd64/v3", true},
        {"linux/amd64/v1", "linux/amd64", true},
        {"linux/amd64/v2", "linux/amd64", false},
        {"linux/aarch64", "linux/arm64", true},
        {"linux/arm64", "linux/arm64/v8", true},
        {"linux/arm64/v8", "linux/arm64", true},
        {"linux/arm64/8", "linux/arm64/v8", true},
        {"linux/arm64/v9", "linux/arm64", false},
        {"linux/arm", "linux/arm/v7", true},
        {"linux/arm/v7", "linux/arm", true},
        {"linux/arm", "linux/arm/v6", true},
        {"linux/arm/v6", "linux/arm/v7", false},
        {"linux/arm/v7", "linux/arm/v6", false},
        {"linux/armhf", "linux/arm/v7", true},
        {"linux/armel", "linux/arm/v7", false},
        {"linux/386", "linux/i686", true},
        {"linux/386", "linux/amd64", false},
        {"linux/amd64", "windows/amd64", false},
        {"macos/arm64", "darwin/arm64", true},
        {"linux/arm64", "linux/arm", false},
        {"unknown/unknown", "unknown/unknown", false},
        {"windows(10.0.17763)/amd64", "windows(10.0.17763.5576)/amd64", true},
        {"windows(10.0.17763)/amd64", "windows(10.0.177631)/amd64", false},
        {"windows(10.0.20348)/amd64", "windows(10.0.17763.5576)/amd64", false},
        {"windows/amd64", "windows(10.0.17763.5576)/amd64", true},
        {"windows(10.0.17763)/amd64", "windows/amd64", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        struct platform wanted, have;
        assert_int_equal(platform_parse(&wanted, cases[i].wanted, &err), 0);
        assert_int_equal(platform_parse(&have, cases[i].have, &err), 0);
        if (platform_matches(&wanted, &have) != cases[i].matches)
            fail_msg("%s for %s", cases[i].have, cases[i].wanted);
        platform_clear(&wanted);
        platform_clear(&have);
    }
}

// children: platforms of an index, "-" for a child without one, "!" in front for an attestation with that
// platform.
static void make_index(struct manifest *ret, const char *const *children)
{
    struct strbuf text = STRBUF_INIT(1 << 16);
    strbuf_puts(&text, "{\"schemaVersion\":2,\"manifests\":[");
    for (size_t i = 0; children[i]; i++) {
        const char *name = children[i] + (children[i][0] == '!');
        strbuf_printf(&text,
                      "%s{\"mediaType\":\"" MEDIA_OCI_MANIFEST "\",\"size\":%zu,\"digest\":\"sha256:%064zx\"",
                      i ? "," : "", i, i);
        if (children[i][0] == '!')
            strbuf_puts(&text, ",\"annotations\":{\"vnd.docker.reference.type\":\"attestation-manifest\"}");
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        struct platform p;
        if (strcmp(name, "-") != 0 && platform_parse(&p, name, &err) == 0) {
            AUTO_JSON json_t *value = platform_to_json(&p);
            AUTO_FREE char *json = json_text(value);
            strbuf_printf(&text, ",\"platform\":%s", json);
            platform_clear(&p);
        }
        strbuf_putc(&text, '}');
    }
    strbuf_puts(&text, "]}");
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    if (manifest_parse(ret, text.data, text.len, NULL, &err) < 0)
        fail_msg("%s", err.detail);
    strbuf_free(&text);
}

static void test_r84_find(void **state)
{
    (void)state;
    static const struct {
        const char *wanted;
        const char *children[8];
        int chosen; // -1: none
    } cases[] = {
        {"linux/amd64", {"linux/arm64", "linux/amd64"}, 1},
        {"linux/amd64", {"linux/amd64", "linux/amd64"}, 0}, // duplicates: the first
        {"linux/amd64", {"unknown/unknown", "linux/amd64"}, 1},
        {"linux/amd64", {"!linux/amd64", "linux/amd64"}, 1},
        {"linux/amd64", {"-", "linux/amd64"}, 1},
        {"linux/amd64", {"-"}, -1},
        {"linux/amd64", {"linux/amd64/v3", "linux/amd64/v2"}, 1}, // the lowest above
        {"linux/amd64", {"linux/amd64/v3", "linux/amd64"}, 1},
        {"linux/amd64/v3", {"linux/amd64", "linux/amd64/v2"}, 1}, // the highest below
        {"linux/amd64/v3", {"linux/amd64", "linux/amd64/v4"}, 0},
        {"linux/amd64/v2", {"linux/amd64/v3"}, -1},
        {"linux/arm/v7", {"linux/arm/v5", "linux/arm/v6", "linux/arm64"}, 1},
        {"linux/arm/v6", {"linux/arm/v7", "linux/arm/v5"}, 1},
        {"linux/arm/v6", {"linux/arm/v7"}, -1},
        {"linux/arm", {"linux/arm/v5", "linux/arm/v6", "linux/arm/v7"}, 2},
        {"linux/arm", {"linux/arm/v5", "linux/arm/v6"}, 1},
        {"linux/arm64", {"linux/arm/v7", "linux/arm64/v8"}, 1},
        {"linux/arm64", {"linux/arm64/v9", "linux/arm64"}, 1},
        {"linux/s390x", {"linux/amd64", "linux/arm64"}, -1},
        {"windows(10.0.20348)/amd64", {"windows(10.0.17763.1)/amd64", "windows(10.0.20348.2)/amd64"}, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        struct manifest index;
        struct platform wanted;
        make_index(&index, cases[i].children);
        assert_int_equal(platform_parse(&wanted, cases[i].wanted, &err), 0);
        const struct descriptor *found = manifest_find_platform(&index, &wanted, &err);
        int chosen = found ? (int)(found - index.children) : -1;
        if (chosen != cases[i].chosen)
            fail_msg("case %zu: %s chose %d", i, cases[i].wanted, chosen);
        assert_int_equal(err.code, found ? ERR_NONE : ERR_PLATFORM_MISSING);
        platform_clear(&wanted);
        manifest_clear(&index);
    }
}

static void test_missing_lists(void **state)
{
    (void)state;
    static const char *const children[] = {"linux/amd64", "linux/arm64/v8", "unknown/unknown", "-", NULL};
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct manifest index;
    struct platform wanted;
    make_index(&index, children);
    assert_int_equal(platform_parse(&wanted, "linux/s390x", &err), 0);
    assert_null(manifest_find_platform(&index, &wanted, &err));
    assert_string_equal(
        err.detail,
        "the image has no linux/s390x; it has linux/amd64, linux/arm64/v8 and 1 without a platform");
    platform_clear(&wanted);
    manifest_clear(&index);
}

static void test_default(void **state)
{
    (void)state;
    struct platform p;
    platform_default(&p);
    assert_string_equal(p.os, "linux");
    assert_true(platform_matches(&p, &p));
    // The name of the specification, not of uname(2).
    assert_string_not_equal(p.architecture, "x86_64");
    assert_string_not_equal(p.architecture, "aarch64");
    platform_clear(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),    cmocka_unit_test(test_parse_bad),     cmocka_unit_test(test_matches),
        cmocka_unit_test(test_r84_find), cmocka_unit_test(test_missing_lists), cmocka_unit_test(test_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
