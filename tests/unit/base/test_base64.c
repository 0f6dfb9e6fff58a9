// SPDX-License-Identifier: Apache-2.0
#include "base_test.h"

#include "base/base64.h"

// RFC 4648, section 10.
static const char *const vectors[][2] = {
    {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
};

static void test_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        const char *plain = vectors[i][0], *coded = vectors[i][1];
        AUTO_FREE char *text = base64_encode(plain, strlen(plain));
        assert_string_equal(text, coded);
        void *back;
        size_t len;
        assert_true(base64_decode(coded, strlen(coded), &back, &len));
        assert_int_equal(len, strlen(plain));
        assert_string_equal(back, plain); // NUL-terminated
        free(back);
        size_t bare = strcspn(coded, "=");
        assert_true(base64_decode(coded, bare, &back, &len)); // padding may be absent
        assert_string_equal(back, plain);
        free(back);
    }
}

static void test_alphabets(void **state)
{
    (void)state;
    AUTO_FREE char *standard = base64_encode("\xfb\xff\xfe\xff", 4), *url = base64_encode_url("\xfb\xff\xfe\xff", 4);
    assert_string_equal(standard, "+//+/w==");
    assert_string_equal(url, "-__-_w");
}

static void test_all_bytes(void **state)
{
    (void)state;
    unsigned char bytes[256];
    for (int i = 0; i < 256; i++)
        bytes[i] = (unsigned char)(i * 7);
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        AUTO_FREE char *text = base64_encode(bytes, len);
        AUTO_FREE void *back = NULL;
        size_t back_len;
        assert_true(base64_decode(text, strlen(text), &back, &back_len));
        assert_int_equal(back_len, len);
        assert_memory_equal(back, bytes, len);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "Z",       "Zg=",      "Zg===",    "Z===",     "=",    "==",   "====", "Zm9v=",   "Zm9v====", "Zm 9v",
        "Zm9v\n",  "Zm9-",     "Zm9_",     "Zm=v",     "Zh==", "Zm9=", "Zg==Zg==", "Zm9vZ", "\xc3\xa9""ab",
    };
    void *back;
    size_t len;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (base64_decode(bad[i], strlen(bad[i]), &back, &len))
            fail_msg("%s was accepted", bad[i]);
    assert_false(base64_decode("Zm\0v", 4, &back, &len));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_alphabets),
        cmocka_unit_test(test_all_bytes),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
