// SPDX-License-Identifier: Apache-2.0
//
// Retry delays, pacing and the ring: small and pure.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/pace.h"
#include "net/retry.h"
#include "net/ring.h"

static const struct retry_policy policy = {.max_attempts = 4, .base_ms = 1000, .max_ms = 60000};

static void test_r91_backoff(void **state)
{
    static const int64_t middle[] = {1000, 3000, 9000};
    struct error err = ERROR_INIT;
    int64_t delay_ms, lowest = INT64_MAX, highest = 0;
    (void)state;
    error_set(&err, ERR_REGISTRY_UNREACHABLE, "x");
    for (int attempt = 1; attempt <= 3; attempt++)
        for (uint64_t random = 0; random < 4000; random++) {
            assert_true(retry_next(&policy, attempt, &err, random, &delay_ms));
            assert_in_range(delay_ms, middle[attempt - 1] * 9 / 10, middle[attempt - 1] * 11 / 10);
            lowest = attempt == 1 && delay_ms < lowest ? delay_ms : lowest;
            highest = attempt == 1 && delay_ms > highest ? delay_ms : highest;
        }
    assert_int_equal(lowest, 900);
    assert_int_equal(highest, 1100);
    assert_false(retry_next(&policy, 4, &err, 0, &delay_ms));
    error_clear(&err);
    error_set(&err, ERR_REGISTRY_DENIED, "x");
    assert_false(retry_next(&policy, 1, &err, 0, &delay_ms));
    error_clear(&err);
    struct retry_policy long_one = {.max_attempts = 100, .base_ms = 1000, .max_ms = 60000};
    error_set(&err, ERR_REGISTRY_ERROR, "x");
    assert_true(retry_next(&long_one, 99, &err, 2000, &delay_ms));
    assert_in_range(delay_ms, 54000, 66000);
    error_clear(&err);
}

static void test_r88_what_is_asked_for(void **state)
{
    struct error err = ERROR_INIT;
    int64_t delay_ms;
    (void)state;
    error_set(&err, ERR_REGISTRY_RATE_LIMIT, "x");
    err.retry_after_ms = 20000;
    for (uint64_t random = 0; random < 3000; random++) {
        assert_true(retry_next(&policy, 1, &err, random, &delay_ms));
        assert_in_range(delay_ms, 20000, 22000);
    }
    err.retry_after_ms = 0;
    assert_true(retry_next(&policy, 1, &err, 0, &delay_ms));
    assert_int_equal(delay_ms, 900);
    err.retry_after_ms = 6 * 3600 * 1000; // waiting is pointless
    assert_false(retry_next(&policy, 1, &err, 0, &delay_ms));
    error_clear(&err);
}

static void test_pace(void **state)
{
    struct pace *pace = pace_new();
    struct pace_host *a = pace_find_host(pace, "a"), *b = pace_find_host(pace, "b");
    (void)state;
    assert_ptr_equal(pace_find_host(pace, "a"), a);
    assert_ptr_not_equal(a, b);
    assert_int_equal(pace_book(a, 1000, 250, 10000), 0); // saved up
    assert_int_equal(pace_book(a, 1000, 100, 10000), 100);
    assert_int_equal(pace_book(a, 1000, 100, 10000), 200);
    assert_int_equal(pace_book(a, 1000, 100, 10300), 0);
    assert_int_equal(pace_book(b, 1000, 100, 10000), 0); // another host
    int64_t now_ms = 20000, moved = 0;
    for (int i = 0; i < 1000; i++) { // whoever obeys moves at the rate
        now_ms += pace_book(a, 1000000, 16384, now_ms);
        moved += 16384;
    }
    assert_in_range(now_ms - 20000, moved / 1000 - 400, moved / 1000 + 1100);
    pace_free(pace);
}

static void test_ring(void **state)
{
    struct ring ring;
    char sent[5000], got[64];
    size_t len;
    (void)state;
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (char)(i * 31 + i / 64);
    ring_init(&ring, 64, 1000000007);
    int64_t base = ring.head, a = base, b = base;
    unsigned random = 1;
    while (b - base < (int64_t)sizeof sent) {
        random = random * 1103515245 + 12345;
        size_t room = ring_room(&ring), want = (random >> 16) % 40,
               left = sizeof sent - (size_t)(ring.head - base);
        want = want < room ? want : room;
        ring_append(&ring, sent + (ring.head - base), want < left ? want : left);
        len = ring_copy(&ring, a, ring.head, got, (random >> 8) % 64);
        assert_memory_equal(got, sent + (a - base), len);
        a += (int64_t)len;
        const void *bytes = ring_peek(&ring, b, ring.head, &len);
        if (len)
            assert_memory_equal(bytes, sent + (b - base), len);
        b += (int64_t)len;
        ring_forget(&ring, a < b ? a : b);
        assert_true(ring.head - ring.tail <= 64);
    }
    assert_null(ring_peek(&ring, b, ring.head, &len));
    assert_int_equal(ring_copy(&ring, b, ring.head, got, 10), 0);
    ring_append(&ring, "abcdef", 6);
    assert_int_equal(ring_copy(&ring, b, b + 4, got, 10), 4); // up to the limit only
    assert_memory_equal(got, "abcd", 4);
    ring_fini(&ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_r91_backoff),
        cmocka_unit_test(test_r88_what_is_asked_for),
        cmocka_unit_test(test_pace),
        cmocka_unit_test(test_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
