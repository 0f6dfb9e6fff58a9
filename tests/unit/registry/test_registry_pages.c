// SPDX-License-Identifier: Apache-2.0
//
// Link headers (RFC 8288) as registries write them, and the address that a reference's registry has.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "net/host.h"
#include "registry/registry_pages.h"

static void R98_links(void **state)
{
    (void)state;
    static const struct {
        const char *value, *next;
    } rows[] = {
        {"</v2/a/tags/list?last=b&n=2>; rel=\"next\"", "/v2/a/tags/list?last=b&n=2"},
        {"<https://r/x>;rel=next", "https://r/x"},
        {"<a>; title=\"x, y; rel=next\"; REL = \"next\"", "a"},
        {"<a>; rel=\"prev\", <b>; rel=\"next\"", "b"},
        {"<a>; rel=\"prev\"", NULL},
        {"<a>", NULL},
        {"", NULL},
        {"<", NULL},
        {"<a", NULL},
        {"<>; rel=next", NULL},
        {"a; rel=next", NULL},
        {"<<a>; rel=next", "<a"},
        {"<a>; rel=nextdoor", "a"}, // sloppy, and harmless: the policy judges the URL
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct http_headers headers = {0};
        http_headers_add(&headers, "link", rows[i].value);
        AUTO_FREE char *next = registry_pages_next(&headers);
        if (rows[i].next)
            assert_string_equal(next, rows[i].next);
        else
            assert_null(next);
        http_headers_clear(&headers);
    }
}

// References and credentials say docker.io, requests go elsewhere.
static void hosts(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    unsetenv("HOME");
    struct host_table *table = host_table_new();
    struct credentials *credentials = credentials_new(&(struct credentials_options){.hosts = table}, &err);
    struct registry *registry =
        registry_new(&(struct registry_options){.hosts = table, .credentials = credentials});
    static const struct {
        const char *host, *base;
    } rows[] = {
        {"docker.io", "https://registry-1.docker.io/v2/"}, {"ghcr.io", "https://ghcr.io/v2/"},
        {"localhost:5000", "http://localhost:5000/v2/"},   {"[::1]:5000", "http://[::1]:5000/v2/"},
        {"r.example:443", "https://r.example/v2/"},        {"10.0.0.1", "https://10.0.0.1/v2/"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct registry_scope scope = {
            .registry = registry, .host = rows[i].host, .repository = "library/node"};
        struct registry_call call;
        assert_int_equal(registry_call_open(&call, &scope, CREDENTIAL_PULL, NULL, &err), 0);
        AUTO_FREE char *base = url_format(&call.base);
        assert_string_equal(base, rows[i].base);
        struct http_call http;
        registry_call_begin(&call, &http, "GET", "manifests/%s", "lts");
        assert_string_equal(http.url.path, "/v2/library/node/manifests/lts");
        http_call_clear(&http);
        registry_call_close(&call);
    }
    static const char *const bad[] = {"../x", "A", "a//b", "a/", ""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CLEANUP(error_clear) struct error why = ERROR_INIT;
        struct registry_scope scope = {.registry = registry, .host = "r.example", .repository = bad[i]};
        struct registry_call call;
        assert_int_equal(registry_call_open(&call, &scope, CREDENTIAL_PULL, NULL, &why), -1);
        assert_int_equal(why.code, ERR_REFERENCE_INVALID);
    }
    registry_free(registry);
    credentials_free(credentials);
    host_table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(R98_links), cmocka_unit_test(hosts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
