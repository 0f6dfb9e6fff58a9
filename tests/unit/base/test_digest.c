// SPDX-License-Identifier: Apache-2.0
#include "base_test.h"

#include "base/digest.h"

// FIPS 180-4 examples: "" and "abc".
#define EMPTY_256 "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ABC_256 "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define ABC_512                                                                                                        \
    "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423" \
    "643ce80e2a9ac94fa54ca49f"

static void test_known_values(void **state)
{
    (void)state;
    struct digest digest;
    digest_of(&digest, DIGEST_SHA256, NULL, 0);
    assert_string_equal(digest.text, EMPTY_256);
    digest_of(&digest, DIGEST_SHA256, "abc", 3);
    assert_string_equal(digest.text, ABC_256);
    assert_int_equal(digest.algorithm, DIGEST_SHA256);
    digest_of(&digest, DIGEST_SHA512, "abc", 3);
    assert_string_equal(digest.text, ABC_512);
    assert_string_equal(digest_hex(&digest), ABC_512 + 7);
    assert_string_equal(digest_algorithm_name(&digest), "sha512");
}

static void test_incremental_and_dup(void **state)
{
    (void)state;
    struct digest one, two;
    struct hasher *hasher = hasher_new(DIGEST_SHA256);
    hasher_update(hasher, "a", 1);
    struct hasher *copy = hasher_dup(hasher);
    hasher_update(hasher, "", 0);
    hasher_update(hasher, "bc", 2);
    hasher_finish(hasher, &one);
    assert_string_equal(one.text, ABC_256);
    hasher_update(copy, "b", 1);
    hasher_update(copy, "c", 1);
    hasher_finish(copy, &two);
    assert_true(digest_equal(&one, &two));
    hasher_free(hasher);
    hasher_free(copy);
    hasher_free(NULL);
}

static void test_parse(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct digest digest = {0}, other;
    assert_false(digest_known(&digest));
    assert_string_equal(digest_hex(&digest), "");
    assert_works(&err, digest_parse(&digest, ABC_256, &err));
    assert_true(digest_known(&digest));
    assert_string_equal(digest.text, ABC_256);
    assert_works(&err, digest_parse(&other, ABC_512, &err));
    assert_false(digest_equal(&digest, &other));
    assert_works(&err, digest_parse(&other, EMPTY_256, &err));
    assert_false(digest_equal(&digest, &other));
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "sha256", "sha256:", "sha256:ab", EMPTY_256 "0", ABC_512 "0", "sha512:" EMPTY_256, "SHA256:ab",
        "sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855", // upper case
        "sha256:../../../../../../../../../../../../../../../../../../etc/passwd",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85\n",
        "md5:d41d8cd98f00b204e9800998ecf8427e", " " EMPTY_256,
    };
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct digest digest = {0};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(digest_valid(bad[i]));
        assert_fails(&err, ERR_INVALID_REQUEST, "is not a digest", digest_parse(&digest, bad[i], &err));
        assert_false(digest_known(&digest));
    }
    assert_false(digest_valid(NULL));
    assert_fails(&err, ERR_INVALID_REQUEST, "is not a digest", digest_parse(&digest, NULL, &err));
    assert_true(digest_valid(ABC_256));
    assert_true(digest_valid(ABC_512));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_values),
        cmocka_unit_test(test_incremental_and_dup),
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
