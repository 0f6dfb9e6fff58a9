// SPDX-License-Identifier: Apache-2.0
#include "base_test.h"

#include <errno.h>

static void test_set_replaces_and_answers_minus_one(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    assert_int_equal(error_set(&err, ERR_RATE_LIMITED, "first %d", 1), -1);
    assert_true(err.retryable);
    assert_int_equal(err.retry_after_ms, -1);
    error_hint(&err, "wait");
    error_hint(&err, "wait %s", "longer");
    assert_string_equal(err.hint, "wait longer");
    error_upstream_set(&err, "r.example", "GET", "/v2/", 429, "TOOMANYREQUESTS");
    assert_int_equal(error_set(&err, ERR_CONFLICT, "then: %s", err.detail), -1);
    assert_string_equal(err.detail, "then: first 1");
    assert_false(err.retryable);
    assert_null(err.hint);
    assert_null(err.upstream.registry);
}

static void test_errno_is_translated(void **state)
{
    (void)state;
    static const struct {
        int errnum;
        enum error_code code;
        const char *detail;
    } rows[] = {
        {ENOSPC, ERR_NO_SPACE, "writing x: No space left on device"},
        {EDQUOT, ERR_NO_SPACE, "writing x: Disk quota exceeded"},
        {ENOENT, ERR_PATH_NOT_FOUND, "writing x: No such file or directory"},
        {ELOOP, ERR_PATH_NOT_FOUND, "writing x: Too many levels of symbolic links"},
        {EACCES, ERR_FORBIDDEN, "writing x: Permission denied"},
        {EXDEV, ERR_PATH_NOT_ALLOWED, "writing x: Invalid cross-device link"},
        {EISDIR, ERR_UNSUPPORTED_FILE, "writing x: Is a directory"},
        {EMFILE, ERR_OVERLOADED, "writing x: Too many open files"},
        {EIO, ERR_INTERNAL, "writing x: Input/output error"},
    };
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(error_set_errno(&err, rows[i].errnum, "writing %s", "x"), -1);
        assert_int_equal(err.code, rows[i].code);
        assert_string_equal(err.detail, rows[i].detail);
    }
}

static void test_wrap_puts_context_before(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    error_set(&err, ERR_NO_SPACE, "disk full");
    assert_int_equal(error_wrap(&err, "layer %d", 3), -1);
    assert_string_equal(err.detail, "layer 3: disk full");
    assert_int_equal(err.code, ERR_NO_SPACE);
}

static void test_upstream_loses_its_query(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    error_set(&err, ERR_REGISTRY_ERROR, "no");
    error_upstream_set(&err, "r.example", "PUT", "/v2/a/blobs/uploads/1?_state=secret", 500, "BAD\033[31m");
    error_upstream_set(&err, "r.example", "PUT", err.upstream.path, 500, err.upstream.oci_code);
    assert_string_equal(err.upstream.path, "/v2/a/blobs/uploads/1");
    assert_string_equal(err.upstream.oci_code, "BAD?[31m");
}

static void fill(struct error *err)
{
    error_set_pointer(err, ERR_REGISTRY_DENIED, "/targets/0", "refused");
    error_hint(err, "log in");
    error_upstream_set(err, "r.example", "POST", "/v2/", 403, "DENIED");
    err->retryable = true;
    err->retry_after_ms = 250;
}

static void assert_filled(const struct error *err)
{
    assert_int_equal(err->code, ERR_REGISTRY_DENIED);
    assert_string_equal(err->detail, "refused");
    assert_string_equal(err->hint, "log in");
    assert_string_equal(err->pointer, "/targets/0");
    assert_string_equal(err->upstream.registry, "r.example");
    assert_string_equal(err->upstream.method, "POST");
    assert_string_equal(err->upstream.path, "/v2/");
    assert_int_equal(err->upstream.status, 403);
    assert_string_equal(err->upstream.oci_code, "DENIED");
    assert_true(err->retryable);
}

