// SPDX-License-Identifier: Apache-2.0
//
// Random trees, packed, and the tars read by GNU tar, bsdtar and Python, which must all see the same, and the
// same as what is on disk. DRAY_RANDOM_TREES=1000 is the full form.
#include "layers/layers_fixture.h"

#include <sys/xattr.h>

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
                                        "very-very-very-long",
                                        "\x01",
                                        "=",
                                        "%"};
    static const char *const beginnings[] = {"n", "-", "--", "..", "\n", "\\", "=", "\xc3\xa9"};
    struct strbuf name = STRBUF_INIT(256);
    strbuf_printf(&name, "%s%u", roll(random, 3) ? "n" : beginnings[roll(random, 8)], roll(random, 1000));
    for (uint32_t i = roll(random, 9); i > 0; i--)
        strbuf_puts(&name, parts[roll(random, sizeof(parts) / sizeof(parts[0]))]);
    if (roll(random, 8) == 0) // longer than ustar's 100; at most the 255 of a file system
        strbuf_printf(&name, "%0*u", (int)(1 + roll(random, (uint32_t)(255 - name.len))), 7u);
    return strbuf_take(&name);
}

// Extended attributes; values of any bytes.
static void put_xattrs(struct random *random, const char *path)
{
    static const char *const names[] = {"user.a", "user.dray.test"};
    for (size_t i = 0; i < 2; i++) {
        char value[300];
        size_t len = roll(random, 2) ? roll(random, 9) : roll(random, sizeof(value));
        for (size_t j = 0; j < len; j++)
            value[j] = (char)(1 + roll(random, 255));
        if (roll(random, 2))
            assert_int_equal(setxattr(path, names[i], value, len, 0), 0);
    }
}

// Data, a hole, data, and a hole at the end.
static void put_sparse(const struct fixture *fx, struct random *random, const char *path)
{
    fixture_file(fx, path, "at the beginning");
    AUTO_FREE char *full = fixture_path(fx, path);
    AUTO_CLOSE int fd = open(full, O_WRONLY);
    assert_int_equal(pwrite(fd, "in the middle", 13, (off_t)(100000 + roll(random, 400000))), 13);
    assert_int_equal(ftruncate(fd, (off_t)(600000 + roll(random, 600000))), 0);
}

static void put_something(const struct fixture *fx, struct random *random, const char *path,
                          const char *previous)
{
    char text[5000];
    static const mode_t modes[] = {0644, 0755, 0600, 0444, 02711, 04755, 01666, 0640};
    static const mode_t directory_modes[] = {0755, 01777, 02775, 0700};
    size_t len = roll(random, 4) ? roll(random, 700) : roll(random, sizeof(text));
    memset(text, 'x', sizeof(text));
    AUTO_FREE char *full = fixture_path(fx, path);
    AUTO_FREE char *other = previous ? fixture_path(fx, previous) : NULL;
    struct stat st;
    switch (roll(random, 9)) {
    case 0:
        fixture_directory(fx, path, directory_modes[roll(random, 4)]);
        break;
    case 1:
        fixture_link(fx, path, previous ? previous : "nowhere at all");
        return;
    case 2:
        put_sparse(fx, random, path);
        break;
    case 3:
        if (other && lstat(other, &st) == 0 && S_ISREG(st.st_mode)) {
            fixture_parents(fx, path);
            assert_int_equal(link(other, full), 0);
            return;
        }
        // fall through
    default:
        fixture_bytes(fx, path, text, len, modes[roll(random, 8)]);
    }
    if (roll(random, 3) == 0)
        put_xattrs(random, full);
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
        if (lstat(full, &st) == 0 && S_ISDIR(st.st_mode) && roll(&random, 5) && strlen(path) < 600) {
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

// What the tar is made of besides the tree.
static void add_whiteouts(struct fixture *fx, struct random *random)
{
    if (roll(random, 2))
        fixture_entry(fx, LAYER_DELETE, NULL, "/app/-gone \n\xc3\xa4");
    if (roll(random, 2))
        fixture_entry(fx, LAYER_OPAQUE, NULL, "/app");
}

static void clear_entries(struct layer_spec *spec)
{
    for (size_t i = 0; i < spec->n_entries; i++) {
        struct layer_entry *entry = &spec->entries[i];
        free(entry->from);
        free(entry->to);
        free(entry->pointer);
        free(entry->mode);
        for (size_t j = 0; j < entry->n_xattrs; j++)
            free(entry->xattrs[j]);
        free(entry->xattrs);
        *entry = (struct layer_entry){0};
    }
    spec->n_entries = 0;
}

// Packs one tree and adds "FILE=TREE=NAME=MODE" to the command that judges.
static void pack_tree(struct fixture *fx, int i, struct strbuf *command)
{
    static const char *const xattrs[] = {"user.a", "user.dray.test", NULL};
    struct random random = {.state = (uint64_t)i};
    AUTO_FREE char *root = mem_printf("trees/t%d", i);
    AUTO_FREE char *tar = mem_printf("tars/%d.tar", i);
    bool top = i % 4 == 3, keep = i % 3 == 0;
    fixture_directory(fx, root, 0755);
    make_tree(fx, root, (uint64_t)i);
    fx->spec.algorithm = i % 2 ? LAYER_NONE : LAYER_GZIP;
    struct layer_entry *entry = fixture_copy(fx, root, top ? "/" : "/app");
    entry->mode = keep ? mem_strdup("keep") : NULL;
    entry->uid = i % 5 ? 0 : 3000000;
    fixture_texts(&entry->xattrs, &entry->n_xattrs, xattrs);
    fx->spec.mtime_s = i % 4 ? 0 : 1700000000;
    if (!top)
        add_whiteouts(fx, &random);
    if (fixture_pack(fx) < 0)
        fail_msg("tree %d: %s", i, fx->err.detail);
    fixture_bytes(fx, tar, fx->blob.data, fx->blob.len, 0644);
    clear_entries(&fx->spec);
    strbuf_printf(command, " %s/%s=%s/%s=%s=%s", fx->dir, tar, fx->dir, root, top ? "" : "app",
                  keep ? "keep" : "normal");
}

// In shares: one argument of a program may have 128 KiB.
static void test_random_trees(void **state)
{
    struct fixture *fx = *state;
    const char *full = getenv("DRAY_RANDOM_TREES");
    int trees = full ? atoi(full) : 60, share = 100;
    struct strbuf command = STRBUF_INIT(1 << 20);
    for (int i = 0; i < trees; i++) {
        if (i % share == 0)
            strbuf_printf(&command, "python3 %s/support/tar_listings.py", TESTS_DIR);
        pack_tree(fx, i, &command);
        if (i % share < share - 1 && i < trees - 1)
            continue;
        assert_int_equal(system(strbuf_text(&command)), 0);
        strbuf_reset(&command);
    }
    strbuf_free(&command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {fixture_test(test_random_trees)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
