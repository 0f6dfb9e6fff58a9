// SPDX-License-Identifier: Apache-2.0
//
// Queries, parameters, media types and ids of a request, without a server.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/id.h"
#include "base/mem.h"
#include "http/media.h"
#include "http/request_state.h"

static void test_query(void **state)
{
    static const struct {
        const char *target, *name, *value; // value NULL: absent
    } table[] = {
        {"/", "a", NULL},
        {"/?", "a", NULL},
        {"/?a", "a", ""},
        {"/?a=", "a", ""},
        {"/?a=1", "a", "1"},
        {"/?b=2&a=1", "a", "1"},
        {"/?&&a=1&", "a", "1"},
        {"/?a=x%3Dy%26z", "a", "x=y&z"},
        {"/?a=x=y", "a", "x=y"},
        {"/?a=one+two%20three%2B", "a", "one two three+"},
        {"/?%61=1", "a", "1"},
        {"/?a=%C3%A9", "a", "\xc3\xa9"},
        {"/?ref=ghcr.io/a/b:1", "ref", "ghcr.io/a/b:1"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        struct error err = ERROR_INIT;
        struct request *request = request_new(table[i].target);
        assert_int_equal(request_parse_query(request, &err), 0);
        const char *value = request_query(request, table[i].name);
        if (table[i].value)
            assert_string_equal(value, table[i].value);
        else
            assert_null(value);
        assert_string_equal(request_path(request), "/");
        request_free(request);
    }
}

static void test_bad_queries(void **state)
{
    static const char *const table[] = {"/?a=%",   "/?a=%4",  "/?a=%zz",    "/?a=%00",   "/?a=%0a",
                                        "/?%7f=1", "/?a=%ff", "/?a=%C0%80", "/?a=1&a=2", "/?a=1&%61=2"};
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        struct request *request = request_new(table[i]);
        if (request_parse_query(request, &err) == 0)
            fail_msg("%s was accepted", table[i]);
        assert_int_equal(err.code, ERR_INVALID_REQUEST);
        request_free(request);
    }
}

static void test_too_many_parameters(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct strbuf target = STRBUF_INIT(4096);
    (void)state;
    strbuf_puts(&target, "/?");
    for (int i = 0; i <= REQUEST_QUERY_MAX; i++)
        strbuf_printf(&target, "a%d=1&", i);
    struct request *request = request_new(strbuf_text(&target));
    assert_int_equal(request_parse_query(request, &err), -1);
    request_free(request);
    strbuf_free(&target);
}

static void test_check_query_and_numbers(void **state)
{
    static const char *const allowed[] = {"a", "n", NULL}, *const fewer[] = {"a", NULL};
    struct error err = ERROR_INIT;
    struct request *request = request_new("/?a=1&n=50&");
    int64_t n;
    (void)state;
    assert_int_equal(request_parse_query(request, &err), 0);
    assert_int_equal(request_check_query(request, allowed, &err), 0);
    assert_int_equal(request_query_int(request, "n", 1, 100, 7, &n, &err), 0);
    assert_int_equal(n, 50);
    assert_int_equal(request_query_int(request, "absent", 1, 100, 7, &n, &err), 0);
    assert_int_equal(n, 7);
    assert_int_equal(request_query_int(request, "n", 1, 49, 7, &n, &err), -1);
    assert_non_null(strstr(err.detail, "\"n\" must be a number from 1 to 49"));
    error_clear(&err);
    assert_int_equal(request_check_query(request, fewer, &err), -1);
    assert_non_null(strstr(err.detail, "\"n\""));
    error_clear(&err);
    request_free(request);
}

static void test_params(void **state)
{
    static const struct route route = {.method = "GET", .path = "/v1/{kind}/x/{id}"};
    struct request *request = request_new("/v1/jobs/x/sha256:00?q=1");
    (void)state;
    request_set_params(request, &route);
    assert_string_equal(request_param(request, "kind"), "jobs");
    assert_string_equal(request_param(request, "id"), "sha256:00");
    assert_null(request_param(request, "i"));
    assert_null(request_param(request, "idx"));
    request_free(request);
}

static void test_request_ids(void **state)
{
    static const struct {
        const char *wanted;
        bool echoed;
    } table[] = {
        {"abc-1.2_X", true},
        {"", false},
        {"a b", false},
        {"a\"b", false},
        {NULL, false},
        {"0123456789012345678901234567890123456789012345678901234567890123", true},
        {"01234567890123456789012345678901234567890123456789012345678901234", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        struct request *request = request_new("/");
        request_set_id(request, table[i].wanted);
        if (table[i].echoed)
            assert_string_equal(request_id(request), table[i].wanted);
        else
            assert_true(id_valid(request_id(request)));
        request_free(request);
    }
}

static void test_accept(void **state)
{
    static const char *const offered[] = {"application/json", "text/event-stream", "text/plain", NULL};
    static const struct {
        const char *accept;
        int choice;
    } table[] = {
        {NULL, 0},
        {"", 0},
        {"*/*", 0},
        {"text/plain", 2},
        {"TEXT/Plain", 2},
        {"text/*", 1},
        {"image/png", -1},
        {"text/html,application/xhtml+xml,*/*;q=0.8", 0},
        {"text/event-stream, */*;q=0.1", 1},
        {"text/event-stream, */*", 1}, // named beats any
        {"application/json;q=0.5, text/plain", 2},
        {"application/json;q=0, */*", 1}, // said not to be wanted
        {"text/plain;q=0.001", 2},
        {"text/plain;q=0", -1},
        {"text/plain;q=0.000", -1},
        {"text/plain; charset=utf-8; q=0.9 , application/json;q=0.8", 2},
        {",,;;,text/plain", 2},
        {"garbage", -1},
        {"text", -1},
        {"text/plainer", -1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        if (media_choose(table[i].accept, offered) != table[i].choice)
            fail_msg("Accept: %s gives %d", table[i].accept, media_choose(table[i].accept, offered));
}

static void test_content_type(void **state)
{
    (void)state;
    assert_true(media_is("application/json", "application/json"));
    assert_true(media_is(" Application/JSON ; charset=utf-8", "application/json"));
    assert_false(media_is("application/jsonl", "application/json"));
    assert_false(media_is("application/json, text/plain", "application/json"));
    assert_false(media_is("application/json x", "application/json"));
    assert_false(media_is("", "application/json"));
}

static void test_header_names_fold_case(void **state)
{
    struct request *request = request_new("/");
    (void)state;
    request->fields[0] = (struct http_field){"idempotency-KEY", "k"};
    request->n_fields = 1;
    assert_string_equal(request_header(request, "Idempotency-Key"), "k");
    assert_null(request_header(request, "Idempotency"));
    request_free(request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_bad_queries),
        cmocka_unit_test(test_too_many_parameters),
        cmocka_unit_test(test_check_query_and_numbers),
        cmocka_unit_test(test_params),
        cmocka_unit_test(test_request_ids),
        cmocka_unit_test(test_accept),
        cmocka_unit_test(test_content_type),
        cmocka_unit_test(test_header_names_fold_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
