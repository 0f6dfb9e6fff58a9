// SPDX-License-Identifier: Apache-2.0
#include "base_test.h"

#include "base/secret.h"

static void test_holds_and_hides(void **state)
{
    (void)state;
    struct secret *secret = secret_new("hunter2");
    assert_string_equal(secret_reveal(secret), "hunter2");
    assert_int_equal(secret_len(secret), 7);
    assert_string_equal(secret_text(secret), "***");
    struct secret *copy = secret_dup(secret);
    assert_ptr_not_equal(copy, secret);
    secret_free(secret);
    assert_string_equal(secret_reveal(copy), "hunter2");
    secret_free(copy);
}

static void test_bytes(void **state)
{
    (void)state;
    struct secret *secret = secret_new_bytes("a\0b", 3);
    assert_int_equal(secret_len(secret), 3);
    assert_memory_equal(secret_reveal(secret), "a\0b", 4);
    secret_free(secret);
    secret = secret_new_bytes(NULL, 0);
    assert_string_equal(secret_reveal(secret), "");
    secret_free(secret);
}

static void test_null(void **state)
{
    (void)state;
    assert_null(secret_new(NULL));
    assert_null(secret_dup(NULL));
    assert_null(secret_reveal(NULL));
    assert_int_equal(secret_len(NULL), 0);
    assert_string_equal(secret_text(NULL), "");
    secret_free(NULL);
}

static void test_identity(void **state)
{
    (void)state;
    struct secret *a = secret_new("a"), *same = secret_new("a"), *b = secret_new("b"), *empty = secret_new("");
    char id_a[17], id_same[17], id_b[17], id_empty[17], id_null[17];
    secret_identity(a, id_a);
    secret_identity(same, id_same);
    secret_identity(b, id_b);
    secret_identity(empty, id_empty);
    secret_identity(NULL, id_null);
    assert_int_equal(strspn(id_a, "0123456789abcdef"), 16);
    assert_int_equal(strlen(id_a), 16);
    assert_string_equal(id_a, id_same);
    assert_string_not_equal(id_a, id_b);
    assert_string_not_equal(id_empty, id_null);
    assert_string_equal(id_null, "0000000000000000");
    // Keyed: not the plain SHA-256 of "a", which anyone could look up.
    assert_string_not_equal(id_a, "ca978112ca1bbdca");
    secret_free(a);
    secret_free(same);
    secret_free(b);
    secret_free(empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_holds_and_hides),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_null),
        cmocka_unit_test(test_identity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
