// SPDX-License-Identifier: Apache-2.0
//
// Refusals as errors: status, OCI code and subject decide; bodies of any kind give an error and no secret.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "registry/registry_error.h"

static bool leaks(const void *arg, const char *text)
{
    return strstr(text, arg) != NULL;
}

static void set(enum registry_subject subject, int status, const char *body, struct error *err)
{
    struct registry_failure failure = {
        .host = "r.example",
        .repository = "team/app",
        .method = "GET",
        .what = "the thing",
        .subject = subject,
        .source = "helper x",
        .leaks = leaks,
        .leaks_arg = "canary",
    };
    struct http_answer answer = {
        .status = status, .retry_after_ms = -1, .body = (char *)body, .body_len = strlen(body)};
    answer.url.path = mem_strdup("/v2/team/app/x");
    *err = ERROR_INIT;
    assert_int_equal(registry_error_set(&failure, &answer, err), -1);
    free(answer.url.path);
}

#define JSON(code) "{\"errors\":[{\"code\":\"" code "\",\"message\":\"m\"}]}"

static const struct {
    enum registry_subject subject;
    int status;
    const char *body;
    enum error_code code;
    bool retryable;
} rows[] = {
    {REGISTRY_MANIFEST_READ, 401, "", ERR_REGISTRY_DENIED, false},
    {REGISTRY_MANIFEST_READ, 403, JSON("DENIED"), ERR_REGISTRY_DENIED, false},
    {REGISTRY_MANIFEST_READ, 404, JSON("MANIFEST_UNKNOWN"), ERR_IMAGE_NOT_FOUND, false},
    {REGISTRY_MANIFEST_READ, 404, JSON("UNKNOWN"), ERR_IMAGE_NOT_FOUND, false},
    {REGISTRY_MANIFEST_READ, 404, "<html>", ERR_IMAGE_NOT_FOUND, false},
    {REGISTRY_BLOB_READ, 404, JSON("BLOB_UNKNOWN"), ERR_BLOB_UNKNOWN, false},
    {REGISTRY_BLOB_READ, 404, "", ERR_BLOB_UNKNOWN, false},
    {REGISTRY_BLOB_WRITE, 404, JSON("NAME_UNKNOWN"), ERR_IMAGE_NOT_FOUND, false},
    {REGISTRY_BLOB_WRITE, 413, "", ERR_TOO_LARGE, false},
    {REGISTRY_BLOB_WRITE, 400, JSON("DIGEST_INVALID"), ERR_DIGEST_MISMATCH, false},
    {REGISTRY_BLOB_WRITE, 500, JSON("DENIED"), ERR_REGISTRY_DENIED, false},
    {REGISTRY_BLOB_WRITE, 416, "", ERR_REGISTRY_PROTOCOL, false},
    {REGISTRY_MANIFEST_WRITE, 400, JSON("MANIFEST_BLOB_UNKNOWN"), ERR_BLOB_UNKNOWN, false},
    {REGISTRY_MANIFEST_WRITE, 404, JSON("MANIFEST_UNKNOWN"), ERR_BLOB_UNKNOWN, false},
    {REGISTRY_MANIFEST_WRITE, 400, JSON("MANIFEST_INVALID"), ERR_MANIFEST_UNSUPPORTED, false},
    {REGISTRY_MANIFEST_WRITE, 415, "", ERR_MANIFEST_UNSUPPORTED, false},
    {REGISTRY_MANIFEST_WRITE, 409, "", ERR_TARGET_EXISTS, false},
    {REGISTRY_MANIFEST_WRITE, 412, "", ERR_TARGET_EXISTS, false},
    {REGISTRY_LISTING, 429, "", ERR_REGISTRY_RATE_LIMIT, true},
    {REGISTRY_LISTING, 400, JSON("TOOMANYREQUESTS"), ERR_REGISTRY_RATE_LIMIT, true},
    {REGISTRY_LISTING, 408, "", ERR_REGISTRY_ERROR, true},
    {REGISTRY_LISTING, 499, "", ERR_REGISTRY_ERROR, true},
    {REGISTRY_LISTING, 500, "", ERR_REGISTRY_ERROR, true},
    {REGISTRY_LISTING, 522, "", ERR_REGISTRY_ERROR, true},
    {REGISTRY_LISTING, 501, "", ERR_REGISTRY_ERROR, false},
    {REGISTRY_LISTING, 505, "", ERR_REGISTRY_ERROR, false},
    {REGISTRY_PING, 200, "<html>", ERR_REGISTRY_PROTOCOL, false},
    {REGISTRY_PING, 302, "", ERR_REGISTRY_PROTOCOL, false},
    {REGISTRY_PING, 418, "", ERR_REGISTRY_PROTOCOL, false},
};

static void codes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CLEANUP(error_clear) struct error err;
        set(rows[i].subject, rows[i].status, rows[i].body, &err);
        if (err.code != rows[i].code || err.retryable != rows[i].retryable)
            fail_msg("row %zu: %s (%d): %s", i, error_wire(err.code), err.retryable, err.detail);
        assert_int_equal(err.upstream.status, rows[i].status);
        assert_string_equal(err.upstream.registry, "r.example");
        assert_string_equal(err.upstream.path, "/v2/team/app/x");
        assert_non_null(strstr(err.detail, "team/app"));
    }
}

static void bodies(void **state)
{
    (void)state;
    static const struct {
        const char *body, *shown; // NULL: nothing of it
    } shapes[] = {
        {JSON("A_CODE"), "A_CODE: m"},
        {"{\"errors\":{\"code\":\"ONE\",\"message\":\"m\"}}", "ONE: m"},
        {"{\"code\":\"lower\",\"message\":\"m\"}", "LOWER: m"},
        {"{\"errors\":[{\"code\":\"X; rm -rf\",\"message\":\"m\"}]}", "(X: m)"},
        {"{\"errors\":[{\"message\":\"\\u001b[31mred\\n\"}]}", "[31mred"},
        {"{\"errors\":[null]}", NULL},
        {"{\"errors\":7}", NULL},
        {"{\"message\":[1]}", NULL},
        {"<html>secret page</html>", NULL},
        {"<html><head><TITLE>400 No \033certificate</TITLE></head><body>page</body></html>", "(400 No"},
        {"<html><title>without an end", NULL},
        {"<html><title>\n</title>", NULL},
        {"<html><title></title>", NULL},
        {"plain text\nsecond line", "plain text"},
        {"  \n", NULL},
        {"{\"errors\": [{\"code\": \"CUT", NULL},
        {"{\"errors\":[{\"code\":\"A\",\"message\":\"you sent canary\"}]}", "(A)"},
        {"you sent canary", NULL},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        CLEANUP(error_clear) struct error err;
        set(REGISTRY_LISTING, 500, shapes[i].body, &err);
        if (shapes[i].shown ? !strstr(err.detail, shapes[i].shown) : strchr(err.detail, '(') != NULL)
            fail_msg("%s: %s", shapes[i].body, err.detail);
        assert_null(strstr(err.detail, "canary"));
        assert_null(strchr(err.detail, '\033'));
        assert_null(strchr(err.detail, '\n'));
    }
}

static void any_of_several(void **state)
{
    (void)state;
    const char *body = "{\"errors\":[{\"code\":\"A\"},{\"code\":\"tag_invalid\"}]}";
    struct http_answer answer = {.body = (char *)body, .body_len = strlen(body)};
    assert_true(registry_error_has_code(&answer, "TAG_INVALID"));
    assert_false(registry_error_has_code(&answer, "B"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes),
        cmocka_unit_test(bodies),
        cmocka_unit_test(any_of_several),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
