// SPDX-License-Identifier: Apache-2.0
//
// Random trees, packed, and the tars read by GNU tar, bsdtar and Python, which must all see the same, and the
// same as what is on disk. DRAY_RANDOM_TREES=1000 is the full form.
#include "layers/layers_fixture.h"

#include <ftw.h>

struct random {
    uint64_t state;
};

static uint32_t roll(struct random *random, uint32_t sides)
{
    random->state = random->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random->state >> 33) % sides;
}

static char *random_name(struct random *random)
{
    static const char *const parts[] = {"a",
                                        "b",
                                        "-",
                                        ".x",
                                        "_",
                                        " ",
                                        "long-part-of-a-name",
                                        "\xc3\xa4",
                                        "\xe2\x98\xba",
                                        "1",
                                        "B",
                                        "~",
                                        "\\",
                                        "'",
                                        "\"",
                                        "\n",
                                        "$",
                                        "#",
                                        "\xf0\x9f\x90\xb3",
                                        "very-very-very-long"};
    struct strbuf name = STRBUF_INIT(200);
    strbuf_printf(&name, "n%u", roll(random, 1000));
    for (uint32_t i = roll(random, 9); i > 0; i--)
        strbuf_puts(&name, parts[roll(random, sizeof(parts) / sizeof(parts[0]))]);
    return strbuf_take(&name);
}

static void put_something(const struct fixture *fx, struct random *random, const char *path,
                          const char *previous)
{
    char text[5000];
    static const mode_t modes[] = {0644, 0755, 0600, 0444, 0700, 04755, 0666, 0640};
    size_t len = roll(random, 4) ? roll(random, 700) : roll(random, sizeof(text));
    memset(text, 'x', sizeof(text));
    AUTO_FREE char *full = fixture_path(fx, path);
    AUTO_FREE char *other = previous ? fixture_path(fx, previous) : NULL;
    struct stat st;
    switch (roll(random, 8)) {
    case 0:
        fixture_directory(fx, path, roll(random, 2) ? 0755 : 01777);
        break;
    case 1:
        fixture_link(fx, path, previous ? previous : "nowhere at all");
        break;
    case 2:
        if (other && lstat(other, &st) == 0 && S_ISREG(st.st_mode)) {
            fixture_parents(fx, path);
            assert_int_equal(link(other, full), 0);
            break;
        }
        // fall through
    default:
        fixture_bytes(fx, path, text, len, modes[roll(random, 8)]);
    }
}

static void make_tree(const struct fixture *fx, const char *root, uint64_t seed)
{
    struct random random = {.state = seed * 0x9e3779b97f4a7c15u + 1};
    AUTO_FREE char *folder = mem_strdup(root);
    AUTO_FREE char *previous = NULL;
    for (uint32_t i = 5 + roll(&random, 25); i > 0; i--) {
        AUTO_FREE char *name = random_name(&random);
        AUTO_FREE char *path = mem_printf("%s/%s", folder, name);
        AUTO_FREE char *full = fixture_path(fx, path);
        struct stat st;
        if (lstat(full, &st) == 0)
            continue;
        put_something(fx, &random, path, previous);
        if (lstat(full, &st) == 0 && S_ISDIR(st.st_mode) && strlen(path) < 600) {
            free(folder);
            folder = mem_strdup(path);
        } else if (roll(&random, 6) == 0) {
            free(folder);
            folder = mem_strdup(root);
        }
        free(previous);
        previous = mem_strdup(path);
    }
}

static int disk_entries;

static int count_entry(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)path, (void)st, (void)type, (void)where;
    disk_entries++;
    return 0;
}

// Entries in the layer, and bytes of each file, as on disk.
static void check_against_disk(struct fixture *fx, const char *root)
{
    AUTO_FREE char *full = fixture_path(fx, root);
    disk_entries = 0;
    assert_int_equal(nftw(full, count_entry, 16, FTW_PHYS), 0);
    assert_int_equal(fx->result.files, disk_entries);
}

static void test_random_trees(void **state)
{
    struct fixture *fx = *state;
    const char *full = getenv("DRAY_RANDOM_TREES");
    int trees = full ? atoi(full) : 25;
    struct strbuf command = STRBUF_INIT(1 << 20);
    for (int i = 0; i < trees; i++) {
        AUTO_FREE char *root = mem_printf("trees/t%d", i);
        AUTO_FREE char *tar = mem_printf("tars/%d.tar", i);
        fixture_directory(fx, root, 0755);
        make_tree(fx, root, (uint64_t)i);
        fx->spec.algorithm = i % 2 ? LAYER_NONE : LAYER_GZIP;
        struct layer_entry *entry = fixture_copy(fx, root, "/app");
        entry->mode = i % 3 ? NULL : mem_strdup("keep");
        entry->uid = i % 5 ? 0 : 3000000;
        fx->spec.mtime_s = i % 4 ? 0 : 1700000000;
        if (fixture_pack(fx) < 0)
            fail_msg("tree %d: %s", i, fx->err.detail);
        check_against_disk(fx, root);
        fixture_bytes(fx, tar, fx->blob.data, fx->blob.len, 0644);
        free(entry->from);
        free(entry->to);
        free(entry->pointer);
        free(entry->mode);
        *entry = (struct layer_entry){0};
        fx->spec.n_entries = 0;
    }
    strbuf_printf(&command,
                  "find %s/tars -name '*.tar' -print0 | xargs -0 python3 %s/support/tar_listings.py", fx->dir,
                  TESTS_DIR);
    assert_int_equal(system(strbuf_text(&command)), 0);
    strbuf_free(&command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {fixture_test(test_random_trees)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
