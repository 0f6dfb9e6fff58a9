// SPDX-License-Identifier: Apache-2.0
//
// Several entries of one layer, merged: later ones win, directories become one, whiteouts and parents stand
// where the contract of layers/layer.h says.
#include "layers/layers_fixture.h"

static void test_directory_contents_land_under_to(void **state)
{
    struct fixture *fx = *state;
    fixture_file(fx, "src/b/x", "one");
    fixture_file(fx, "src/a-b", "two");
    fixture_file(fx, "src/a/y", "three");
    fixture_link(fx, "src/l", "/etc/passwd");
    fixture_copy(fx, "src", "/app");
    fixture_expect(fx, "d 0755 0:0 0 app/\n"
                       "d 0755 0:0 0 app/a/\n"
                       "f 0644 0:0 0 app/a/y 5 three\n"
                       "f 0644 0:0 0 app/a-b 3 two\n"
                       "d 0755 0:0 0 app/b/\n"
                       "f 0644 0:0 0 app/b/x 3 one\n"
                       "l 0777 0:0 0 app/l -> /etc/passwd\n");
}

static void test_trailing_slash_and_root(void **state)
{
    struct fixture *fx = *state;
    fixture_file(fx, "src/x", "x");
    fixture_copy(fx, "src", "/");
    fixture_copy(fx, "src", "/opt/");
    fixture_copy(fx, "src/x", "/bin/");
    fixture_copy(fx, "src/x", "/bin/y");
    fixture_expect(fx, "f 0644 0:0 0 bin/x 1 x\n"
                       "f 0644 0:0 0 bin/y 1 x\n"
                       "d 0755 0:0 0 opt/src/\n"
                       "f 0644 0:0 0 opt/src/x 1 x\n"
                       "f 0644 0:0 0 x 1 x\n");
}

static void test_later_entry_wins(void **state)
{
    struct fixture *fx = *state;
    fixture_file(fx, "one/x", "first");
    fixture_file(fx, "one/only1", "1");
    fixture_file(fx, "two/x", "second");
    fixture_file(fx, "two/only2", "2");
    fixture_copy(fx, "one", "/app");
    fixture_inline(fx, "/app/y", "inline");
    fixture_copy(fx, "two", "/app");
    fixture_expect(fx, "d 0755 0:0 0 app/\n"
                       "f 0644 0:0 0 app/only1 1 1\n"
                       "f 0644 0:0 0 app/only2 1 2\n"
                       "f 0644 0:0 0 app/x 6 second\n"
                       "f 0644 0:0 0 app/y 6 inline\n");
}

static void test_earlier_inline_loses(void **state)
{
    struct fixture *fx = *state;
    fixture_file(fx, "one/x", "disk");
    fixture_inline(fx, "/app/x", "inline");
    fixture_copy(fx, "one", "/app");
    fixture_expect(fx, "d 0755 0:0 0 app/\nf 0644 0:0 0 app/x 4 disk\n");
}

static void test_file_replaces_directory_and_back(void **state)
{
    struct fixture *fx = *state;
    fixture_file(fx, "one/d/deep", "deep");
    fixture_copy(fx, "one", "/app");
    fixture_inline(fx, "/app/d", "now a file");
    fixture_inline(fx, "/app/e", "file");
    fixture_inline(fx, "/app/e/f", "below a file that is older");
    fixture_expect(fx, "d 0755 0:0 0 app/\n"
                       "f 0644 0:0 0 app/d 10 now a file\n"
                       "d 0755 0:0 0 app/e/\n"
                       "f 0644 0:0 0 app/e/.wh..wh..opq 0\n"
                       "f 0644 0:0 0 app/e/f 26 below a file that is older\n");
}

