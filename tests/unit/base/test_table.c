// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/table.h"

enum { MANY = 20000 };

struct item {
    char key[32];
    bool seen;
};

static struct item *items_new(void)
{
    struct item *items = calloc(MANY, sizeof *items);
    assert_non_null(items);
    for (int i = 0; i < MANY; i++)
        snprintf(items[i].key, sizeof items[i].key, "sha256:%d", i * 7919);
    return items;
}

static void test_empty(void **state)
{
    (void)state;
    struct table *table = table_new();
    size_t position = 0;
    assert_null(table_find(table, "a"));
    assert_null(table_take(table, "a"));
    assert_null(table_next(table, &position));
    assert_int_equal(table_count(table), 0);
    table_free(table);
    table_free(NULL);
}

static void test_put_replaces_value_and_key(void **state)
{
    (void)state;
    struct table *table = table_new();
    char first[] = "key", second[] = "key";
    int one = 1, two = 2;
    assert_null(table_put(table, first, &one));
    assert_ptr_equal(table_put(table, second, &two), &one);
    first[0] = 'x'; // the table must look at the new key only
    assert_ptr_equal(table_find(table, "key"), &two);
    assert_int_equal(table_count(table), 1);
    assert_ptr_equal(table_take(table, "key"), &two);
    assert_null(table_find(table, "key"));
    table_free(table);
}

static void test_keys_of_every_length(void **state)
{
    (void)state;
    struct table *table = table_new();
    char keys[64][65];
    for (int len = 0; len < 64; len++) {
        for (int i = 0; i < len; i++)
            keys[len][i] = 'a';
        keys[len][len] = '\0';
        assert_null(table_put(table, keys[len], keys[len]));
    }
    for (int len = 0; len < 64; len++)
        assert_ptr_equal(table_find(table, keys[len]), keys[len]);
    table_free(table);
}

static void test_many_with_removals(void **state)
{
    (void)state;
    struct item *items = items_new();
    struct table *table = table_new();
    for (int i = 0; i < MANY; i++)
        assert_null(table_put(table, items[i].key, &items[i]));
    for (int i = 0; i < MANY; i += 3)
        assert_ptr_equal(table_take(table, items[i].key), &items[i]);
    for (int i = 0; i < MANY; i++)
        assert_ptr_equal(table_find(table, items[i].key), i % 3 ? &items[i] : NULL);
    assert_int_equal(table_count(table), MANY - (MANY + 2) / 3);
    table_free(table);
    free(items);
}

static void test_next_visits_each_once(void **state)
{
    (void)state;
    struct item *items = items_new();
    struct table *table = table_new();
    for (int i = 0; i < MANY; i++)
        table_put(table, items[i].key, &items[i]);
    size_t position = 0, visited = 0;
    for (struct item *item; (item = table_next(table, &position)) != NULL; visited++) {
        assert_false(item->seen);
        item->seen = true;
    }
    assert_int_equal(visited, MANY);
    table_free(table);
    free(items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_put_replaces_value_and_key),
        cmocka_unit_test(test_keys_of_every_length),
        cmocka_unit_test(test_many_with_removals),
        cmocka_unit_test(test_next_visits_each_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
