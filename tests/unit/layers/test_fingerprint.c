// SPDX-License-Identifier: Apache-2.0
//
// What the input fingerprint must notice and what it must not, and when it may be trusted.
#include "layers/layers_fixture.h"

#include <time.h>

#include "layers/fingerprint.h"

static void take(struct fixture *fx, struct digest *ret, bool *ret_stable)
{
    if (layer_fingerprint(&fx->spec, fx->roots, NULL, NULL, ret, ret_stable, &fx->err) < 0)
        fail_msg("%s", fx->err.detail);
}

// Until the clock that stamps files has moved on.
static void wait_for_the_clock(void)
{
    struct timespec start, now;
    clock_gettime(CLOCK_REALTIME, &start);
    do {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        clock_gettime(CLOCK_REALTIME_COARSE, &now);
    } while (now.tv_sec < start.tv_sec || (now.tv_sec == start.tv_sec && now.tv_nsec <= start.tv_nsec));
}

static void make_tree(struct fixture *fx)
{
    fixture_file(fx, "src/a", "aaa");
    fixture_file(fx, "src/d/b", "bbb");
    fixture_file(fx, "src/d/tmp", "ttt");
    fixture_link(fx, "src/l", "a");
    const char *const exclude[] = {"**/tmp", NULL};
    struct layer_entry *entry = fixture_copy(fx, "src", "/app");
    fixture_texts(&entry->exclude, &entry->n_exclude, exclude);
    fixture_inline(fx, "/app/inline", "text");
    wait_for_the_clock();
}

static void test_same_tree(void **state)
{
    struct fixture *fx = *state;
    make_tree(fx);
    struct digest first, second;
    bool stable;
    take(fx, &first, &stable);
    assert_true(stable);
    assert_int_equal(fixture_pack(fx), 0);
    assert_true(fx->result.stable);
    assert_true(digest_equal(&first, &fx->result.fingerprint));
    // What is left out does not count.
    fixture_file(fx, "src/d/tmp", "other");
    fixture_file(fx, "src/d/deeper/tmp", "other");
    AUTO_FREE char *folder = fixture_path(fx, "src/d/deeper");
    AUTO_FREE char *file = fixture_path(fx, "src/d/deeper/tmp");
    unlink(file);
    rmdir(folder);
    wait_for_the_clock();
    take(fx, &second, &stable);
    assert_true(stable);
    assert_true(digest_equal(&first, &second));
}

static void write_again(struct fixture *fx)
{
    fixture_file(fx, "src/a", "AAA");
}
static void add_file(struct fixture *fx)
{
    fixture_file(fx, "src/new", "");
}
static void add_directory(struct fixture *fx)
{
    fixture_directory(fx, "src/empty", 0755);
}
static void remove_file(struct fixture *fx)
{
    AUTO_FREE char *path = fixture_path(fx, "src/d/b");
    assert_int_equal(unlink(path), 0);
}
static void rename_file(struct fixture *fx)
{
    AUTO_FREE char *from = fixture_path(fx, "src/new");
    AUTO_FREE char *to = fixture_path(fx, "src/new2");
    assert_int_equal(rename(from, to), 0);
}
static void make_executable(struct fixture *fx)
{
    AUTO_FREE char *path = fixture_path(fx, "src/a");
    assert_int_equal(chmod(path, 0755), 0);
}
static void turn_link(struct fixture *fx)
{
    AUTO_FREE char *path = fixture_path(fx, "src/l");
    assert_int_equal(unlink(path), 0);
    fixture_link(fx, "src/l", "b");
}
static void replace_with_equal_file(struct fixture *fx)
{
    AUTO_FREE char *from = fixture_path(fx, "other");
    AUTO_FREE char *to = fixture_path(fx, "src/a");
    fixture_file(fx, "other", "AAA");
    struct stat st;
    assert_int_equal(stat(to, &st), 0);
    const struct timespec times[] = {st.st_atim, st.st_mtim};
    assert_int_equal(utimensat(AT_FDCWD, from, times, 0), 0);
    assert_int_equal(rename(from, to), 0);
}
static void change_mode_rule(struct fixture *fx)
{
    fx->spec.entries[0].mode = mem_strdup("0600");
}
static void change_owner(struct fixture *fx)
{
    fx->spec.entries[0].uid = 3;
}
static void change_time(struct fixture *fx)
{
    fx->spec.mtime_s = 3;
}
static void change_target(struct fixture *fx)
{
    fx->spec.entries[0].to[1] = 'o';
}
static void change_inline(struct fixture *fx)
{
    ((char *)fx->spec.entries[1].data)[0] = 'T';
}
static void change_algorithm(struct fixture *fx)
{
    fx->spec.algorithm = LAYER_ZSTD;
}
static void change_level(struct fixture *fx)
{
    fx->spec.level = 5;
}

