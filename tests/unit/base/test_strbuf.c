// SPDX-License-Identifier: Apache-2.0
#include "base_test.h"

#include "base/strbuf.h"

static void test_appends(void **state)
{
    (void)state;
    CLEANUP(strbuf_free) struct strbuf buf = STRBUF_INIT(1000);
    assert_string_equal(strbuf_text(&buf), "");
    assert_int_equal(strbuf_puts(&buf, "a"), 0);
    assert_int_equal(strbuf_putc(&buf, 'b'), 0);
    assert_int_equal(strbuf_append(&buf, "cd\0e", 4), 0);
    assert_int_equal(strbuf_printf(&buf, "%d", 12), 0);
    assert_int_equal(buf.len, 8);
    assert_memory_equal(buf.data, "abcd\0e12", 9);
    assert_int_equal(strbuf_append(&buf, NULL, 0), 0);
    assert_false(buf.overflow);
}

static void test_maximum(void **state)
{
    (void)state;
    CLEANUP(strbuf_free) struct strbuf buf = STRBUF_INIT(100);
    for (int i = 0; i < 10; i++)
        assert_int_equal(strbuf_puts(&buf, "0123456789"), 0);
    assert_false(buf.overflow);
    assert_true(buf.capacity <= 101);
    assert_int_equal(strbuf_putc(&buf, 'x'), -1);
    assert_true(buf.overflow);
    assert_int_equal(strbuf_printf(&buf, "%d", 1), -1);
    assert_int_equal(strbuf_append(&buf, "x", SIZE_MAX), -1);
    assert_int_equal(buf.len, 100);
    assert_int_equal(strlen(buf.data), 100);
    strbuf_reset(&buf);
    assert_false(buf.overflow);
    assert_string_equal(strbuf_text(&buf), "");
    assert_int_equal(strbuf_puts(&buf, "again"), 0);
}

static void test_no_maximum(void **state)
{
    (void)state;
    CLEANUP(strbuf_free) struct strbuf buf = STRBUF_INIT(SIZE_MAX);
    for (int i = 0; i < 100; i++)
        assert_int_equal(strbuf_puts(&buf, "0123456789"), 0);
    assert_int_equal(strlen(buf.data), 1000);
}

static void test_escaped(void **state)
{
    (void)state;
    CLEANUP(strbuf_free) struct strbuf buf = STRBUF_INIT(100), tiny = STRBUF_INIT(7);
    assert_int_equal(strbuf_put_escaped(&buf, "aZ09-._~ /:?&=%\xc3\xa9", "/:"), 0);
    assert_string_equal(strbuf_text(&buf), "aZ09-._~%20/:%3F%26%3D%25%C3%A9");
    strbuf_puts(&tiny, "ab");
    assert_int_equal(strbuf_put_escaped(&tiny, "cd  ", NULL), -1);
    assert_string_equal(strbuf_text(&tiny), "ab"); // all or nothing
    assert_true(tiny.overflow);
}

static void test_consume(void **state)
{
    (void)state;
    CLEANUP(strbuf_free) struct strbuf buf = STRBUF_INIT(100);
    strbuf_consume(&buf, 3);
    strbuf_puts(&buf, "abcdef");
    strbuf_consume(&buf, 2);
    assert_string_equal(strbuf_text(&buf), "cdef");
    strbuf_consume(&buf, 99);
    assert_int_equal(buf.len, 0);
    assert_string_equal(strbuf_text(&buf), "");
}

static void test_take_free_wipe(void **state)
{
    (void)state;
    struct strbuf buf = STRBUF_INIT(100);
    AUTO_FREE char *empty = strbuf_take(&buf);
    assert_string_equal(empty, "");
    strbuf_puts(&buf, "abc");
    AUTO_FREE char *text = strbuf_take(&buf);
    assert_string_equal(text, "abc");
    assert_null(buf.data);
    assert_int_equal(buf.max, 100);
    strbuf_puts(&buf, "secret");
    strbuf_wipe(&buf);
    assert_null(buf.data);
    assert_int_equal(strbuf_puts(&buf, "may be used again"), 0);
    strbuf_free(&buf);
    strbuf_free(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appends), cmocka_unit_test(test_maximum), cmocka_unit_test(test_no_maximum),
        cmocka_unit_test(test_escaped), cmocka_unit_test(test_consume), cmocka_unit_test(test_take_free_wipe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
