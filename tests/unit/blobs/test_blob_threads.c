// SPDX-License-Identifier: Apache-2.0
//
// Several workers write, read, evict and quarantine the same few blobs at once. What must hold: whoever holds
// a lease or a reader gets right bytes, and the counts are right when all are done.
#include "blob_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 4, ROUNDS = 150, BLOBS = 6, SIZE = 20000 };

static struct digest digests[BLOBS];
static char *contents[BLOBS];
static atomic_int wrong, reads;

static void work_write(struct fixture *f, unsigned which)
{
    enum error_code code =
        fixture_put(f, contents[which], SIZE, which % 2 ? &digests[which] : NULL, SIZE, NULL);
    if (code != ERR_NONE)
        atomic_fetch_add(&wrong, 1);
    if (blob_store_size(f->store, &digests[which]) != SIZE && which != 0) // 0 may be in quarantine
        atomic_fetch_add(&wrong, 1);
    blob_store_release(f->store, &digests[which]);
}

static void work_read(struct fixture *f, unsigned which)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    char buffer[SIZE];
    struct reader_at *reader = blob_store_read(f->store, &digests[which], &err);
    if (!reader) {
        if (err.code != ERR_NOT_FOUND)
            atomic_fetch_add(&wrong, 1);
        return;
    }
    atomic_fetch_add(&reads, 1);
    if (reader_at_read(reader, buffer, SIZE, 0, &err) != SIZE || memcmp(buffer, contents[which], SIZE) != 0)
        atomic_fetch_add(&wrong, 1);
    reader_at_close(reader);
}

static void *work(void *arg)
{
    struct fixture *f = arg;
    unsigned seed = (unsigned)(uintptr_t)pthread_self();
    for (int i = 0; i < ROUNDS; i++) {
        unsigned which = (unsigned)rand_r(&seed) % BLOBS;
        switch (rand_r(&seed) % 8) {
        case 0:
        case 1:
        case 2:
            work_write(f, which);
            break;
        case 3:
            blob_store_prune(f->store, SIZE, 0);
            break;
        case 4:
            blob_store_quarantine(f->store, &digests[0], "test");
            json_decref(blob_store_list(f->store, 10));
            break;
        default:
            work_read(f, which);
        }
    }
    return NULL;
}

static void test_at_once(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < BLOBS; i++) {
        contents[i] = fixture_content(i, SIZE);
        digests[i] = fixture_digest(contents[i], SIZE);
        fixture_add(f, i, SIZE);
    }
    fixture_reopen(f, 3 * SIZE);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, f), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&wrong), 0);
    assert_true(atomic_load(&reads) > 0);
    struct blob_store_stats stats = fixture_stats(f);
    assert_int_equal(stats.blobs, fixture_count(f, "blobs/sha256"));
    assert_int_equal(stats.bytes, stats.blobs * SIZE);
    assert_true(stats.bytes <= 3 * SIZE);
    blob_store_prune(f->store, 0, 0); // no lease was lost
    assert_int_equal(fixture_stats(f).blobs, 0);
    assert_int_equal(fixture_count(f, "tmp"), 0);
    for (unsigned i = 0; i < BLOBS; i++)
        free(contents[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_at_once, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
