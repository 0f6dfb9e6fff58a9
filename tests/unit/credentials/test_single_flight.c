// SPDX-License-Identifier: Apache-2.0
//
// Single flight: one makes, the others wait; failures, renewal, cancellation, bounds.
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/monitor.h"
#include "credentials/single_flight.h"

struct value {
    atomic_int refs;
    int number;
};

static atomic_int alive;

static struct value *make(int number)
{
    struct value *value = mem_new(struct value);
    atomic_init(&value->refs, 1);
    value->number = number;
    atomic_fetch_add(&alive, 1);
    return value;
}

static void *ref(void *pointer)
{
    atomic_fetch_add(&((struct value *)pointer)->refs, 1);
    return pointer;
}

static void unref(void *pointer)
{
    struct value *value = pointer;
    if (atomic_fetch_sub(&value->refs, 1) != 1)
        return;
    atomic_fetch_sub(&alive, 1);
    free(value);
}

static struct single_flight *new_flight(size_t max, int64_t wait_ms, int64_t failure_ttl_ms)
{
    return single_flight_new(&(struct single_flight_options){.ref = ref,
                                                             .unref = unref,
                                                             .max_entries = max,
                                                             .wait_ms = wait_ms,
                                                             .failure_ttl_ms = failure_ttl_ms,
                                                             .what = "a value"});
}

static enum single_flight_outcome board(struct single_flight *flight, const char *key, int *ret_number)
{
    struct error err = ERROR_INIT;
    void *value = NULL;
    enum single_flight_outcome outcome = single_flight_board(flight, key, NULL, &value, &err);
    if (outcome == FLIGHT_HIT) {
        *ret_number = ((struct value *)value)->number;
        unref(value);
    }
    error_clear(&err);
    return outcome;
}

static void land(struct single_flight *flight, const char *key, int number, int64_t life_ms)
{
    struct value *value = make(number);
    single_flight_land(flight, key, value, life_ms, NULL, NULL);
    unref(value);
}

static void hits_and_drops(void **state)
{
    (void)state;
    struct single_flight *flight = new_flight(8, 1000, 0);
    int number = 0;
    assert_int_equal(board(flight, "a", &number), FLIGHT_LEAD);
    land(flight, "a", 7, 60000);
    assert_int_equal(board(flight, "a", &number), FLIGHT_HIT);
    assert_int_equal(number, 7);
    struct value other = {0};
    single_flight_drop(flight, "a", &other); // another value: not this one
    assert_int_equal(board(flight, "a", &number), FLIGHT_HIT);
    struct error err = ERROR_INIT;
    void *value;
    assert_int_equal(single_flight_board(flight, "a", NULL, &value, &err), FLIGHT_HIT);
    single_flight_drop(flight, "a", value);
    unref(value);
    assert_int_equal(board(flight, "a", &number), FLIGHT_LEAD);
    land(flight, "a", 8, 60000);
    assert_int_equal(single_flight_clear(flight), 1);
    assert_int_equal(board(flight, "a", &number), FLIGHT_LEAD);
    land(flight, "a", 9, 0); // dead on arrival
    assert_int_equal(board(flight, "a", &number), FLIGHT_LEAD);
    land(flight, "a", 9, 60000);
    single_flight_free(flight);
    assert_int_equal(alive, 0);
}

static void bounded(void **state)
{
    (void)state;
    struct single_flight *flight = new_flight(4, 1000, 0);
    int number;
    for (int i = 0; i < 100; i++) {
        AUTO_FREE char *key = mem_printf("%d", i);
        assert_int_equal(board(flight, key, &number), FLIGHT_LEAD);
        land(flight, key, i, 60000);
        assert_true(alive <= 4);
    }
    assert_int_equal(board(flight, "99", &number), FLIGHT_HIT);
    assert_int_equal(board(flight, "96", &number), FLIGHT_HIT);
    assert_int_equal(board(flight, "95", &number), FLIGHT_LEAD);
    land(flight, "95", 95, 60000);
    single_flight_free(flight);
    assert_int_equal(alive, 0);
}

static void failures(void **state)
{
    (void)state;
    struct single_flight *flight = new_flight(8, 1000, 60000);
    CLEANUP(error_clear) struct error why = ERROR_INIT;
    int number;
    error_set(&why, ERR_REGISTRY_AUTH, "no");
    assert_int_equal(board(flight, "a", &number), FLIGHT_LEAD);
    single_flight_land(flight, "a", NULL, 0, &why, NULL);
    assert_int_equal(board(flight, "a", &number), FLIGHT_FAILED); // remembered
    single_flight_clear(flight);
    assert_int_equal(board(flight, "a", &number), FLIGHT_LEAD);
    error_clear(&why);
    why = ERROR_INIT;
    error_set(&why, ERR_CANCELLED, "cancelled");
    single_flight_land(flight, "a", NULL, 0, &why, NULL);
    assert_int_equal(board(flight, "a", &number),
                     FLIGHT_LEAD); // one who gave up says nothing about the others
    single_flight_land(flight, "a", NULL, 0, &why, NULL);
    single_flight_free(flight);
}