// What stood below a file before the file came is gone even if the directory comes back, also of the image
// below.
static void test_directory_after_file_is_new(void **state)
{
    struct fixture *fx = *state;
    fixture_file(fx, "one/old", "old");
    fixture_file(fx, "two/new", "new");
    fixture_copy(fx, "one", "/d");
    fixture_inline(fx, "/d", "file");
    fixture_copy(fx, "two", "/d");
    fixture_expect(fx, "d 0755 0:0 0 d/\nf 0644 0:0 0 d/.wh..wh..opq 0\nf 0644 0:0 0 d/new 3 new\n");
}

static void test_attributes(void **state)
{
    struct fixture *fx = *state;
    fixture_bytes(fx, "src/tool", "#!", 2, 0700);
    fixture_bytes(fx, "src/secret", "s", 1, 0600);
    struct layer_entry *copy = fixture_copy(fx, "src", "/app");
    copy->uid = 1000;
    copy->gid = 1001;
    copy->has_mtime = true;
    copy->mtime_s = 77;
    struct layer_entry *kept = fixture_copy(fx, "src", "/kept");
    kept->mode = mem_strdup("keep");
    struct layer_entry *symbolic = fixture_copy(fx, "src", "/sym");
    symbolic->mode = mem_strdup("go=rX,u+w");
    fx->spec.mtime_s = 5;
    fixture_directory(fx, "src", 0711);
    fixture_expect(fx, "d 0755 1000:1001 77 app/\n"
                       "f 0644 1000:1001 77 app/secret 1 s\n"
                       "f 0755 1000:1001 77 app/tool 2 #!\n"
                       "d 0711 0:0 5 kept/\n"
                       "f 0600 0:0 5 kept/secret 1 s\n"
                       "f 0700 0:0 5 kept/tool 2 #!\n"
                       "d 0755 0:0 5 sym/\n"
                       "f 0644 0:0 5 sym/secret 1 s\n"
                       "f 0755 0:0 5 sym/tool 2 #!\n");
}

static void test_explicit_directory_keeps_its_attributes(void **state)
{
    struct fixture *fx = *state;
    fixture_file(fx, "src/x", "x");
    struct layer_entry *directory = fixture_entry(fx, LAYER_DIRECTORY, NULL, "/app");
    directory->uid = 7;
    directory->mode = mem_strdup("0750");
    fixture_copy(fx, "src", "/app");
    fixture_expect(fx, "d 0750 7:0 0 app/\nf 0644 0:0 0 app/x 1 x\n");
}

static void test_whiteouts_come_first(void **state)
{
    struct fixture *fx = *state;
    fixture_file(fx, "src/a", "a");
    fixture_copy(fx, "src", "/etc");
    fixture_entry(fx, LAYER_DELETE, NULL, "/etc/motd");
    fixture_entry(fx, LAYER_DELETE, NULL, "/etc/a");
    fixture_entry(fx, LAYER_OPAQUE, NULL, "/var/cache");
    fixture_expect(fx, "d 0755 0:0 0 etc/\n"
                       "f 0644 0:0 0 etc/.wh.a 0\n"
                       "f 0644 0:0 0 etc/.wh.motd 0\n"
                       "f 0644 0:0 0 var/cache/.wh..wh..opq 0\n");
}

static void test_delete_then_later_entries(void **state)
{
    struct fixture *fx = *state;
    fixture_file(fx, "src/new", "n");
    fixture_inline(fx, "/d/old", "gone");
    fixture_entry(fx, LAYER_DELETE, NULL, "/d");
    fixture_copy(fx, "src", "/d");
    fixture_entry(fx, LAYER_DELETE, NULL, "/f");
    fixture_inline(fx, "/f", "again");
    fixture_expect(fx, "d 0755 0:0 0 d/\n"
                       "f 0644 0:0 0 d/.wh..wh..opq 0\n"
                       "f 0644 0:0 0 d/new 1 n\n"
                       "f 0644 0:0 0 f 5 again\n");
}

