// SPDX-License-Identifier: Apache-2.0
//
// Existing layers: several made into one, one compressed anew, and what they say of directories and links.
#include "layers/layers_fixture.h"

#include "base/stream.h"
#include "layers/below.h"

enum { LAYERS_MAX = 6 };

struct stack {
    struct reader_at *blobs[LAYERS_MAX];
    size_t n;
};

static void put(struct archive *archive, const char *path, unsigned type, mode_t mode, const char *text)
{
    struct archive_entry *entry = archive_entry_new();
    archive_entry_copy_pathname(entry, path);
    archive_entry_set_mode(entry, mode);
    archive_entry_set_filetype(entry, type);
    archive_entry_set_uid(entry, 5);
    archive_entry_set_gid(entry, 6);
    archive_entry_set_mtime(entry, 77, 0);
    if (type == AE_IFLNK)
        archive_entry_copy_symlink(entry, text);
    else if (type == AE_IFREG && mode == 0)
        archive_entry_copy_hardlink(entry, text);
    else if (type == AE_IFREG)
        archive_entry_set_size(entry, (la_int64_t)strlen(text));
    if (type == AE_IFCHR) {
        archive_entry_set_rdevmajor(entry, 1);
        archive_entry_set_rdevminor(entry, 3);
    }
    assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
    if (type == AE_IFREG && mode != 0)
        archive_write_data(archive, text, strlen(text));
    archive_entry_free(entry);
}

// lines: "d path", "f path text", "l path target", "h path target", "c path", "x path" (a file with an
// attribute)
static void push_layer(struct stack *stack, const char *const *lines)
{
    static char memory[1 << 20];
    size_t used = 0;
    setlocale(LC_CTYPE, "C.UTF-8");
    struct archive *archive = archive_write_new();
    archive_write_set_format_pax_restricted(archive);
    archive_write_add_filter_gzip(archive);
    assert_int_equal(archive_write_open_memory(archive, memory, sizeof(memory), &used), ARCHIVE_OK);
    for (size_t i = 0; lines[i]; i++) {
        char path[200] = "", text[200] = "";
        sscanf(lines[i] + 2, "%199s %199s", path, text);
        switch (lines[i][0]) {
        case 'd':
            put(archive, path, AE_IFDIR, 0711, NULL);
            break;
        case 'l':
            put(archive, path, AE_IFLNK, 0777, text);
            break;
        case 'h':
            put(archive, path, AE_IFREG, 0, text);
            break;
        case 'c':
            put(archive, path, AE_IFCHR, 0600, NULL);
            break;
        default:
            put(archive, path, AE_IFREG, 04750, text);
            break;
        }
    }
    archive_write_close(archive);
    archive_write_free(archive);
    stack->blobs[stack->n++] = reader_at_bytes(memory, used);
}

#define PUSH(stack, ...) push_layer(stack, (const char *const[]){__VA_ARGS__, NULL})

static void make_spec(struct fixture *fx, const struct stack *stack)
{
    for (size_t i = 0; i < stack->n; i++)
        fixture_entry(fx, LAYER_LAYER, NULL, "/")->context_reader = stack->blobs[i];
}

static void close_stack(struct stack *stack)
{
    for (size_t i = 0; i < stack->n; i++)
        reader_at_close(stack->blobs[i]);
}

static void test_three_layers_become_one(void **state)
{
    struct fixture *fx = *state;
    struct stack stack = {.n = 0};
    PUSH(&stack, "d etc/", "f etc/motd hello", "f etc/passwd root", "d var/", "d var/cache/",
         "f var/cache/old x", "l lib usr/lib", "c dev/null", "d opt/", "f opt/a a", "f gone x");
    PUSH(&stack, "f etc/.wh.motd -", "f etc/passwd changed", "d var/", "d var/cache/",
         "f var/cache/.wh..wh..opq -", "f var/cache/new y", "f .wh.gone -", "f .wh..wh.plnk -");
    PUSH(&stack, "f opt/.wh.a -", "f opt/b b", "h etc/hard etc/passwd");
    make_spec(fx, &stack);
    fx->spec.drop_whiteouts = true;
    fixture_expect(fx, "c 0600 5:6 77 dev/null\n"
                       "d 0711 5:6 77 etc/\n"
                       "f 4750 5:6 77 etc/hard 7 changed\n"
                       "h etc/passwd => etc/hard\n"
                       "l 0777 5:6 77 lib -> usr/lib\n"
                       "d 0711 5:6 77 opt/\n"
                       "f 4750 5:6 77 opt/b 1 b\n"
                       "d 0711 5:6 77 var/\n"
                       "d 0711 5:6 77 var/cache/\n"
                       "f 4750 5:6 77 var/cache/new 1 y\n");
    close_stack(&stack);
}

