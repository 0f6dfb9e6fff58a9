// SPDX-License-Identifier: Apache-2.0
//
// A layer in two parts: what goes where, that each path goes somewhere exactly once, and that the survey of
// the whole knows the fingerprints of the parts.
#include "layers/layers_fixture.h"

#include "layers/split.h"

static void survey(struct fixture *fx, struct layer_survey *ret)
{
    if (layer_survey(&fx->spec, fx->roots, NULL, 0, NULL, ret, &fx->err) < 0)
        fail_msg("%s", fx->err.detail);
}

static void expect_part(struct fixture *fx, const struct layer_survey *surveyed, enum layer_part part,
                        const char *listing)
{
    fx->spec.part = part;
    fixture_expect(fx, listing);
    assert_string_equal(surveyed->fingerprint[part].text, fx->result.fingerprint.text);
    struct digest alone;
    bool stable;
    assert_int_equal(layer_fingerprint(&fx->spec, fx->roots, NULL, NULL, &alone, &stable, &fx->err), 0);
    assert_string_equal(surveyed->fingerprint[part].text, alone.text);
    fx->spec.part = LAYER_WHOLE;
}

static void make_tree(struct fixture *fx)
{
    fixture_file(fx, "src/index.js", "i");
    fixture_file(fx, "src/node_modules/left-pad/index.js", "l");
    fixture_link(fx, "src/node_modules/.bin/lp", "../left-pad/index.js");
    fixture_file(fx, "src/packages/a/a.js", "a");
    fixture_file(fx, "src/packages/a/node_modules/x/x.js", "x");
    fixture_file(fx, "src/lib/own.txt", "o");
    fixture_file(fx, "src/lib/dep.jar", "d");
    fixture_file(fx, "src/app.jar", "j");
    fixture_directory(fx, "src/empty", 0755);
    fixture_copy(fx, "src", "/app");
}

static void test_parts(void **state)
{
    struct fixture *fx = *state;
    struct layer_survey surveyed;
    make_tree(fx);
    survey(fx, &surveyed);
    assert_true(surveyed.splits);
    assert_int_equal(surveyed.files[LAYER_WHOLE], 8);
    assert_int_equal(surveyed.files[LAYER_DEPENDENCIES], 4);
    assert_int_equal(surveyed.files[LAYER_APPLICATION], 4);
    assert_int_equal(surveyed.bytes[LAYER_WHOLE], 7);
    assert_int_equal(surveyed.bytes[LAYER_DEPENDENCIES], 3);
    expect_part(fx, &surveyed, LAYER_DEPENDENCIES,
                "d 0755 0:0 0 app/\n"
                "d 0755 0:0 0 app/lib/\n"
                "f 0644 0:0 0 app/lib/dep.jar 1 d\n"
                "d 0755 0:0 0 app/node_modules/\n"
                "d 0755 0:0 0 app/node_modules/.bin/\n"
                "l 0777 0:0 0 app/node_modules/.bin/lp -> ../left-pad/index.js\n"
                "d 0755 0:0 0 app/node_modules/left-pad/\n"
                "f 0644 0:0 0 app/node_modules/left-pad/index.js 1 l\n"
                "d 0755 0:0 0 app/packages/\n"
                "d 0755 0:0 0 app/packages/a/\n"
                "d 0755 0:0 0 app/packages/a/node_modules/\n"
                "d 0755 0:0 0 app/packages/a/node_modules/x/\n"
                "f 0644 0:0 0 app/packages/a/node_modules/x/x.js 1 x\n");
    expect_part(fx, &surveyed, LAYER_APPLICATION,
                "d 0755 0:0 0 app/\n"
                "f 0644 0:0 0 app/app.jar 1 j\n"
                "d 0755 0:0 0 app/empty/\n"
                "f 0644 0:0 0 app/index.js 1 i\n"
                "d 0755 0:0 0 app/lib/\n"
                "f 0644 0:0 0 app/lib/own.txt 1 o\n"
                "d 0755 0:0 0 app/packages/\n"
                "d 0755 0:0 0 app/packages/a/\n"
                "f 0644 0:0 0 app/packages/a/a.js 1 a\n");
    fixture_pack(fx);
    assert_string_equal(surveyed.fingerprint[LAYER_WHOLE].text, fx->result.fingerprint.text);
}

