// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "jobs/fair.h"

struct item {
    struct fair_entry entry;
    char name;
};

static void add(struct fair *fair, struct item *item, char name, int priority, int64_t caller)
{
    *item = (struct item){.name = name};
    fair_add(fair, &item->entry, priority, caller);
}

static void expect(struct fair *fair, const char *order)
{
    char got[64] = "";
    for (struct fair_entry *entry; (entry = fair_take(fair)) != NULL;)
        got[strlen(got)] = container_of(entry, struct item, entry)->name;
    assert_string_equal(got, order);
    assert_int_equal(fair->count, 0);
}

static void test_first_in_first_out(void **state)
{
    struct fair fair;
    struct item items[3];
    (void)state;
    fair_init(&fair);
    for (int i = 0; i < 3; i++)
        add(&fair, &items[i], (char)('a' + i), 0, 1);
    expect(&fair, "abc");
}

static void test_callers_take_turns(void **state)
{
    struct fair fair;
    struct item items[6];
    (void)state;
    fair_init(&fair);
    for (int i = 0; i < 4; i++)
        add(&fair, &items[i], (char)('a' + i), 0, 1);
    add(&fair, &items[4], 'x', 0, 2);
    add(&fair, &items[5], 'y', 0, 2);
    expect(&fair, "axbycd");
}

static void test_priority_before_turns(void **state)
{
    struct fair fair;
    struct item items[4];
    (void)state;
    fair_init(&fair);
    add(&fair, &items[0], 'l', -5, 1);
    add(&fair, &items[1], 'm', 0, 1);
    add(&fair, &items[2], 'h', 7, 1);
    add(&fair, &items[3], 'n', 0, 2);
    expect(&fair, "hmnl");
}

static void test_remove(void **state)
{
    struct fair fair;
    struct item items[3];
    (void)state;
    fair_init(&fair);
    for (int i = 0; i < 3; i++)
        add(&fair, &items[i], (char)('a' + i), 0, 1);
    fair_remove(&fair, &items[1].entry);
    fair_remove(&fair, &items[1].entry);
    assert_false(fair_queued(&items[1].entry));
    assert_true(fair_queued(&items[0].entry));
    expect(&fair, "ac");
}

// The position foretells the order in which entries are taken.
static void test_position(void **state)
{
    struct fair fair;
    struct item items[8];
    static const int64_t callers[] = {1, 1, 1, 2, 2, 3, 1, 2};
    static const int priorities[] = {0, 0, 0, 0, 0, 0, 9, -1};
    int64_t foretold[8];
    (void)state;
    fair_init(&fair);
    for (int i = 0; i < 8; i++)
        add(&fair, &items[i], (char)('a' + i), priorities[i], callers[i]);
    for (int i = 0; i < 8; i++)
        foretold[i] = fair_position(&fair, &items[i].entry);
    for (int64_t n = 1; n <= 8; n++) {
        struct item *item = container_of(fair_take(&fair), struct item, entry);
        assert_int_equal(foretold[item->name - 'a'], n);
        assert_int_equal(fair_position(&fair, &item->entry), 0);
    }
}

// After a turn the callers' order has moved on, and positions with it.
static void test_position_after_turns(void **state)
{
    struct fair fair;
    struct item items[4];
    (void)state;
    fair_init(&fair);
    add(&fair, &items[0], 'a', 0, 1);
    add(&fair, &items[1], 'b', 0, 1);
    add(&fair, &items[2], 'x', 0, 2);
    add(&fair, &items[3], 'y', 0, 2);
    fair_take(&fair);
    assert_int_equal(fair_position(&fair, &items[2].entry), 1);
    assert_int_equal(fair_position(&fair, &items[1].entry), 2);
    assert_int_equal(fair_position(&fair, &items[3].entry), 3);
    expect(&fair, "xby");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_in_first_out),
        cmocka_unit_test(test_callers_take_turns),
        cmocka_unit_test(test_priority_before_turns),
        cmocka_unit_test(test_remove),
        cmocka_unit_test(test_position),
        cmocka_unit_test(test_position_after_turns),
    };
    return cmocka_run_group_tests_name("fair", tests, NULL, NULL);
}
