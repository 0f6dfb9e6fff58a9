// SPDX-License-Identifier: Apache-2.0
//
// api/openapi.yaml and the route table say the same, both ways; every reference within the contract leads
// somewhere.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "handlers/app.h"
#include "handlers/embedded.h"

static json_t *contract(void)
{
    json_t *document =
        json_loadb((const char *)embedded_openapi, embedded_openapi_len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(document);
    return document;
}

static const char *lower(const char *method, char ret[16])
{
    size_t len = strlen(method);
    for (size_t i = 0; i <= len; i++)
        ret[i] = (char)tolower((unsigned char)method[i]);
    return ret;
}

static const json_t *operation_of(const json_t *document, const struct route *route)
{
    char method[16];
    const json_t *path = json_object_get(json_object_get(document, "paths"), route->path);
    return json_object_get(path, lower(route->method, method));
}

static void test_every_route_is_promised(void **state)
{
    (void)state;
    AUTO_JSON json_t *document = contract();
    for (const struct route *route = app_routes; route->method; route++) {
        const json_t *operation = operation_of(document, route);
        if (!operation)
            fail_msg("%s %s is not in api/openapi.yaml", route->method, route->path);
        assert_string_equal(json_get_string(operation, "operationId"), route->operation);
        bool takes_body = json_object_get(operation, "requestBody") != NULL;
        if (takes_body != (route->body != BODY_NONE))
            fail_msg("%s: the body is not as promised", route->operation);
        const json_t *security = json_object_get(operation, "security");
        if ((security != NULL) != (route->right == RIGHT_NONE))
            fail_msg("%s: the security is not as promised", route->operation);
    }
}

static bool has_route(const char *method, const char *path)
{
    char small[16];
    for (const struct route *route = app_routes; route->method; route++)
        if (strcmp(lower(route->method, small), method) == 0 && strcmp(route->path, path) == 0)
            return true;
    return false;
}

static void test_every_promise_has_a_route(void **state)
{
    (void)state;
    AUTO_JSON json_t *document = contract();
    const char *path, *method;
    json_t *item, *operation;
    json_object_foreach(json_object_get(document, "paths"), path, item)
        json_object_foreach(item, method, operation) {
            if (!has_route(method, path))
                fail_msg("%s %s has no route", method, path);
            const json_t *responses = json_object_get(operation, "responses");
            if (!json_object_get(responses, "default"))
                fail_msg("%s: no problem response", json_get_string(operation, "operationId"));
        }
}

// Parameters of the path are declared, and only those.
static void test_path_parameters(void **state)
{
    (void)state;
    AUTO_JSON json_t *document = contract();
    for (const struct route *route = app_routes; route->method; route++) {
        const json_t *parameters = json_object_get(operation_of(document, route), "parameters");
        size_t i, declared = 0, wanted = 0;
        json_t *parameter;
        json_array_foreach(parameters, i, parameter) {
            const char *ref = json_get_string(parameter, "$ref");
            const char *in = json_get_string(parameter, "in");
            declared +=
                (ref && (strcmp(ref, "#/components/parameters/JobId") == 0 ||
                         strcmp(ref, "#/components/parameters/ContextDigest") == 0)) ||
                (in && strcmp(in, "path") == 0);
        }
        for (const char *at = route->path; (at = strchr(at, '{')) != NULL; at++)
            wanted++;
        assert_int_equal(declared, wanted);
    }
}

static const json_t *resolve(const json_t *document, const char *ref)
{
    AUTO_FREE char *copy = mem_strdup(ref);
    char *save = NULL;
    const json_t *at = document;
    for (char *part = strtok_r(copy + 2, "/", &save); part && at; part = strtok_r(NULL, "/", &save))
        at = json_object_get(at, part);
    return at;
}

static void check_references(const json_t *document, const json_t *value)
{
    const char *key;
    json_t *member;
    size_t i;
    json_object_foreach((json_t *)value, key, member) {
        if (strcmp(key, "$ref") == 0 && !resolve(document, json_string_value(member)))
            fail_msg("%s leads nowhere", json_string_value(member));
        check_references(document, member);
    }
    json_array_foreach(value, i, member)
        check_references(document, member);
}

static void test_references(void **state)
{
    (void)state;
    AUTO_JSON json_t *document = contract();
    check_references(document, document);
}

// Each code of the table is listed, so that the contract cannot fall behind.
static void test_problem_codes(void **state)
{
    (void)state;
    AUTO_JSON json_t *document = contract();
    const json_t *listed = json_object_get(resolve(document, "#/components/schemas/ProblemCode"), "examples");
    assert_int_equal(json_array_size(listed), ERR_CODE_COUNT - 1);
    for (int code = ERR_NONE + 1; code < ERR_CODE_COUNT; code++) {
        bool found = false;
        for (size_t i = 0; i < json_array_size(listed); i++)
            found = found || str_equal(json_string_value(json_array_get(listed, i)),
                                       error_wire((enum error_code)code));
        if (!found)
            fail_msg("%s is not in ProblemCode", error_wire((enum error_code)code));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_route_is_promised), cmocka_unit_test(test_every_promise_has_a_route),
        cmocka_unit_test(test_path_parameters),         cmocka_unit_test(test_references),
        cmocka_unit_test(test_problem_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
