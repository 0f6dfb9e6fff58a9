// SPDX-License-Identifier: Apache-2.0
//
// The URL policy: who may lead where, with or without credentials; and the host table behind it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "net/host.h"
#include "net/url.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

static struct host_table *table;

static int set_up(void **state)
{
    (void)state;
    table = host_table_new();
    host_table_add(table, &(struct host_settings){.name = mem_strdup("plain.example"), .plain_http = true});
    host_table_add(table, &(struct host_settings){.name = mem_strdup("inside.example"), .private_ok = true});
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    host_table_free(table);
    return 0;
}

struct outcome {
    bool allowed;
    struct url_verdict verdict;
    char *target; // as it is after the check
};

static struct outcome check(const char *origin_text, const char *target_text, enum url_kind kind)
{
    struct outcome outcome = {0};
    struct url origin, target;
    struct error err = ERROR_INIT;
    assert_int_equal(url_parse(&origin, origin_text, &err), 0);
    if (url_resolve(&target, &origin, target_text, &err) == 0) {
        outcome.allowed = url_policy_check(&origin, &target, kind, table, &outcome.verdict, &err) == 0;
        outcome.target = url_format(&target);
        url_clear(&target);
    }
    if (!outcome.allowed)
        assert_int_equal(err.code, ERR_REGISTRY_PROTOCOL);
    url_clear(&origin);
    error_clear(&err);
    return outcome;
}

enum { REFUSED, BARE, OWN }; // no; without credentials; with

static void expect(const char *origin, const char *target, enum url_kind kind, int expected)
{
    struct outcome o = check(origin, target, kind);
    int got = !o.allowed ? REFUSED : o.verdict.credentials ? OWN : BARE;
    if (got != expected)
        fail_msg("%s -> %s (kind %d): %d instead of %d", origin, target, kind, got, expected);
    free(o.target);
}

static void test_redirects(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        int get, body;
    } cases[] = {
        {"/v2/other", OWN, OWN},
        {"https://reg.example/x", OWN, OWN},
        {"https://REG.example:443/x", OWN, OWN},
        {"https://cdn.example/x", BARE, REFUSED},
        {"https://reg.example:8443/x", BARE, REFUSED}, // another port is another origin
        {"https://a.reg.example/x", BARE, REFUSED},
        {"https://reg.example.evil.com/x", BARE, REFUSED},
        {"http://cdn.example/x", REFUSED, REFUSED},   // https never becomes http
        {"http://plain.example/x", REFUSED, REFUSED}, // not even where plain http is configured
        {"http://localhost:5000/x", REFUSED, REFUSED},
        {"http://reg.example/x", OWN, OWN},           // same host: led back to https
        {"http://reg.example:8080/x", BARE, REFUSED}, // https, at that port
        {"file:///etc/passwd", REFUSED, REFUSED},
        {"gopher://reg.example/", REFUSED, REFUSED},
        {"https://user@reg.example/x", REFUSED, REFUSED},
        {"//cdn.example/x", BARE, REFUSED},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        expect("https://reg.example/v2/", cases[i].target, URL_REDIRECT, cases[i].get);
        expect("https://reg.example/v2/", cases[i].target, URL_REDIRECT_BODY, cases[i].body);
        expect("https://reg.example/v2/", cases[i].target, URL_LINK, cases[i].body);
    }
}

