// SPDX-License-Identifier: Apache-2.0
//
// The lanes: every job runs once, jobs of a chain in order and one at a time, whatever the number of lanes.
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "layers/lanes.h"

enum { JOBS = 2000 };

struct counted {
    struct lanes_job job;
    size_t number;
    size_t runs;
};

static size_t order[JOBS];
static size_t n_order; // not atomic: a chain must need no lock
static atomic_int inside;

static void run_in_chain(struct lanes_job *job, struct compressor *compressor)
{
    (void)compressor;
    struct counted *counted = container_of(job, struct counted, job);
    assert_int_equal(atomic_fetch_add(&inside, 1), 0);
    order[n_order++] = counted->number;
    counted->runs++;
    atomic_fetch_sub(&inside, 1);
}

static void run_alone(struct lanes_job *job, struct compressor *compressor)
{
    assert_non_null(compressor);
    container_of(job, struct counted, job)->runs++;
}

static void test_chain_and_others(void **state)
{
    (void)state;
    struct counted *chained = mem_calloc(JOBS, sizeof(*chained)), *others = mem_calloc(JOBS, sizeof(*others));
    for (size_t count = 1; count <= 8; count *= 2) {
        struct error err = ERROR_INIT;
        struct lanes *lanes = lanes_new(count, &err);
        struct lanes_chain chain;
        lanes_chain_init(&chain);
        lanes_enter(lanes);
        n_order = 0;
        for (size_t i = 0; i < JOBS; i++) {
            chained[i] = (struct counted){.job.run = run_in_chain, .number = i};
            others[i] = (struct counted){.job.run = run_alone};
            lanes_submit_next(lanes, &chain, &chained[i].job);
            lanes_submit(lanes, &others[i].job);
        }
        for (size_t i = 0; i < JOBS; i++) {
            lanes_wait(lanes, &chained[JOBS - 1 - i].job);
            lanes_wait(lanes, &others[i].job);
            assert_true(lanes_done(lanes, &others[i].job));
        }
        for (size_t i = 0; i < JOBS; i++) {
            assert_int_equal(order[i], i);
            assert_int_equal(chained[i].runs, 1);
            assert_int_equal(others[i].runs, 1);
        }
        lanes_leave(lanes);
        lanes_free(lanes);
    }
    free(chained);
    free(others);
}

static void test_counts(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    static const size_t asked[] = {0, 1, 5, 1000}, least[] = {1, 1, 5, LANES_MAX},
                        most[] = {LANES_MAX, 1, 5, LANES_MAX};
    for (size_t i = 0; i < 4; i++) {
        struct lanes *lanes = lanes_new(asked[i], &err);
        assert_non_null(lanes);
        assert_in_range(lanes_count(lanes), least[i], most[i]);
        lanes_free(lanes);
    }
    lanes_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_chain_and_others),
                                       cmocka_unit_test(test_counts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
