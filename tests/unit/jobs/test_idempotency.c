// SPDX-License-Identifier: Apache-2.0
//
// Idempotency keys: one job per key and caller, whatever comes at the same time.
#include "jobs/hall.h"

static const struct engine_submit with_key = {.idempotency_key = "k1", .fingerprint = "f1"};

static int count_jobs(struct hall *h)
{
    struct hall_answer a = {0};
    struct engine_list filter = {.limit = 1000, .caller = hall_admin};
    engine_list(h->engine, &filter, on_value, &a);
    answer_wait(h, &a);
    int count = (int)json_array_size(json_object_get(a.value, "items"));
    answer_clear(&a);
    return count;
}

static void test_replayed(void **state)
{
    struct hall h;
    struct hall_answer first, again, other;
    (void)state;
    hall_begin(&h);
    hall_post(&h, "{}", with_key, &first);
    answer_wait(&h, &first);
    assert_int_equal(first.code, ERR_NONE);
    assert_false(first.replayed);
    hall_post(&h, "{}", with_key, &again);
    answer_wait(&h, &again);
    assert_true(again.replayed);
    assert_string_equal(first.id, again.id);
    struct engine_submit changed = with_key;
    changed.fingerprint = "f2";
    hall_post(&h, "{}", changed, &other);
    answer_wait(&h, &other);
    assert_int_equal(other.code, ERR_IDEMPOTENCY);
    changed.caller = (struct engine_caller){.uid = 7}; // somebody else's key
    hall_post(&h, "{}", changed, &other);
    answer_wait(&h, &other);
    assert_int_equal(other.code, ERR_NONE);
    assert_false(other.replayed);
    assert_string_not_equal(first.id, other.id);
    assert_int_equal(count_jobs(&h), 2);
    hall_end(&h);
}

// All before the first was answered.
static void test_at_once(void **state)
{
    struct hall h;
    struct hall_answer a[8], other;
    struct engine_submit changed = with_key;
    (void)state;
    hall_begin(&h);
    changed.fingerprint = "f2";
    for (int i = 0; i < 8; i++)
        hall_post(&h, "{}", with_key, &a[i]);
    hall_post(&h, "{}", changed, &other);
    assert_true(other.told);
    assert_int_equal(other.code, ERR_IDEMPOTENCY);
    for (int i = 0; i < 8; i++) {
        answer_wait(&h, &a[i]);
        assert_int_equal(a[i].code, ERR_NONE);
        assert_int_equal(a[i].replayed, i > 0);
        assert_string_equal(a[i].id, a[0].id);
    }
    assert_int_equal(count_jobs(&h), 1);
    hall_end(&h);
}

static void test_after_a_restart(void **state)
{
    struct hall h;
    struct hall_answer first, again;
    (void)state;
    hall_begin(&h);
    hall_post(&h, "{}", with_key, &first);
    answer_wait(&h, &first);
    hall_expect(&h, first.id, "succeeded", NULL);
    hall_reopen(&h);
    hall_post(&h, "{}", with_key, &again);
    answer_wait(&h, &again);
    assert_true(again.replayed);
    assert_string_equal(first.id, again.id);
    hall_end(&h);
}

static void test_forgotten(void **state)
{
    struct hall h;
    struct hall_answer first, again, a = {0};
    (void)state;
    hall_begin(&h);
    hall_post(&h, "{}", with_key, &first);
    answer_wait(&h, &first);
    hall_expect(&h, first.id, "succeeded", NULL);
    engine_forget(h.engine, first.id, &hall_admin, on_plain, &a);
    answer_wait(&h, &a);
    hall_post(&h, "{}", with_key, &again);
    answer_wait(&h, &again);
    assert_int_equal(again.code, ERR_NONE);
    assert_false(again.replayed);
    assert_string_not_equal(first.id, again.id);
    hall_end(&h);
}

// A refused request leaves its key free.
static void test_refused(void **state)
{
    struct hall h;
    struct hall_answer full, again;
    char id[32];
    (void)state;
    hall_init(&h);
    h.options.max_queued = 1;
    h.options.paused = true;
    hall_open(&h);
    SUBMIT(&h, id, "{}");
    hall_post(&h, "{}", with_key, &full);
    answer_wait(&h, &full);
    assert_int_equal(full.code, ERR_OVERLOADED);
    hall_cancel(&h, id);
    hall_expect(&h, id, "cancelled", "cancelled");
    hall_post(&h, "{}", with_key, &again);
    answer_wait(&h, &again);
    assert_int_equal(again.code, ERR_NONE);
    assert_false(again.replayed);
    hall_post(&h, "{}", with_key, &again); // known keys are answered when it is full, too
    answer_wait(&h, &again);
    assert_true(again.replayed);
    hall_end(&h);
}

// A key of more than a day ago is free again.
static void on_done(void *arg, const struct error *err)
{
    assert_null(err);
    *(bool *)arg = true;
}

static void test_old_key(void **state)
{
    struct hall h;
    struct hall_answer a;
    bool done = false;
    (void)state;
    hall_begin(&h);
    struct store_job old = {.id = "01ARZ3NDEKTSV4RRFFQ69G5FAV",
                            .kind = "fake",
                            .state = "succeeded",
                            .attempt = 1,
                            .uid = 1000,
                            .created_ms = clock_wall_ms() - 25 * 3600 * 1000,
                            .spec = "{}",
                            .labels = "{}",
                            .extra = "{}"};
    store_job_insert(h.store, &old, "1000/k1", "f1", on_done, &done);
    hall_until(&h, hall_flag, &done);
    hall_post(&h, "{}", with_key, &a);
    answer_wait(&h, &a);
    assert_int_equal(a.code, ERR_NONE);
    assert_false(a.replayed);
    assert_string_not_equal(a.id, old.id);
    hall_end(&h);
}

HALL_MAIN(cmocka_unit_test(test_replayed), cmocka_unit_test(test_at_once),
          cmocka_unit_test(test_after_a_restart), cmocka_unit_test(test_forgotten),
          cmocka_unit_test(test_refused), cmocka_unit_test(test_old_key))