// Twelve shapes of an upload Location.
static void test_r27_r28_r29_r34_upload_locations(void **state)
{
    static const struct {
        const char *origin, *location, *result; // NULL: refused
        bool credentials;
    } cases[] = {
        {"https://reg:5000/v2/a/blobs/uploads/", "/v2/a/blobs/uploads/1?_state=s",
         "https://reg:5000/v2/a/blobs/uploads/1?_state=s", true},
        {"https://reg:5000/v2/a/blobs/uploads/", "1", "https://reg:5000/v2/a/blobs/uploads/1", true},
        {"https://reg:5000/v2/", "https://reg:5000/u?a=b", "https://reg:5000/u?a=b", true},
        {"https://reg:5000/v2/", "//reg:5000/u", "https://reg:5000/u", true},
        {"https://reg:5000/v2/", "https://reg/u", "https://reg:5000/u", true},     // the port was dropped
        {"https://reg:5000/v2/", "http://reg/u", "https://reg:5000/u", true},      // and the scheme
        {"https://reg:5000/v2/", "http://reg:5000/u", "https://reg:5000/u", true}, // behind a TLS proxy
        {"https://reg/v2/", "http://reg/u", "https://reg/u", true},
        {"http://127.0.0.1:5000/v2/", "http://127.0.0.1/u", "http://127.0.0.1:5000/u", true},
        {"https://reg/v2/", "https://uploads.example/u", "https://uploads.example/u", false},
        {"https://reg/v2/", "https://reg:8443/u", "https://reg:8443/u", false},
        {"https://reg/v2/", "http://uploads.example/u", NULL, false},
        {"https://reg/v2/", "https://token@reg/u", NULL, false},
        {"http://10.0.0.1:5000/v2/", "http://10.0.0.2:5000/u", NULL, false},
        {"http://127.0.0.1:5000/v2/", "https://uploads.example/u", "https://uploads.example/u", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct outcome o = check(cases[i].origin, cases[i].location, URL_UPLOAD_LOCATION);
        assert_int_equal(o.allowed, cases[i].result != NULL);
        if (o.allowed) {
            assert_string_equal(o.target, cases[i].result);
            assert_int_equal(o.verdict.credentials, cases[i].credentials);
        }
        free(o.target);
    }
}

static void test_r08_r09_realms(void **state)
{
    static const char *const refused[] = {
        "http://auth.example/t",    "http://reg.evil/t", "http://10.0.0.1/t",
        "http://169.254.169.254/t", "http://[::]/t",     "http://0.0.0.0/t",
        "http://localhost:1/t",     "file:///t",         "https://u:p@auth.example/t"};
    static const char *const elsewhere[] = {"https://auth.example/t?service=x", "https://reg.example:444/t",
                                            "https://169.254.169.254/t", "https://127.0.0.1/t",
                                            "https://10.0.0.1/t"};
    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++)
        expect("https://reg.example/v2/", refused[i], URL_TOKEN_REALM, REFUSED);
    for (size_t i = 0; i < COUNT(elsewhere); i++) {
        struct outcome o = check("https://reg.example/v2/", elsewhere[i], URL_TOKEN_REALM);
        assert_true(o.allowed);
        assert_false(o.verdict.credentials);
        assert_false(o.verdict.private_allowed); // the connected address decides
        free(o.target);
    }
    expect("https://reg.example/v2/", "/token", URL_TOKEN_REALM, OWN);
    expect("http://127.0.0.1:5000/v2/", "http://127.0.0.1:5000/t", URL_TOKEN_REALM, OWN);
    expect("http://127.0.0.1:5000/v2/", "http://localhost:5001/t", URL_TOKEN_REALM,
           BARE); // both literal loopback
    expect("http://plain.example/v2/", "http://auth.example/t", URL_TOKEN_REALM, REFUSED);
}

static void test_plain_http_registries(void **state)
{
    (void)state;
    expect("http://plain.example/v2/", "http://store.example/x", URL_REDIRECT, BARE);
    expect("http://plain.example/v2/", "http://store.example/x", URL_UPLOAD_LOCATION, REFUSED);
    expect("http://other.example/v2/", "http://plain.example/x", URL_UPLOAD_LOCATION, BARE);
    expect("http://plain.example/v2/", "https://plain.example/x", URL_REDIRECT, BARE);
    expect("http://127.0.0.1:5000/v2/", "http://127.0.0.1:9000/x", URL_UPLOAD_LOCATION, BARE);
}

static void test_r86_foreign_layers(void **state)
{
    (void)state;
    expect("https://reg.example/v2/", "https://mcr.example/layer", URL_FOREIGN_LAYER, BARE);
    expect("https://reg.example/v2/", "https://reg.example/layer", URL_FOREIGN_LAYER,
           BARE); // never credentials
    expect("https://reg.example/v2/", "http://mcr.example/layer", URL_FOREIGN_LAYER, REFUSED);
    expect("https://reg.example/v2/", "http://plain.example/layer", URL_FOREIGN_LAYER, BARE);
    expect("http://localhost:5000/v2/", "http://mcr.example/layer", URL_FOREIGN_LAYER, REFUSED);
    struct outcome o = check("https://reg.example/v2/", "https://reg.example/layer", URL_FOREIGN_LAYER);
    assert_false(o.verdict.private_allowed);
    free(o.target);
}

