// SPDX-License-Identifier: Apache-2.0
//
// One tree, one digest: over runs, numbers of lanes, and everything around the daemon that must not matter.
// The short form runs with the other tests; DRAY_DETERMINISM_RUNS=1000 is the full one (as many runs, over 1
// to 16 lanes).
#include "layers/layers_fixture.h"

#include <pthread.h>
#include <time.h>

enum { FILES = 220 };

static uint32_t scramble(uint32_t x)
{
    x ^= x >> 16;
    x *= 0x7feb352d;
    x ^= x >> 15;
    x *= 0x846ca68b;
    return x ^ x >> 16;
}

static void make_file(const struct fixture *fx, const char *root, uint32_t number)
{
    static char text[400000];
    size_t len = number % 37 == 0 ? 300000 + number : scramble(number) % 60000;
    for (size_t i = 0; i < len;) {
        uint32_t word = scramble(number * 7919 + scramble((uint32_t)i) % 400) % 300;
        i += (size_t)snprintf(text + i, sizeof(text) - i, "%s%u ", word % 3 ? "value" : "return", word);
    }
    AUTO_FREE char *path = mem_printf("%s/dir%u/sub%u/file%u.js", root, number % 7, number % 3, number);
    fixture_bytes(fx, path, text, len, number % 5 ? 0644 : 0755);
}

// order: the names are made in another order, so readdir gives them in another.
static void make_tree(const struct fixture *fx, const char *root, bool backwards)
{
    for (uint32_t i = 0; i < FILES; i++)
        make_file(fx, root, backwards ? FILES - 1 - i : i);
}

static int group_setup(void **state)
{
    struct fixture *fx = mem_new(struct fixture);
    fixture_init(fx, 2);
    make_tree(fx, "src", false);
    fixture_copy(fx, "src", "/app");
    fixture_inline(fx, "/app/dir3/\xc3\xa4.txt", "inline");
    *state = fx;
    return 0;
}

static int group_teardown(void **state)
{
    fixture_fini(*state);
    free(*state);
    return 0;
}

static void pack_with(struct fixture *fx, size_t lanes, struct digest *ret)
{
    lanes_free(fx->lanes);
    fx->lanes = lanes_new(lanes, &fx->err);
    assert_non_null(fx->lanes);
    if (fixture_pack(fx) < 0)
        fail_msg("%s", fx->err.detail);
    *ret = fx->result.digest;
}

static void test_lanes_and_runs(void **state)
{
    struct fixture *fx = *state;
    static const struct {
        enum layer_algorithm algorithm;
        int level;
        size_t share; // of the runs
    } engines[] = {{LAYER_GZIP, LAYER_LEVEL_FAST, 1},
                   {LAYER_GZIP, LAYER_LEVEL_SMALL, 8},
                   {LAYER_ZSTD, 3, 4},
                   {LAYER_NONE, 0, 8}};
    const char *full = getenv("DRAY_DETERMINISM_RUNS");
    size_t runs = full ? (size_t)atol(full) : 16;
    for (size_t e = 0; e < sizeof(engines) / sizeof(engines[0]); e++) {
        fx->spec.algorithm = engines[e].algorithm;
        fx->spec.level = engines[e].level;
        struct digest first, again;
        pack_with(fx, 1, &first);
        for (size_t run = 0; run < runs; run += engines[e].share) {
            pack_with(fx, 1 + run % 16, &again);
            assert_string_equal(first.text, again.text);
        }
    }
    fx->spec.algorithm = LAYER_GZIP;
    fx->spec.level = LAYER_LEVEL_FAST;
}

static void test_surroundings(void **state)
{
    struct fixture *fx = *state;
    struct digest first, again;
    pack_with(fx, 2, &first);
    static const char *const zones[] = {"UTC", "Asia/Kathmandu", "America/St_Johns", ":/nowhere"};
    static const char *const locales[] = {"C", "C.UTF-8", "POSIX", ""};
    for (int i = 0; i < 16; i++) {
        mode_t before = umask((mode_t)(i * 0111 & 0777));
        setenv("TZ", zones[i % 4], 1);
        setenv("LANG", locales[i / 4], 1);
        setenv("LC_ALL", locales[i / 4], 1);
        tzset();
        setlocale(LC_ALL, locales[i / 4]);
        pack_with(fx, (size_t)(1 + i % 3), &again);
        umask(before);
        assert_string_equal(first.text, again.text);
    }
    unsetenv("LC_ALL");
}

