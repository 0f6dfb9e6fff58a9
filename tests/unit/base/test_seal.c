// SPDX-License-Identifier: Apache-2.0
#include "base_test.h"

#include <sys/stat.h>

#include "base/seal.h"

struct sealed {
    void *bytes;
    size_t len;
};

static struct sealed close_text(struct seal *seal, const char *context, const char *text)
{
    struct error err = ERROR_INIT;
    struct secret *secret = secret_new(text);
    struct sealed sealed;
    assert_works(&err, seal_close_text(seal, context, secret, &sealed.bytes, &sealed.len, &err));
    secret_free(secret);
    return sealed;
}

static struct seal *open_seal(const char *directory)
{
    struct error err = ERROR_INIT;
    struct seal *seal = seal_open(directory, &err);
    if (!seal)
        fail_msg("%s", err.detail);
    return seal;
}

static void assert_refused(struct seal *seal, const char *context, const void *bytes, size_t len)
{
    struct error err = ERROR_INIT;
    assert_fails(&err, ERR_AUTH_REQUIRED, "cannot be opened", !seal_open_text(seal, context, bytes, len, &err));
}

static void test_round_trip(void **state)
{
    struct error err = ERROR_INIT;
    struct seal *seal = open_seal(*state);
    struct sealed first = close_text(seal, "job1", "{\"password\":\"hunter2\"}");
    struct sealed second = close_text(seal, "job1", "{\"password\":\"hunter2\"}");
    assert_int_equal(first.len, 1 + 12 + 22 + 16);
    assert_memory_not_equal(first.bytes, second.bytes, first.len); // a nonce is never used twice
    assert_null(memmem(first.bytes, first.len, "hunter2", 7));
    seal_free(seal);
    seal = open_seal(*state); // the key lies on disk
    struct secret *back = seal_open_text(seal, "job1", first.bytes, first.len, &err);
    assert_string_equal(secret_reveal(back), "{\"password\":\"hunter2\"}");
    secret_free(back);
    seal_free(seal);
    seal_free(NULL);
    free(first.bytes);
    free(second.bytes);
}

static void test_empty_text(void **state)
{
    struct error err = ERROR_INIT;
    struct seal *seal = open_seal(*state);
    struct sealed sealed = close_text(seal, "", "");
    struct secret *back = seal_open_text(seal, "", sealed.bytes, sealed.len, &err);
    assert_int_equal(secret_len(back), 0);
    secret_free(back);
    seal_free(seal);
    free(sealed.bytes);
}

static void test_tampering_is_seen(void **state)
{
    struct seal *seal = open_seal(*state);
    struct sealed sealed = close_text(seal, "job1", "secret");
    assert_refused(seal, "job2", sealed.bytes, sealed.len); // moved to another job
    for (size_t i = 0; i < sealed.len; i++) {
        ((unsigned char *)sealed.bytes)[i] ^= 1;
        assert_refused(seal, "job1", sealed.bytes, sealed.len);
        ((unsigned char *)sealed.bytes)[i] ^= 1;
    }
    for (size_t len = 0; len < sealed.len; len++)
        assert_refused(seal, "job1", sealed.bytes, len);
    AUTO_FREE char *key = mem_printf("%s/seal.key", (char *)*state);
    assert_int_equal(unlink(key), 0);
    struct seal *other = open_seal(*state);
    assert_refused(other, "job1", sealed.bytes, sealed.len);
    seal_free(other);
    seal_free(seal);
    free(sealed.bytes);
}

static void test_key_file(void **state)
{
    struct error err = ERROR_INIT;
    AUTO_FREE char *key = mem_printf("%s/seal.key", (char *)*state);
    seal_free(open_seal(*state));
    struct stat st;
    assert_int_equal(stat(key, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, 32);
    chmod(key, 0640);
    assert_fails(&err, ERR_INTERNAL, "can be read by others", !seal_open(*state, &err));
    chmod(key, 0600);
    assert_int_equal(truncate(key, 31), 0);
    assert_fails(&err, ERR_INTERNAL, "is damaged", !seal_open(*state, &err));
    unlink(key);
    assert_int_equal(mkfifo(key, 0600), 0);
    assert_fails(&err, ERR_INTERNAL, "is not a regular file", !seal_open(*state, &err));
}

static void test_key_of_systemd(void **state)
{
    struct error err = ERROR_INIT;
    AUTO_FREE char *key = mem_printf("%s/dray-seal-key", (char *)*state);
    AUTO_FREE char *own = mem_printf("%s/seal.key", (char *)*state);
    setenv("CREDENTIALS_DIRECTORY", *state, 1);
    seal_free(open_seal(*state)); // none given: the own one is made
    assert_int_equal(access(own, F_OK), 0);
    unlink(own);
    assert_works(&err, file_publish(key, "0123456789abcdef0123456789abcdef", 32, 0440, &err));
    struct seal *seal = open_seal(*state); // 0440 is what an ACL looks like
    assert_int_equal(access(own, F_OK), -1);
    seal_free(seal);
    chmod(key, 0444);
    assert_fails(&err, ERR_INTERNAL, "can be read by others", !seal_open(*state, &err));
    unsetenv("CREDENTIALS_DIRECTORY");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        directory_test(test_round_trip), directory_test(test_empty_text),     directory_test(test_tampering_is_seen),
        directory_test(test_key_file),   directory_test(test_key_of_systemd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