static void test_move_and_copy(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error first = ERROR_INIT, second = ERROR_INIT;
    error_set(&second, ERR_INTERNAL, "goes");
    fill(&first);
    error_copy(&second, &first);
    assert_filled(&first);
    assert_filled(&second);
    assert_int_equal(second.retry_after_ms, 250);
    error_copy(&second, &second);
    error_clear(&first);
    assert_int_equal(first.code, ERR_NONE);
    assert_null(first.detail);
    error_move(&first, &second);
    assert_filled(&first);
    assert_int_equal(second.code, ERR_NONE);
    assert_int_equal(second.retry_after_ms, -1);
    assert_null(second.detail);
}

static void test_table_is_whole(void **state)
{
    (void)state;
    for (int i = ERR_NONE + 1; i < ERR_CODE_COUNT; i++) {
        enum error_code code = (enum error_code)i;
        assert_int_equal(error_from_wire(error_wire(code)), code);
        assert_true(error_title(code)[0]);
        assert_in_range(error_http_status(code), 400, 507);
        assert_in_range(error_exit_code(code), 1, 7);
    }
    assert_int_equal(error_from_wire("no-such-code"), ERR_NONE);
    assert_int_equal(error_from_wire(NULL), ERR_NONE);
}

static void test_problem_document(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    fill(&err);
    AUTO_JSON json_t *problem = error_to_json(&err, "/v1/jobs/1", "r1");
    AUTO_FREE char *text = json_text(problem);
    assert_string_equal(
        text, "{\"type\":\"/problems/registry-denied\",\"title\":\"The registry refused access\",\"status\":403,"
              "\"code\":\"registry-denied\",\"detail\":\"refused\",\"instance\":\"/v1/jobs/1\",\"request_id\":\"r1\","
              "\"retryable\":true,\"hint\":\"log in\",\"upstream\":{\"registry\":\"r.example\",\"method\":\"POST\","
              "\"path\":\"/v2/\",\"status\":403,\"oci_code\":\"DENIED\"},\"errors\":[{\"pointer\":\"/targets/0\","
              "\"code\":\"registry-denied\",\"detail\":\"refused\"}]}");
    CLEANUP(error_clear) struct error back = ERROR_INIT;
    error_from_json(&back, problem);
    assert_filled(&back);
}

static void test_problem_of_little(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT, back = ERROR_INIT;
    error_set(&err, ERR_INTERNAL, "x");
    AUTO_JSON json_t *problem = error_to_json(&err, NULL, NULL);
    assert_null(json_object_get(problem, "instance"));
    assert_null(json_object_get(problem, "request_id"));
    assert_null(json_object_get(problem, "upstream"));
    assert_null(json_object_get(problem, "errors"));
    assert_null(json_object_get(problem, "hint"));
    AUTO_JSON json_t *foreign = json_pack("{s:s}", "code", "of-the-future");
    error_from_json(&back, foreign);
    assert_int_equal(back.code, ERR_INTERNAL);
    error_from_json(&back, NULL);
    assert_int_equal(back.code, ERR_INTERNAL);
}

static void test_problem_survives_any_bytes(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    error_set(&err, ERR_PATH_NOT_FOUND, "file \xff\xfe.txt is gone");
    AUTO_JSON json_t *problem = error_to_json(&err, NULL, NULL);
    AUTO_FREE char *text = json_text(problem);
    assert_non_null(strstr(text, "\"detail\":\"file ??.txt is gone\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_replaces_and_answers_minus_one),
        cmocka_unit_test(test_errno_is_translated),
        cmocka_unit_test(test_wrap_puts_context_before),
        cmocka_unit_test(test_upstream_loses_its_query),
        cmocka_unit_test(test_move_and_copy),
        cmocka_unit_test(test_table_is_whole),
        cmocka_unit_test(test_problem_document),
        cmocka_unit_test(test_problem_of_little),
        cmocka_unit_test(test_problem_survives_any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