// Above a base that stays, the whiteouts stay, too: what they hid may lie in the base as well.
static void test_whiteouts_stay_above_a_base(void **state)
{
    struct fixture *fx = *state;
    struct stack stack = {.n = 0};
    PUSH(&stack, "f etc/.wh.motd -", "f opt/a a", "f x file", "d z/", "f z/.wh..wh..opq -", "f z/1 1");
    PUSH(&stack, "f opt/.wh.a -", "f etc/motd new", "d x/", "f x/inside i", "f y/.wh..wh..opq -", "f z/2 2");
    make_spec(fx, &stack);
    fixture_expect(fx, "f 4750 5:6 77 etc/motd 3 new\n"
                       "f 0644 0:0 0 opt/.wh.a 0\n"
                       "d 0711 5:6 77 x/\n"
                       "f 0644 0:0 0 x/.wh..wh..opq 0\n"
                       "f 4750 5:6 77 x/inside 1 i\n"
                       "d 0755 0:0 0 y/\n"
                       "f 0644 0:0 0 y/.wh..wh..opq 0\n"
                       "d 0711 5:6 77 z/\n"
                       "f 0644 0:0 0 z/.wh..wh..opq 0\n"
                       "f 4750 5:6 77 z/1 1 1\n"
                       "f 4750 5:6 77 z/2 1 2\n");
    close_stack(&stack);
}

// A tar may name a file twice; and files may be put on top of layers.
static void test_with_other_entries(void **state)
{
    struct fixture *fx = *state;
    struct stack stack = {.n = 0};
    PUSH(&stack, "d etc/", "f etc/a 1", "f etc/a 2");
    make_spec(fx, &stack);
    fixture_inline(fx, "/etc/b", "inline");
    fixture_expect(fx, "d 0711 5:6 77 etc/\nf 4750 5:6 77 etc/a 1 2\nf 0644 0:0 0 etc/b 6 inline\n");
    close_stack(&stack);
}

