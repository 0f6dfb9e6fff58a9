// SPDX-License-Identifier: Apache-2.0
#include "base_test.h"

#include "base/clock.h"
#include "base/id.h"

static int64_t time_of(const char *id)
{
    static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    int64_t ms = 0;
    for (int i = 0; i < 10; i++)
        ms = ms << 5 | (strchr(alphabet, id[i]) - alphabet);
    return ms;
}

static void test_sorted_and_unique(void **state)
{
    (void)state;
    char before[ID_LEN + 1] = "", id[ID_LEN + 1];
    int64_t from = clock_wall_ms();
    for (int i = 0; i < 50000; i++) { // many to one millisecond
        id_new(id);
        assert_true(id_valid(id));
        assert_true(strcmp(before, id) < 0);
        memcpy(before, id, sizeof(id));
    }
    assert_true(time_of(id) >= from);
    assert_true(time_of(id) <= clock_wall_ms());
}

// Two of different milliseconds share no random part.
static void test_random_part(void **state)
{
    (void)state;
    char first[ID_LEN + 1], second[ID_LEN + 1];
    id_new(first);
    do
        id_new(second);
    while (time_of(first) == time_of(second));
    assert_string_not_equal(first + 10, second + 10);
    assert_memory_not_equal(first + 11, second + 11, 8);
}

static void test_valid(void **state)
{
    (void)state;
    assert_true(id_valid("01ARZ3NDEKTSV4RRFFQ69G5FAV"));
    assert_true(id_valid("7ZZZZZZZZZZZZZZZZZZZZZZZZZ"));
    assert_false(id_valid("8ZZZZZZZZZZZZZZZZZZZZZZZZZ")); // more than 48 bits of time
    assert_false(id_valid(""));
    assert_false(id_valid("01ARZ3NDEKTSV4RRFFQ69G5FA"));
    assert_false(id_valid("01ARZ3NDEKTSV4RRFFQ69G5FAVX"));
    assert_false(id_valid("01arz3ndektsv4rrffq69g5fav"));
    assert_false(id_valid("01ARZ3NDEKTSV4RRFFQ69G5FAI")); // I, L, O, U are not in the alphabet
    assert_false(id_valid("../../etc/passwd0000000000"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sorted_and_unique),
        cmocka_unit_test(test_random_part),
        cmocka_unit_test(test_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
