// SPDX-License-Identifier: Apache-2.0
//
// One tree, one digest: over runs, numbers of lanes, and everything around the daemon that must not matter.
// The short form runs with the other tests; DRAY_DETERMINISM_RUNS=1000 is the full one (as many runs, over 1
// to 16 lanes).
#include "layers/layers_fixture.h"

#include <ftw.h>
#include <pthread.h>
#include <sys/wait.h>
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

// step is prime to FILES: the names are made in another order, so readdir gives them in another.
static void make_tree(const struct fixture *fx, const char *root, uint32_t step)
{
    for (uint32_t i = 0; i < FILES; i++)
        make_file(fx, root, i * step % FILES);
}

static int group_setup(void **state)
{
    struct fixture *fx = mem_new(struct fixture);
    fixture_init(fx, 2);
    make_tree(fx, "src", 1);
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

// --- what lies around the daemon
// ------------------------------------------------------------------------------------

enum { ENVIRONMENTS = 50, PLACES = 4, NOBODY = 65534 };

struct environment {
    int number;
    char *places[PLACES]; // the same tree, made in other orders, one of them on a tmpfs
};

static char *make_tmpfs_tree(const struct fixture *fx)
{
    char top[] = "/dev/shm/dray-layers-XXXXXX";
    assert_non_null(mkdtemp(top));
    assert_int_equal(chmod(top, 0755), 0);
    struct error err = ERROR_INIT;
    assert_int_equal(roots_add(fx->roots, top, &err), 0);
    struct fixture beside = *fx;
    strcpy(beside.dir, top);
    make_tree(&beside, "tree", 7);
    return mem_printf("%s/tree", top);
}

static void make_places(const struct fixture *fx, struct environment *ret)
{
    static const uint32_t steps[] = {1, FILES - 1, 51};
    for (size_t i = 0; i < PLACES - 1; i++) {
        AUTO_FREE char *name = mem_printf("place%zu/a/b", i);
        make_tree(fx, name, steps[i]);
        ret->places[i] = fixture_path(fx, name);
    }
    ret->places[PLACES - 1] = make_tmpfs_tree(fx);
}

static int set_times(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)type, (void)where;
    const struct timespec when = {.tv_sec = 1000000000 + (long)scramble((uint32_t)st->st_ino) % 500000000};
    assert_int_equal(utimensat(AT_FDCWD, path, (const struct timespec[]){when, when}, AT_SYMLINK_NOFOLLOW),
                     0);
    return 0;
}

// Everything of the process that must not matter. In a child of its own.
static void settle(const struct fixture *fx, const struct environment *around)
{
    static const char *const zones[] = {"UTC", "Asia/Kathmandu", "America/St_Johns", ":/nowhere",
                                        "XYZ-13:45"};
    static const char *const locales[] = {"C", "C.UTF-8", "POSIX", "", "de_DE.UTF-8", "tr_TR.ISO-8859-9"};
    int i = around->number;
    umask((mode_t)(i * 0111 % 01000));
    setenv("TZ", zones[i % 5], 1);
    setenv("LANG", locales[i % 6], 1);
    setenv("LC_ALL", locales[i / 6 % 6], 1);
    setenv("HOME", i % 3 ? "/nonexistent" : fx->dir, 1);
    setenv("SOURCE_DATE_EPOCH", i % 2 ? "1" : "1800000000", 1); // counts in the daemon's configuration only
    tzset();
    setlocale(LC_ALL, i % 4 ? locales[i / 6 % 6] : "");
    static const char *const directories[] = {"/", "/proc/self", NULL};
    const char *directory = directories[i % 3] ? directories[i % 3] : fx->dir;
    assert_int_equal(chdir(directory), 0);
    if (geteuid() == 0 && i % 2)
        assert_int_equal(setresgid(NOBODY, NOBODY, NOBODY) | setresuid(NOBODY, NOBODY, NOBODY), 0);
}

static void pack_around(struct fixture *fx, const struct environment *around, struct digest *ret)
{
    settle(fx, around);
    free(fx->spec.entries[0].from);
    fx->spec.entries[0].from = mem_strdup(around->places[around->number % PLACES]);
    pack_with(fx, (size_t)(1 + around->number % 16), ret);
}

static void pack_in_child(struct fixture *fx, const struct environment *around, struct digest *ret)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct digest digest = {0};
        pack_around(fx, around, &digest);
        lanes_free(fx->lanes);
        _exit(write(ends[1], &digest, sizeof(digest)) == sizeof(digest) ? 0 : 1);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], ret, sizeof(*ret)), sizeof(*ret));
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void test_fifty_environments(void **state)
{
    struct fixture *fx = *state;
    struct digest first, again;
    pack_with(fx, 2, &first);
    lanes_free(fx->lanes); // a child has threads of its own
    fx->lanes = NULL;
    assert_int_equal(chmod(fx->dir, 0755), 0);
    struct environment around = {0};
    make_places(fx, &around);
    for (; around.number < ENVIRONMENTS; around.number++) {
        assert_int_equal(nftw(around.places[around.number % PLACES], set_times, 16, FTW_PHYS), 0);
        pack_in_child(fx, &around, &again);
        if (strcmp(first.text, again.text) != 0)
            fail_msg("environment %d: %s, not %s", around.number, again.text, first.text);
    }
    *strrchr(around.places[PLACES - 1], '/') = '\0';
    assert_int_equal(file_remove_tree(AT_FDCWD, around.places[PLACES - 1], &fx->err), 0);
    for (size_t i = 0; i < PLACES; i++)
        free(around.places[i]);
    pack_with(fx, 2, &again);
    assert_string_equal(first.text, again.text);
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
        cmocka_unit_test(test_lanes_and_runs),     cmocka_unit_test(test_fifty_environments),
        cmocka_unit_test(test_packs_side_by_side), cmocka_unit_test(test_sink_fails),
        cmocka_unit_test(test_cancelled),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