static void test_a_change_stays_in_its_part(void **state)
{
    struct fixture *fx = *state;
    struct layer_survey before, after;
    make_tree(fx);
    survey(fx, &before);
    fixture_file(fx, "src/index.js", "changed");
    survey(fx, &after);
    assert_string_equal(before.fingerprint[LAYER_DEPENDENCIES].text,
                        after.fingerprint[LAYER_DEPENDENCIES].text);
    assert_string_not_equal(before.fingerprint[LAYER_APPLICATION].text,
                            after.fingerprint[LAYER_APPLICATION].text);
    before = after;
    fixture_file(fx, "src/node_modules/left-pad/index.js", "changed");
    survey(fx, &after);
    assert_string_equal(before.fingerprint[LAYER_APPLICATION].text,
                        after.fingerprint[LAYER_APPLICATION].text);
    assert_string_not_equal(before.fingerprint[LAYER_DEPENDENCIES].text,
                            after.fingerprint[LAYER_DEPENDENCIES].text);
}

static enum layer_below_kind nothing_below(const struct layer_below *below, const char *path,
                                           struct layer_below_node *ret)
{
    (void)below, (void)path, (void)ret;
    return LAYER_BELOW_ABSENT;
}

// Implied and hidden directories stand where something needs them; whiteouts go with the lower layer.
static void test_lazy_directories_and_whiteouts(void **state)
{
    struct fixture *fx = *state;
    static const struct layer_below nothing = {.lookup = nothing_below};
    const char *const exclude[] = {"deep", "!deep/er/node_modules/x", "!deep/er/y", NULL};
    struct layer_survey surveyed;
    fixture_file(fx, "src/deep/er/node_modules/x", "x");
    fixture_file(fx, "src/deep/er/y", "y");
    struct layer_entry *entry = fixture_copy(fx, "src", "/app");
    fixture_texts(&entry->exclude, &entry->n_exclude, exclude);
    fixture_inline(fx, "/opt/a/vendor/m/x", "x");
    fixture_inline(fx, "/srv/b/y", "y");
    fixture_entry(fx, LAYER_DELETE, NULL, "/etc/motd");
    fixture_entry(fx, LAYER_OPAQUE, NULL, "/srv/b");
    fx->spec.below = &nothing;
    survey(fx, &surveyed);
    expect_part(fx, &surveyed, LAYER_DEPENDENCIES,
                "d 0755 0:0 0 app/\n"
                "d 0755 0:0 0 app/deep/\n"
                "d 0755 0:0 0 app/deep/er/\n"
                "d 0755 0:0 0 app/deep/er/node_modules/\n"
                "f 0644 0:0 0 app/deep/er/node_modules/x 1 x\n"
                "d 0755 0:0 0 etc/\n"
                "f 0644 0:0 0 etc/.wh.motd 0\n"
                "d 0755 0:0 0 opt/\n"
                "d 0755 0:0 0 opt/a/\n"
                "d 0755 0:0 0 opt/a/vendor/\n"
                "d 0755 0:0 0 opt/a/vendor/m/\n"
                "f 0644 0:0 0 opt/a/vendor/m/x 1 x\n"
                "d 0755 0:0 0 srv/\n"
                "d 0755 0:0 0 srv/b/\n"
                "f 0644 0:0 0 srv/b/.wh..wh..opq 0\n");
    expect_part(fx, &surveyed, LAYER_APPLICATION,
                "d 0755 0:0 0 app/\n"
                "d 0755 0:0 0 app/deep/\n"
                "d 0755 0:0 0 app/deep/er/\n"
                "f 0644 0:0 0 app/deep/er/y 1 y\n"
                "d 0755 0:0 0 srv/\n"
                "d 0755 0:0 0 srv/b/\n"
                "f 0644 0:0 0 srv/b/y 1 y\n");
}

static void test_no_parts(void **state)
{
    struct fixture *fx = *state;
    struct layer_survey surveyed;
    fixture_file(fx, "src/node_modules/x", "x");
    fixture_copy(fx, "src/node_modules", "/app/node_modules");
    survey(fx, &surveyed);
    assert_false(surveyed.splits);
    fixture_entry(fx, LAYER_DELETE, NULL, "/etc/motd");
    survey(fx, &surveyed);
    assert_false(surveyed.splits);
}

static void test_names(void **state)
{
    (void)state;
    assert_true(split_takes_directory("node_modules"));
    assert_true(split_takes_directory("site-packages"));
    assert_false(split_takes_directory("node_modules2"));
    assert_false(split_takes_directory("src"));
    assert_true(split_takes_file("lib", "a.jar"));
    assert_false(split_takes_file("target", "a.jar"));
    assert_false(split_takes_file("lib", "a.js"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_parts),
        fixture_test(test_a_change_stays_in_its_part),
        fixture_test(test_lazy_directories_and_whiteouts),
        fixture_test(test_no_parts),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