static void failed_renewal_keeps_the_old(void **state)
{
    (void)state;
    struct single_flight *flight = new_flight(8, 1000, 60000);
    CLEANUP(error_clear) struct error why = ERROR_INIT;
    int number = 0;
    assert_int_equal(board(flight, "a", &number), FLIGHT_LEAD);
    struct value *value = make(1);
    single_flight_land(flight, "a", value, 60000, NULL, NULL);
    unref(value);
    single_flight_make_old(flight, "a");
    assert_int_equal(board(flight, "a", &number), FLIGHT_LEAD);
    assert_int_equal(board(flight, "a", &number), FLIGHT_HIT); // the others go on with it meanwhile
    error_set(&why, ERR_REGISTRY_ERROR, "down");
    void *old = NULL;
    single_flight_land(flight, "a", NULL, 0, &why, &old);
    assert_ptr_equal(old, value);
    unref(old);
    assert_int_equal(board(flight, "a", &number), FLIGHT_HIT);
    assert_int_equal(number, 1);
    single_flight_free(flight);
    assert_int_equal(alive, 0);
}

// --- many threads

struct crowd {
    struct single_flight *flight;
    pthread_barrier_t gate;
    atomic_int made;
    atomic_int hits;
    atomic_int failed;
    bool fail;
    struct monitor monitor;
};

static void *one_of_many(void *arg)
{
    struct crowd *crowd = arg;
    struct error err = ERROR_INIT;
    void *value = NULL;
    pthread_barrier_wait(&crowd->gate);
    switch (single_flight_board(crowd->flight, "key", &crowd->monitor, &value, &err)) {
    case FLIGHT_HIT:
        atomic_fetch_add(&crowd->hits, 1);
        unref(value);
        break;
    case FLIGHT_LEAD:
        atomic_fetch_add(&crowd->made, 1);
        usleep(50000); // the others arrive
        if (crowd->fail) {
            error_set(&err, ERR_REGISTRY_AUTH, "no");
            single_flight_land(crowd->flight, "key", NULL, 0, &err, NULL);
        } else {
            land(crowd->flight, "key", 1, 60000);
        }
        break;
    case FLIGHT_FAILED:
        atomic_fetch_add(&crowd->failed, 1);
        break;
    }
    error_clear(&err);
    return NULL;
}

enum { CROWD = 16 };

static void run_crowd(struct crowd *crowd)
{
    pthread_t threads[CROWD];
    pthread_barrier_init(&crowd->gate, NULL, CROWD);
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, one_of_many, crowd), 0);
    for (int i = 0; i < CROWD; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&crowd->gate);
}

static void one_makes_it_for_all(void **state)
{
    (void)state;
    struct crowd crowd = {.flight = new_flight(8, 30000, 60000)};
    run_crowd(&crowd);
    assert_int_equal(crowd.made, 1);
    assert_int_equal(crowd.hits, CROWD - 1);
    single_flight_free(crowd.flight);
    assert_int_equal(alive, 0);
}

static void one_fails_for_all(void **state)
{
    (void)state;
    struct crowd crowd = {.flight = new_flight(8, 30000, 60000), .fail = true};
    run_crowd(&crowd);
    assert_int_equal(crowd.made, 1);
    assert_int_equal(crowd.failed, CROWD - 1);
    single_flight_free(crowd.flight);
}

static void waiting_ends(void **state)
{
    (void)state;
    struct single_flight *flight = new_flight(8, 150, 0);
    int number;
    assert_int_equal(board(flight, "a", &number), FLIGHT_LEAD);
    assert_int_equal(board(flight, "a", &number), FLIGHT_FAILED); // nobody lands
    struct monitor monitor = {0};
    atomic_store(&monitor.cancelled, true);
    struct error err = ERROR_INIT;
    void *value;
    assert_int_equal(single_flight_board(flight, "a", &monitor, &value, &err), FLIGHT_FAILED);
    assert_int_equal(err.code, ERR_CANCELLED);
    error_clear(&err);
    land(flight, "a", 1, 60000);
    assert_int_equal(board(flight, "a", &number), FLIGHT_HIT);
    single_flight_free(flight);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hits_and_drops),
        cmocka_unit_test(bounded),
        cmocka_unit_test(failures),
        cmocka_unit_test(failed_renewal_keeps_the_old),
        cmocka_unit_test(one_makes_it_for_all),
        cmocka_unit_test(one_fails_for_all),
        cmocka_unit_test(waiting_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
