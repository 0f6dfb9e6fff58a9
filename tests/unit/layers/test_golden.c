// SPDX-License-Identifier: Apache-2.0
//
// The trees under tests/golden/layers and the layers that must come out of them, to the byte. See the
// README.md there.
#include "layers/layers_fixture.h"

enum { EXPECTED_MAX = 1 << 20 };

// What every golden layer is made of, besides its tree.
static void make_spec(struct fixture *fx, const char *name)
{
    const char *const ignore[] = {".dockerignore", NULL};
    roots_add(fx->roots, TESTS_DIR, &fx->err);
    struct layer_entry *entry = fixture_copy(fx, "x", "/app");
    free(entry->from);
    entry->from = mem_printf("%s/golden/layers/%s/tree", TESTS_DIR, name);
    fixture_texts(&entry->ignore_files, &entry->n_ignore_files, ignore);
    fixture_inline(fx, "/app/inline.txt", "inline\n")->mode = mem_strdup("0600");
    struct layer_entry *link = fixture_entry(fx, LAYER_SYMLINK, NULL, "/app/current");
    link->target = mem_strdup("/app/releases/7");
    struct layer_entry *directory = fixture_entry(fx, LAYER_DIRECTORY, NULL, "/var/lib/app");
    directory->uid = directory->gid = 1000;
    directory->mode = mem_strdup("0750");
    directory->has_mtime = true;
    directory->mtime_s = 1767225600;
    fixture_entry(fx, LAYER_DELETE, NULL, "/etc/motd");
    fixture_entry(fx, LAYER_OPAQUE, NULL, "/var/cache");
}

static void pack(struct fixture *fx)
{
    if (fixture_pack(fx) < 0)
        fail_msg("%s", fx->err.detail);
}

// The tar of the whole, and of the parts that split: "auto" makes of it.
static void describe_tars(struct fixture *fx, struct strbuf *out)
{
    static const char *const titles[] = {"", "dependencies:\n", "application:\n"};
    struct layer_survey survey;
    assert_int_equal(layer_survey(&fx->spec, fx->roots, NULL, 0, NULL, &survey, &fx->err), 0);
    fx->spec.algorithm = LAYER_NONE;
    for (enum layer_part part = LAYER_WHOLE; part < (survey.splits ? LAYER_PARTS : LAYER_DEPENDENCIES);
         part++) {
        fx->spec.part = part;
        pack(fx);
        strbuf_printf(out, "%s%sdiff_id %s\n", titles[part], fixture_list(fx), fx->result.diff_id.text);
    }
    fx->spec.part = LAYER_WHOLE;
}

static void describe(struct fixture *fx, struct strbuf *out)
{
    static const struct {
        enum layer_algorithm algorithm;
        int level;
        const char *title;
    } engines[] = {{LAYER_GZIP, LAYER_LEVEL_FAST, ""},
                   {LAYER_GZIP, LAYER_LEVEL_SMALL, ""},
                   {LAYER_ZSTD, 3, ""},
                   {LAYER_ZSTD, 19, ""},
                   {LAYER_ESTARGZ, LAYER_LEVEL_FAST, "estargz "},
                   {LAYER_ESTARGZ, LAYER_LEVEL_SMALL, "estargz "}};
    describe_tars(fx, out);
    for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++) {
        fx->spec.algorithm = engines[i].algorithm;
        fx->spec.level = engines[i].level;
        pack(fx);
        strbuf_printf(out, "%s%s level %d %s\n", engines[i].title, layer_engine(&fx->spec), engines[i].level,
                      fx->result.digest.text);
    }
}

// Behind the last line of a tar.
static size_t end_of_tars(const char *text)
{
    const char *end = NULL;
    for (const char *next = text; (next = strstr(next, "\ndiff_id ")); next++)
        end = next + 1;
    assert_non_null(end);
    return (size_t)(strchr(end, '\n') - text);
}

// Engine lines are compared only if they are of the engine that runs here.
static void compare(const char *expected, const char *got)
{
    size_t len = end_of_tars(expected);
    if (strncmp(expected, got, len + 1) != 0)
        fail_msg("expected:\n%s\ngot:\n%s", expected, got);
    AUTO_FREE char *lines = mem_strdup(got + len + 1);
    for (char *line = strtok(lines, "\n"); line; line = strtok(NULL, "\n")) {
        AUTO_FREE char *engine = mem_strndup(line, (size_t)(strstr(line, " sha256:") - line));
        const char *known = strstr(expected, engine);
        if (known && strncmp(known, line, strlen(line)) != 0)
            fail_msg("%s\nis not the golden\n%.*s", line, (int)strlen(line), known);
    }
}

static void check(const char *name)
{
    struct fixture fx;
    fixture_init(&fx, 2);
    make_spec(&fx, name);
    struct strbuf got = STRBUF_INIT(EXPECTED_MAX);
    describe(&fx, &got);
    AUTO_FREE char *path = mem_printf("%s/golden/layers/%s/expected", TESTS_DIR, name);
    if (getenv("DRAY_GOLDEN_UPDATE"))
        assert_int_equal(file_publish(path, got.data, got.len, 0644, &fx.err), 0);
    AUTO_FREE char *expected = file_read(path, EXPECTED_MAX, NULL, &fx.err);
    assert_non_null(expected);
    compare(expected, strbuf_text(&got));
    strbuf_free(&got);
    fixture_fini(&fx);
}

static void test_app(void **state)
{
    (void)state;
    check("app");
}

static void test_names(void **state)
{
    (void)state;
    check("names");
}

static void test_blocks(void **state)
{
    (void)state;
    check("blocks");
}

static void test_split(void **state)
{
    (void)state;
    check("split");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_app), cmocka_unit_test(test_names),
                                       cmocka_unit_test(test_blocks), cmocka_unit_test(test_split)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