static void test_private_addresses(void **state)
{
    (void)state;
    struct outcome o = check("https://reg.example/", "https://cdn.example/", URL_REDIRECT);
    assert_false(o.verdict.private_allowed);
    free(o.target);
    o = check("https://reg.example/", "https://inside.example/", URL_REDIRECT);
    assert_true(o.verdict.private_allowed);
    free(o.target);
    o = check("https://reg.example/", "https://not-inside.example/", URL_REDIRECT);
    assert_false(o.verdict.private_allowed);
    free(o.target);
    o = check("https://reg.example/", "/x", URL_REDIRECT);
    assert_true(o.verdict.private_allowed);
    free(o.target);
    o = check("http://127.0.0.1:1/", "http://localhost:2/", URL_REDIRECT);
    assert_true(o.verdict.private_allowed);
    free(o.target);
}

// Names that look like the registry's are not the registry's: 50 of them, for every kind.
static void test_look_alikes(void **state)
{
    static const char *const hosts[] = {
        "reg.example.com.evil.com",
        "reg.example.com-evil.com",
        "reg.example.comevil.com",
        "evil-reg.example.com",
        "evilreg.example.com",
        "evil.com.reg.example",
        "reg-example.com",
        "reg.examp1e.com",
        "reg.example.co",
        "reg.example.com.",
        "reg.example.com.co",
        "xreg.example.com",
        "regx.example.com",
        "re.g.example.com",
        "reg.reg.example.com",
        "www.reg.example.com",
        "reg.example.net",
        "reg.example",
        "example.com",
        "com",
        "reg",
        "registry.example.com",
        "reg.example.com.localhost",
        "localhost",
        "reg.example.com.internal",
        "reg.example.com.nip.io",
        "reg.example.c0m",
        "rég",
        "reg.example.cam",
        "reg.exarnple.com",
        "r3g.example.com",
        "reg_.example.com",
        "_reg.example.com",
        "reg.example-com",
        "reg.exam-ple.com",
        "1reg.example.com",
        "reg1.example.com",
        "reg.example.com.1x",
        "xn--reg-example.com",
        "reg.xn--example.com",
        "reg.example.com.s3.amazonaws.com",
        "reg.example.com.azurecr.io",
        "azurecr.io.reg.example.com.evil.com",
        "a.b.c.reg.example.com",
        "reg.example.org",
        "reg.example.come",
        "reg.example.comm",
        "oreg.example.com",
        "reg.eexample.com",
        "reg.xample.com",
        "rreg.example.com",
    };
    char target[256];
    (void)state;
    assert_true(COUNT(hosts) >= 50);
    for (size_t i = 0; i < COUNT(hosts); i++)
        for (int kind = URL_REDIRECT; kind <= URL_FOREIGN_LAYER; kind++) {
            if (strcmp(hosts[i], "reg.example.com.") == 0)
                continue; // the absolute spelling of the same name
            snprintf(target, sizeof target, "https://%s/v2/", hosts[i]);
            struct outcome o = check("https://reg.example.com/v2/", target, (enum url_kind)kind);
            assert_false(o.allowed && o.verdict.credentials);
            free(o.target);
        }
}

static void test_messages_keep_secrets(void **state)
{
    struct url origin, target;
    struct error err = ERROR_INIT;
    struct url_verdict verdict;
    (void)state;
    assert_int_equal(url_parse(&origin, "https://reg.example/", &err), 0);
    assert_int_equal(url_parse(&target, "http://evil.example/x?X-Amz-Signature=canary", &err), 0);
    assert_int_equal(url_policy_check(&origin, &target, URL_REDIRECT, table, &verdict, &err), -1);
    assert_null(strstr(err.detail, "canary"));
    assert_non_null(strstr(err.detail, "evil.example"));
    url_clear(&origin);
    url_clear(&target);
    error_clear(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_redirects, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_r27_r28_r29_r34_upload_locations, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_r08_r09_realms, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_plain_http_registries, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_r86_foreign_layers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_private_addresses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_look_alikes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_messages_keep_secrets, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