static void test_every_change_is_noticed(void **state)
{
    struct fixture *fx = *state;
    static void (*const changes[])(struct fixture *) = {
        write_again,     add_file,      add_directory,           rename_file,      remove_file,
        make_executable, turn_link,     replace_with_equal_file, change_mode_rule, change_owner,
        change_time,     change_target, change_inline,           change_algorithm, change_level};
    make_tree(fx);
    struct digest seen[32];
    bool stable;
    take(fx, &seen[0], &stable);
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        changes[i](fx);
        wait_for_the_clock();
        take(fx, &seen[i + 1], &stable);
        for (size_t j = 0; j <= i; j++)
            if (digest_equal(&seen[j], &seen[i + 1]))
                fail_msg("change %zu gives the fingerprint of state %zu", i, j);
    }
}

// A file that was there only while the layer was packed must not be found again without it.
static int add_file_now(struct sink *sink, const void *bytes, size_t len, struct error *err)
{
    (void)sink, (void)bytes, (void)len, (void)err;
    return 0;
}

static void test_fingerprint_is_of_what_was_packed(void **state)
{
    struct fixture *fx = *state;
    make_tree(fx);
    struct digest before;
    bool stable;
    take(fx, &before, &stable);
    fixture_file(fx, "src/z", "came in between");
    struct sink sink = {.ops = &(struct sink_ops){.write = add_file_now}};
    assert_int_equal(layer_pack(&fx->spec, fx->roots, NULL, fx->lanes, &sink, NULL, &fx->result, &fx->err),
                     0);
    assert_false(digest_equal(&before, &fx->result.fingerprint));
}

// --- racy
// ----------------------------------------------------------------------------------------------------------

static void test_racy_rule(void **state)
{
    (void)state;
    const struct timespec since = {.tv_sec = 1000, .tv_nsec = 500};
    static const struct {
        time_t s;
        long ns;
        bool slow, racy;
    } cases[] = {
        {1000, 499, false, false}, {1000, 500, false, true},
        {1000, 501, false, true},  {999, 999999999, false, false},
        {1001, 1, false, true},    {5000, 1, false, true},
        {1, 1, false, false}, // a time in the future is racy
        {1000, 0, false, true},    {999, 0, false, true},
        {998, 0, false, false}, // whole seconds: two back
        {997, 0, false, false},    {990, 7, true, true},
        {940, 600, true, true},    {940, 499, true, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct timespec stamp = {.tv_sec = cases[i].s, .tv_nsec = cases[i].ns};
        if (fingerprint_racy(&stamp, &since, cases[i].slow) != cases[i].racy)
            fail_msg("case %zu", i);
    }
}

// mtime may be set at will, ctime not: a file with an old mtime that was just written is racy.
static void test_future_mtime_is_racy(void **state)
{
    struct fixture *fx = *state;
    make_tree(fx);
    AUTO_FREE char *path = fixture_path(fx, "src/a");
    const struct timespec future[] = {{.tv_sec = 4000000000}, {.tv_sec = 4000000000}};
    assert_int_equal(utimensat(AT_FDCWD, path, future, 0), 0);
    wait_for_the_clock();
    struct digest digest;
    bool stable;
    take(fx, &digest, &stable);
    assert_false(stable);
}

static void test_tar_source(void **state)
{
    struct fixture *fx = *state;
    char zeros[10240] = {0};
    fixture_bytes(fx, "t.tar", zeros, sizeof(zeros), 0644);
    fixture_entry(fx, LAYER_TAR, "t.tar", "/srv");
    wait_for_the_clock();
    struct digest before, after;
    bool stable;
    take(fx, &before, &stable);
    assert_true(stable);
    assert_int_equal(fixture_pack(fx), 0);
    assert_true(digest_equal(&before, &fx->result.fingerprint));
    fixture_bytes(fx, "t.tar", zeros, sizeof(zeros), 0644);
    take(fx, &after, &stable);
    assert_false(digest_equal(&before, &after));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_same_tree),
        fixture_test(test_every_change_is_noticed),
        fixture_test(test_fingerprint_is_of_what_was_packed),
        cmocka_unit_test(test_racy_rule),
        fixture_test(test_future_mtime_is_racy),
        fixture_test(test_tar_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
