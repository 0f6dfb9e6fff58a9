// SPDX-License-Identifier: Apache-2.0
#include "base_test.h"

#include "base/list.h"

struct item {
    int number;
    struct list link;
};

// The numbers in the ring as one decimal figure.
static int read_list(struct list *head)
{
    int figure = 0;
    list_for_each(link, head)
        figure = figure * 10 + container_of(link, struct item, link)->number;
    return figure;
}

static void test_append_prepend_remove(void **state)
{
    (void)state;
    struct list head = LIST_INIT(head);
    struct item items[4];
    for (int i = 0; i < 4; i++)
        items[i].number = i + 1;
    assert_true(list_empty(&head));
    assert_null(list_take_first(&head));
    list_append(&head, &items[0].link);
    list_append(&head, &items[1].link);
    list_prepend(&head, &items[2].link);
    assert_int_equal(read_list(&head), 312);
    list_remove(&items[0].link);
    list_remove(&items[0].link); // harmless
    assert_int_equal(read_list(&head), 32);
    assert_ptr_equal(list_take_first(&head), &items[2].link);
    assert_true(list_empty(&items[2].link));
    assert_int_equal(read_list(&head), 2);
}

static void test_splice(void **state)
{
    (void)state;
    struct list a = LIST_INIT(a), b = LIST_INIT(b);
    struct item items[4] = {{.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}};
    list_splice(&a, &b);
    assert_true(list_empty(&a));
    list_append(&b, &items[0].link);
    list_append(&b, &items[1].link);
    list_splice(&a, &b);
    assert_int_equal(read_list(&a), 12);
    assert_true(list_empty(&b));
    list_append(&b, &items[2].link);
    list_append(&b, &items[3].link);
    list_splice(&a, &b);
    assert_int_equal(read_list(&a), 1234);
    assert_ptr_equal(a.prev, &items[3].link);
}

static void test_safe_walk_may_free(void **state)
{
    (void)state;
    struct list head = LIST_INIT(head);
    for (int i = 1; i <= 5; i++) {
        struct item *item = mem_new(struct item);
        item->number = i;
        list_append(&head, &item->link);
    }
    list_for_each_safe(link, &head)
    {
        struct item *item = container_of(link, struct item, link);
        if (item->number % 2)
            continue;
        list_remove(link);
        free(item);
    }
    assert_int_equal(read_list(&head), 135);
    for (struct list *link; (link = list_take_first(&head));)
        free(container_of(link, struct item, link));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append_prepend_remove),
        cmocka_unit_test(test_splice),
        cmocka_unit_test(test_safe_walk_may_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
