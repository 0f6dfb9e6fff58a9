// SPDX-License-Identifier: Apache-2.0
//
// How much of an image one job takes in: each digest counts once, and each bound holds to the last one.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "images/image_bounds.h"

static struct digest digest_number(int number)
{
    struct digest digest;
    digest_of(&digest, DIGEST_SHA256, &number, sizeof number);
    return digest;
}

static void test_each_counts_once(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct image_bounds bounds;
    struct digest one = digest_number(1), two = digest_number(2);
    image_bounds_init(&bounds);
    assert_int_equal(image_bounds_manifest(&bounds, &one, IMAGE_MANIFEST_BYTES_MAX, &err), 1);
    assert_int_equal(image_bounds_manifest(&bounds, &one, IMAGE_MANIFEST_BYTES_MAX, &err), 0);
    assert_int_equal(image_bounds_blob(&bounds, &one, &err), 1); // manifests and blobs are two things
    assert_int_equal(image_bounds_blob(&bounds, &one, &err), 0);
    assert_int_equal(image_bounds_manifest(&bounds, &two, 1, &err), -1);
    assert_int_equal(err.code, ERR_TOO_LARGE);
    image_bounds_fini(&bounds);
}

static void test_numbers(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct image_bounds bounds;
    image_bounds_init(&bounds);
    for (int i = 0; i < IMAGE_MANIFESTS_MAX; i++) {
        struct digest digest = digest_number(i);
        assert_int_equal(image_bounds_manifest(&bounds, &digest, 1, &err), 1);
        assert_int_equal(image_bounds_blob(&bounds, &digest, &err), 1);
    }
    struct digest digest = digest_number(-1);
    assert_int_equal(image_bounds_blob(&bounds, &digest, &err), -1);
    assert_int_equal(err.code, ERR_TOO_LARGE);
    error_clear(&err);
    assert_int_equal(image_bounds_manifest(&bounds, &digest, 1, &err), -1);
    assert_int_equal(err.code, ERR_TOO_LARGE);
    image_bounds_fini(&bounds);
}

static void test_sizes_do_not_wrap(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct image_bounds bounds;
    struct digest one = digest_number(1);
    image_bounds_init(&bounds);
    assert_int_equal(image_bounds_manifest(&bounds, &one, INT64_MAX, &err), -1);
    assert_int_equal(err.code, ERR_TOO_LARGE);
    image_bounds_fini(&bounds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_counts_once),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_sizes_do_not_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