static void test_other_order_times_and_place(void **state)
{
    struct fixture *fx = *state;
    struct digest first, again;
    pack_with(fx, 2, &first);
    make_tree(fx, "elsewhere/copy", true);
    AUTO_FREE char *path = fixture_path(fx, "elsewhere/copy/dir0");
    const struct timespec old[] = {{.tv_sec = 12345}, {.tv_sec = 12345}};
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    free(fx->spec.entries[0].from);
    fx->spec.entries[0].from = fixture_path(fx, "elsewhere/copy");
    pack_with(fx, 2, &again);
    assert_string_equal(first.text, again.text);
    free(fx->spec.entries[0].from);
    fx->spec.entries[0].from = fixture_path(fx, "src");
}

// --- several packs on one set of lanes
// -----------------------------------------------------------------------------

struct neighbour {
    struct fixture *fx;
    struct layer_result result;
    int status;
};

static int swallow(struct sink *sink, const void *bytes, size_t len, struct error *err)
{
    (void)sink, (void)bytes, (void)len, (void)err;
    return 0;
}

static void *pack_beside(void *argument)
{
    struct neighbour *neighbour = argument;
    struct sink sink = {.ops = &(struct sink_ops){.write = swallow}};
    struct error err = ERROR_INIT;
    neighbour->status = layer_pack(&neighbour->fx->spec, neighbour->fx->roots, NULL, neighbour->fx->lanes,
                                   &sink, NULL, &neighbour->result, &err);
    error_clear(&err);
    return NULL;
}

static void test_packs_side_by_side(void **state)
{
    struct fixture *fx = *state;
    struct digest first;
    pack_with(fx, 3, &first);
    struct neighbour neighbours[4];
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        neighbours[i] = (struct neighbour){.fx = fx};
        assert_int_equal(pthread_create(&threads[i], NULL, pack_beside, &neighbours[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(neighbours[i].status, 0);
        assert_string_equal(first.text, neighbours[i].result.digest.text);
    }
}

// --- failures on the way
// -------------------------------------------------------------------------------------------

static int full_disk(struct sink *sink, const void *bytes, size_t len, struct error *err)
{
    (void)sink, (void)bytes, (void)len;
    return error_set(err, ERR_NO_SPACE, "the disk is full");
}

static void test_sink_fails(void **state)
{
    struct fixture *fx = *state;
    struct sink sink = {.ops = &(struct sink_ops){.write = full_disk}};
    assert_int_equal(layer_pack(&fx->spec, fx->roots, NULL, fx->lanes, &sink, NULL, &fx->result, &fx->err),
                     -1);
    assert_int_equal(fx->err.code, ERR_NO_SPACE);
    assert_string_equal(fx->err.detail, "the disk is full");
    error_clear(&fx->err);
}

static void test_cancelled(void **state)
{
    struct fixture *fx = *state;
    struct sink sink = {.ops = &(struct sink_ops){.write = swallow}};
    struct monitor monitor = {.cancelled = true};
    assert_int_equal(
        layer_pack(&fx->spec, fx->roots, NULL, fx->lanes, &sink, &monitor, &fx->result, &fx->err), -1);
    assert_int_equal(fx->err.code, ERR_CANCELLED);
    error_clear(&fx->err);
    monitor.cancelled = false;
    assert_int_equal(
        layer_pack(&fx->spec, fx->roots, NULL, fx->lanes, &sink, &monitor, &fx->result, &fx->err), 0);
    assert_int_equal(monitor.current, fx->result.tar_size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lanes_and_runs),
        cmocka_unit_test(test_surroundings),
        cmocka_unit_test(test_other_order_times_and_place),
        cmocka_unit_test(test_packs_side_by_side),
        cmocka_unit_test(test_sink_fails),
        cmocka_unit_test(test_cancelled),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
