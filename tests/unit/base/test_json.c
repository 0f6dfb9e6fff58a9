// SPDX-License-Identifier: Apache-2.0
#include "base_test.h"

#include "base/json.h"
#include "base/strbuf.h"

static const struct json_limits tiny = {.bytes = 1000, .depth = 3, .values = 10};

static json_t *parse(const char *text, struct error *err)
{
    return json_parse(text, strlen(text), &tiny, err);
}

static void test_parse_and_text(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    AUTO_JSON json_t *value = parse(" {\"b\": [1, \"x/y\\n\"], \"a\": null}", &err);
    assert_non_null(value);
    AUTO_FREE char *text = json_text(value), *canonical = json_text_canonical(value);
    assert_string_equal(text, "{\"b\":[1,\"x/y\\n\"],\"a\":null}");
    assert_string_equal(canonical, "{\"a\":null,\"b\":[1,\"x/y\\n\"]}");
    AUTO_JSON json_t *scalar = parse("\"just text\"", &err);
    assert_true(json_is_string(scalar));
    json_t *none = NULL;
    json_free_ptr(&none);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "{", "{}x", "{\"a\":1,\"a\":2}", "[1,]", "{a:1}", "nul", "\"\\u0000\"", "\"\xff\"", "01",
        "99999999999999999999", "[1 2]", "\"", "1e999", "{\"a\":1}{\"b\":2}",
    };
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_fails(&err, ERR_INVALID_REQUEST, "not valid JSON: ", !parse(bad[i], &err));
    assert_fails(&err, ERR_INVALID_REQUEST, "(line 2, column 5)", !parse("{\n\"a\" 1}", &err));
    assert_null(json_parse("{}\0", 3, &tiny, &err));
    assert_int_equal(err.code, ERR_INVALID_REQUEST);
}

static void test_faults_do_not_quote_the_text(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    assert_null(parse("{\"password\": \"hunter\" \"canary\"}", &err));
    assert_null(strstr(err.detail, "canary"));
    assert_null(parse("{\"password\": canary}", &err));
    assert_null(strstr(err.detail, "canary"));
}

static void test_limits(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    AUTO_JSON json_t *deep = parse("[[[1]]]", &err), *wide = parse("[1,2,3,4,5,6,7,8,9]", &err);
    AUTO_JSON json_t *object = parse("{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,\"i\":9}", &err);
    AUTO_JSON json_t *quoted = parse("[\"[[[[[[[[,,,,,,,,,,,,,\\\"[[[[[{{{{{\"]", &err);
    assert_true(deep && wide && object && quoted);
    assert_fails(&err, ERR_TOO_LARGE, "deeper than 3 levels", !parse("[[[[1]]]]", &err));
    assert_fails(&err, ERR_TOO_LARGE, "deeper than 3 levels", !parse("{\"a\":[{\"b\":{}}]}", &err));
    assert_fails(&err, ERR_TOO_LARGE, "more than 10 values", !parse("[1,2,3,4,5,6,7,8,9,10]", &err));
    assert_fails(&err, ERR_TOO_LARGE, "more than 10 values", !parse("[[],[],[],[],[],[]]", &err));
    AUTO_FREE char *big = mem_alloc(1001);
    memset(big, ' ', 1001);
    assert_fails(&err, ERR_TOO_LARGE, "more than 1000 bytes", !json_parse(big, 1001, &tiny, &err));
}

static void test_sibling_depth_is_not_added_up(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    AUTO_JSON json_t *value = parse("[[[]],[[]]]", &err);
    assert_non_null(value);
    assert_fails(&err, ERR_INVALID_REQUEST, "not valid JSON", !parse("]]]]]", &err));
}

// The cost of a text of many empty arrays is bounded before jansson sees it.
static void test_bomb_is_refused(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_INIT(4 << 20);
    strbuf_putc(&text, '[');
    while (strbuf_puts(&text, "[],") == 0)
        ;
    assert_fails(&err, ERR_TOO_LARGE, "more than 100000 values",
                 !json_parse(text.data, text.len, &json_limits_manifest, &err));
}

static void test_borrowed_accessors(void **state)
{
    (void)state;
    AUTO_JSON json_t *value = json_pack("{s:s,s:i,s:b,s:n}", "s", "text", "i", 7, "b", 1, "n");
    assert_string_equal(json_get_string(value, "s"), "text");
    assert_null(json_get_string(value, "i"));
    assert_null(json_get_string(value, "absent"));
    assert_null(json_get_string(NULL, "s"));
    assert_int_equal(json_get_int(value, "i", -1), 7);
    assert_int_equal(json_get_int(value, "s", -1), -1);
    assert_true(json_get_bool(value, "b", false));
    assert_true(json_get_bool(value, "n", true));
    assert_false(json_get_bool(value, "absent", false));
}

static void test_pointers(void **state)
{
    (void)state;
    AUTO_FREE char *joined = json_pointer_join("/a", "x/y~z"), *index = json_pointer_index("/a", 12);
    assert_string_equal(joined, "/a/x~1y~0z");
    assert_string_equal(index, "/a/12");
}