static void test_bad_layers(void **state)
{
    struct fixture *fx = *state;
    struct stack stack = {.n = 0};
    struct layer_entry *entry = fixture_entry(fx, LAYER_LAYER, NULL, "/");
    static const struct {
        const char *line, *text;
    } cases[] = {
        {"f ../x x", "\"..\""}, {"h a nowhere", "hard link"}, {"f etc/.wh. -", "whiteout of nothing"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        PUSH(&stack, cases[i].line);
        entry->context_reader = stack.blobs[i];
        fixture_refuse(fx, ERR_UNSUPPORTED_FILE, cases[i].text);
    }
    entry->context_reader = NULL;
    fixture_refuse(fx, ERR_NOT_FOUND, "the layer");
    close_stack(&stack);
}

// --- compressed anew
// -----------------------------------------------------------------------------------------------

static void test_recompress(void **state)
{
    struct fixture *fx = *state;
    AUTO_FREE char *bytes = mem_alloc(3 << 20);
    for (size_t i = 0; i < 3 << 20; i++)
        bytes[i] = (char)(i * 7919 % 251 + i / 5000);
    fixture_bytes(fx, "src/big", bytes, 3 << 20, 0644);
    fixture_file(fx, "src/small", "small");
    fixture_copy(fx, "src", "/app");
    assert_int_equal(fixture_pack(fx), 0);
    struct reader_at *blob = reader_at_bytes(fx->blob.data, fx->blob.len);
    static const struct {
        enum layer_algorithm algorithm;
        int level;
    } targets[] = {{LAYER_ZSTD, 3}, {LAYER_GZIP, LAYER_LEVEL_SMALL}, {LAYER_NONE, 0}};
    AUTO_FREE char *listing = mem_strdup(fixture_list(fx));
    for (size_t i = 0; i < 3; i++) {
        struct layer_result result;
        struct memory_sink memory = {.sink.ops = &MEMORY_SINK, .buf = &fx->blob};
        strbuf_reset(&fx->blob);
        assert_int_equal(layer_recompress(blob, targets[i].algorithm, targets[i].level, "x", fx->lanes,
                                          &memory.sink, NULL, &result, &fx->err),
                         0);
        assert_string_equal(result.diff_id.text, fx->result.diff_id.text);
        assert_string_equal(fixture_list(fx), listing);
        layer_result_clear(&result);
    }
    reader_at_close(blob);
}

static void test_recompress_refuses(void **state)
{
    struct fixture *fx = *state;
    struct layer_result result;
    struct memory_sink memory = {.sink.ops = &MEMORY_SINK, .buf = &fx->blob};
    fixture_file(fx, "src/x", "some text to compress, to compress, to compress");
    fixture_copy(fx, "src", "/app");
    assert_int_equal(fixture_pack(fx), 0);
    struct reader_at *cut = reader_at_bytes(fx->blob.data, fx->blob.len - 20);
    assert_int_equal(
        layer_recompress(cut, LAYER_ZSTD, 3, "x", fx->lanes, &memory.sink, NULL, &result, &fx->err), -1);
    assert_int_equal(fx->err.code, ERR_UNSUPPORTED_FILE);
    error_clear(&fx->err);
    assert_int_equal(
        layer_recompress(cut, LAYER_ZSTD, 30, "x", fx->lanes, &memory.sink, NULL, &result, &fx->err), -1);
    assert_int_equal(fx->err.code, ERR_INVALID_REQUEST);
    reader_at_close(cut);
}

// --- what lies below
// -----------------------------------------------------------------------------------------------

static void expect_below(const struct below *below, const char *path, enum layer_below_kind kind,
                         const char *target)
{
    struct layer_below_node node = {0};
    const struct layer_below *view = below_view(below);
    if (view->lookup(view, path, &node) != kind)
        fail_msg("%s is another kind", path);
    if (kind == LAYER_BELOW_DIRECTORY && strcmp(path, "made") != 0) {
        assert_int_equal(node.mode, 0711);
        assert_int_equal(node.gid, 6);
    }
    if (target)
        assert_string_equal(node.target, target);
}

static void check_below(const struct below *below)
{
    expect_below(below, "etc", LAYER_BELOW_DIRECTORY, NULL);
    expect_below(below, "lib", LAYER_BELOW_SYMLINK, "usr/lib");
    expect_below(below, "etc/passwd", LAYER_BELOW_ABSENT, NULL);
    expect_below(below, "removed", LAYER_BELOW_ABSENT, NULL);
    expect_below(below, "removed/deep", LAYER_BELOW_ABSENT, NULL);
    expect_below(below, "turned", LAYER_BELOW_SYMLINK, "etc");
    expect_below(below, "made", LAYER_BELOW_DIRECTORY, NULL);
    expect_below(below, "emptied", LAYER_BELOW_DIRECTORY, NULL);
    expect_below(below, "emptied/x", LAYER_BELOW_ABSENT, NULL);
    assert_int_equal(below_count(below), 5);
}

static void test_below(void **state)
{
    struct fixture *fx = *state;
    struct stack stack = {.n = 0};
    PUSH(&stack, "d etc/", "f etc/passwd x", "l lib usr/lib", "d removed/", "d removed/deep/", "d turned/",
         "d turned/x/", "d emptied/", "d emptied/x/");
    PUSH(&stack, "f .wh.removed -", "f .wh.turned -", "l turned etc", "f made/file x", "d emptied/",
         "f emptied/.wh..wh..opq -");
    struct below *below = below_from_layers(stack.blobs, stack.n, NULL, &fx->err);
    if (!below)
        fail_msg("%s", fx->err.detail);
    check_below(below);
    size_t len;
    AUTO_FREE char *kept = below_format(below, &len);
    below_free(below);
    below = below_parse(kept, len);
    assert_non_null(below);
    check_below(below);
    below_free(below);
    for (size_t cut = 0; cut < len; cut++) {
        AUTO_FREE char *part = mem_dup(kept, cut + 1);
        struct below *some = below_parse(part, cut); // whatever it gives, it reads nothing beyond
        below_free(some);
    }
    assert_null(below_parse("something else", 14));
    close_stack(&stack);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_three_layers_become_one),
        fixture_test(test_whiteouts_stay_above_a_base),
        fixture_test(test_with_other_entries),
        fixture_test(test_bad_layers),
        fixture_test(test_recompress),
        fixture_test(test_recompress_refuses),
        fixture_test(test_below),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