static void test_hard_links(void **state)
{
    struct fixture *fx = *state;
    fixture_file(fx, "src/b", "same");
    AUTO_FREE char *from = fixture_path(fx, "src/b");
    AUTO_FREE char *to = fixture_path(fx, "src/a");
    assert_int_equal(link(from, to), 0);
    fixture_copy(fx, "src", "/x");
    fixture_copy(fx, "src", "/y");
    fixture_expect(fx, "d 0755 0:0 0 x/\n"
                       "f 0644 0:0 0 x/a 4 same\n"
                       "h x/b => x/a\n"
                       "d 0755 0:0 0 y/\n"
                       "f 0644 0:0 0 y/a 4 same\n"
                       "h y/b => y/a\n");
}

// --- what lies below
// -----------------------------------------------------------------------------------------------

static enum layer_below_kind lookup(const struct layer_below *below, const char *path,
                                    struct layer_below_node *ret)
{
    (void)below;
    if (strcmp(path, "tmp") == 0 || strcmp(path, "srv") == 0) {
        *ret = (struct layer_below_node){.mode = 01777, .gid = 3, .mtime_s = 9};
        return LAYER_BELOW_DIRECTORY;
    }
    if (strcmp(path, "lib") == 0) {
        *ret = (struct layer_below_node){.target = "usr/lib"};
        return LAYER_BELOW_SYMLINK;
    }
    return strcmp(path, "unknown") == 0 ? LAYER_BELOW_UNKNOWN : LAYER_BELOW_ABSENT;
}

static const struct layer_below BELOW = {.lookup = lookup};

static void test_directories_below_keep_attributes(void **state)
{
    struct fixture *fx = *state;
    fixture_file(fx, "src/tmp/x", "x");
    fixture_copy(fx, "src", "/");
    fixture_copy(fx, "src/tmp", "/srv");
    fixture_inline(fx, "/opt/a/b", "b");
    fixture_inline(fx, "/unknown/c", "c");
    fx->spec.below = &BELOW;
    fixture_expect(fx, "d 0755 0:0 0 opt/\n"
                       "d 0755 0:0 0 opt/a/\n"
                       "f 0644 0:0 0 opt/a/b 1 b\n"
                       "d 1777 0:3 9 srv/\n"
                       "f 0644 0:0 0 srv/x 1 x\n"
                       "d 1777 0:3 9 tmp/\n"
                       "f 0644 0:0 0 tmp/x 1 x\n"
                       "f 0644 0:0 0 unknown/c 1 c\n");
}

static void test_link_below_is_not_replaced(void **state)
{
    struct fixture *fx = *state;
    fixture_inline(fx, "/lib/x", "x");
    fx->spec.below = &BELOW;
    fixture_refuse(fx, ERR_CONFLICT, "/lib is a symbolic link to usr/lib");
    fixture_entry(fx, LAYER_DELETE, NULL, "/lib");
    fixture_inline(fx, "/lib/x", "x");
    fixture_expect(fx, "d 0755 0:0 0 lib/\nf 0644 0:0 0 lib/.wh..wh..opq 0\nf 0644 0:0 0 lib/x 1 x\n");
}

static void test_empty_spec_is_an_empty_tar(void **state)
{
    struct fixture *fx = *state;
    fixture_expect(fx, "");
    assert_int_equal(fx->result.tar_size, 1024);
    assert_int_equal(fx->result.files, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_directory_contents_land_under_to),
        fixture_test(test_trailing_slash_and_root),
        fixture_test(test_later_entry_wins),
        fixture_test(test_earlier_inline_loses),
        fixture_test(test_file_replaces_directory_and_back),
        fixture_test(test_directory_after_file_is_new),
        fixture_test(test_attributes),
        fixture_test(test_explicit_directory_keeps_its_attributes),
        fixture_test(test_whiteouts_come_first),
        fixture_test(test_delete_then_later_entries),
        fixture_test(test_hard_links),
        fixture_test(test_directories_below_keep_attributes),
        fixture_test(test_link_below_is_not_replaced),
        fixture_test(test_empty_spec_is_an_empty_tar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