static void test_reader_reads(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    AUTO_JSON json_t *value = json_pack("{s:s,s:i,s:b,s:{},s:[],s:n,s:i}", "s", "text", "i", 7, "b", 0, "o", "a", "n",
                                        "x", 1);
    struct json_reader r;
    json_reader_init(&r, value, "", &err);
    assert_true(json_read_has(&r, "n"));
    assert_false(json_read_has(&r, "absent"));
    assert_string_equal(json_read_string(&r, "s", true), "text");
    assert_null(json_read_string(&r, "absent", false));
    assert_int_equal(json_read_int(&r, "i", 0, 10, 3), 7);
    assert_int_equal(json_read_int(&r, "absent", 0, 10, 3), 3);
    assert_false(json_read_bool(&r, "b", true));
    assert_true(json_read_bool(&r, "absent", true));
    assert_true(json_is_object(json_read_object(&r, "o", true)));
    assert_true(json_is_array(json_read_array(&r, "a", true)));
    assert_false(json_read_null(&r, "s"));
    assert_true(json_read_null(&r, "n"));
    assert_int_equal(json_integer_value(json_read_any(&r, "x")), 1);
    assert_works(&err, json_reader_end(&r));
}

static void test_reader_refuses_what_is_left(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    AUTO_JSON json_t *value = json_pack("{s:i,s:i}", "known", 1, "un/known", 2);
    struct json_reader r;
    json_reader_init(&r, value, "/config", &err);
    json_read_int(&r, "known", 0, 10, 0);
    assert_true(json_read_has(&r, "un/known")); // to look is not to read
    assert_int_equal(json_reader_end(&r), -1);
    assert_int_equal(err.code, ERR_INVALID_REQUEST);
    assert_string_equal(err.pointer, "/config/un~1known");
    assert_string_equal(err.detail, "/config/un~1known: unknown field");
}

// One wrong member each; the detail must name it.
static void read_one(struct json_reader *r, const char *key)
{
    switch (key[0]) {
    case 's':
        json_read_string(r, key, true);
        break;
    case 'i':
        assert_int_equal(json_read_int(r, key, 1, 10, 5), 5);
        break;
    case 'b':
        assert_true(json_read_bool(r, key, true));
        break;
    case 'o':
        assert_null(json_read_object(r, key, true));
        break;
    default:
        assert_null(json_read_array(r, key, true));
        break;
    }
}

static void test_reader_names_the_fault(void **state)
{
    (void)state;
    static const struct {
        const char *key, *text, *detail;
    } rows[] = {
        {"s", "{\"s\":1}", "/s: must be a text"},          {"s", "{}", "/s: is required"},
        {"s", "{\"s\":null}", "/s: may not be null"},      {"i", "{\"i\":1.5}", "/i: must be a whole number"},
        {"i", "{\"i\":11}", "/i: must lie between 1 and 10"}, {"i", "{\"i\":0}", "/i: must lie between 1 and 10"},
        {"b", "{\"b\":\"no\"}", "/b: must be true or false"}, {"o", "{\"o\":[]}", "/o: must be an object"},
        {"o", "{}", "/o: is required"},                    {"a", "{\"a\":{}}", "/a: must be an array"},
        {"a", "[]", "the body: must be an object"},        {"a", "null", "the body: must be an object"},
    };
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        AUTO_JSON json_t *value = parse(rows[i].text, &err);
        struct json_reader r;
        json_reader_init(&r, value, "", &err);
        read_one(&r, rows[i].key);
        assert_int_equal(json_reader_end(&r), -1);
        assert_string_equal(err.detail, rows[i].detail);
        error_clear(&err);
    }
}

static void test_reader_is_sticky(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    AUTO_JSON json_t *value = json_pack("{s:s,s:i,s:n}", "a", "x", "b", 2, "n");
    struct json_reader r;
    json_reader_init(&r, value, "", &err);
    json_read_fail(&r, "a", "is %s", "odd");
    assert_null(json_read_string(&r, "a", true));
    assert_int_equal(json_read_int(&r, "b", 0, 10, 9), 9);
    assert_false(json_read_has(&r, "b"));
    assert_false(json_read_null(&r, "n"));
    assert_null(json_read_any(&r, "b"));
    json_read_fail(&r, NULL, "later");
    assert_int_equal(json_reader_end(&r), -1);
    assert_string_equal(err.detail, "/a: is odd");
    assert_string_equal(err.pointer, "/a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_and_text),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_faults_do_not_quote_the_text),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_sibling_depth_is_not_added_up),
        cmocka_unit_test(test_bomb_is_refused),
        cmocka_unit_test(test_borrowed_accessors),
        cmocka_unit_test(test_pointers),
        cmocka_unit_test(test_reader_reads),
        cmocka_unit_test(test_reader_refuses_what_is_left),
        cmocka_unit_test(test_reader_names_the_fault),
        cmocka_unit_test(test_reader_is_sticky),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
