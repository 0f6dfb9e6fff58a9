// SPDX-License-Identifier: Apache-2.0
//
// An eStargz layer read as a lazy puller does: footer, table, then single chunks by their offsets.
#include "layers/layers_fixture.h"

#include <zlib.h>

#include "base/json.h"

// The gzip member at offset, at most `max` bytes of it; members behind it are not touched.
static char *expand(const struct fixture *fx, int64_t offset, size_t max, size_t *ret_len)
{
    z_stream stream = {.next_in = (Bytef *)fx->blob.data + offset,
                       .avail_in = (uInt)(fx->blob.len - (size_t)offset)};
    char *out = mem_alloc(max + 1);
    assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
    stream.next_out = (Bytef *)out;
    stream.avail_out = (uInt)max;
    int status = inflate(&stream, Z_FINISH);
    assert_true(status == Z_STREAM_END || stream.avail_out == 0);
    *ret_len = stream.total_out;
    inflateEnd(&stream);
    return out;
}

static int64_t read_footer(const struct fixture *fx)
{
    static const unsigned char head[] = {0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 26, 0, 'S', 'G', 22, 0};
    const char *footer = fx->blob.data + fx->blob.len - 51;
    assert_memory_equal(footer, head, sizeof(head));
    assert_memory_equal(footer + 32, "STARGZ", 6);
    char digits[17] = "";
    memcpy(digits, footer + 16, 16);
    size_t len;
    AUTO_FREE char *nothing = expand(fx, (int64_t)fx->blob.len - 51, 10, &len);
    assert_int_equal(len, 0);
    return (int64_t)strtoll(digits, NULL, 16);
}

static json_t *read_table(const struct fixture *fx)
{
    size_t len;
    AUTO_FREE char *tar = expand(fx, read_footer(fx), 4 << 20, &len);
    assert_string_equal(tar, "stargz.index.json");
    size_t size = strtoul(tar + 124, NULL, 8);
    assert_true(len >= 512 + size + 1024);
    struct digest digest;
    digest_of(&digest, DIGEST_SHA256, tar + 512, size);
    assert_string_equal(digest.text, fx->result.toc_digest);
    json_t *table = json_loadb(tar + 512, size, 0, NULL);
    assert_non_null(table);
    assert_int_equal(json_integer_value(json_object_get(table, "version")), 1);
    return table;
}

static json_t *find(json_t *table, const char *name)
{
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(table, "entries"), i, entry) {
        if (strcmp(json_string_value(json_object_get(entry, "name")), name) == 0)
            return entry;
    }
    fail_msg("%s is not in the table", name);
    return NULL;
}

static int64_t number(const json_t *entry, const char *key)
{
    return json_integer_value(json_object_get(entry, key));
}

// Puts the content of a file together from its chunks, checking each.
static char *read_file(const struct fixture *fx, json_t *table, const char *name, size_t *ret_len)
{
    size_t i, chunks = 0;
    json_t *entry, *first = find(table, name);
    char *content = mem_calloc(1, (size_t)number(first, "size") + 1);
    *ret_len = 0;
    json_array_foreach(json_object_get(table, "entries"), i, entry) {
        if (strcmp(json_string_value(json_object_get(entry, "name")), name) != 0)
            continue;
        assert_string_equal(json_string_value(json_object_get(entry, "type")), chunks++ ? "chunk" : "reg");
        assert_int_equal(number(entry, "chunkOffset"), *ret_len);
        size_t want = (size_t)number(entry, "chunkSize"), got;
        if (want == 0)
            want = (size_t)number(first, "size") - *ret_len;
        AUTO_FREE char *bytes = expand(fx, number(entry, "offset"), want, &got);
        assert_int_equal(got, want);
        struct digest digest;
        digest_of(&digest, DIGEST_SHA256, bytes, got);
        assert_string_equal(digest.text, json_string_value(json_object_get(entry, "chunkDigest")));
        memcpy(content + *ret_len, bytes, got);
        *ret_len += got;
    }
    struct digest digest;
    digest_of(&digest, DIGEST_SHA256, content, *ret_len);
    assert_string_equal(digest.text, json_string_value(json_object_get(first, "digest")));
    assert_int_equal(*ret_len, number(first, "size"));
    return content;
}

static void make_tree(struct fixture *fx)
{
    AUTO_FREE char *big = mem_calloc(1, 1300000);
    for (size_t i = 0; i < 1300000; i++)
        big[i] = (char)("abcdefgh"[i * i % 7 % 8]);
    fixture_bytes(fx, "src/big", big, 1300000, 0644);
    fixture_bytes(fx, "src/exactly", big, 512 << 10, 0755);
    fixture_file(fx, "src/d/small", "small");
    fixture_file(fx, "src/d/empty", "");
    fixture_link(fx, "src/l", "d/small");
    AUTO_FREE char *from = fixture_path(fx, "src/d/small");
    AUTO_FREE char *to = fixture_path(fx, "src/hard");
    assert_int_equal(link(from, to), 0);
    struct layer_entry *entry = fixture_copy(fx, "src", "/app");
    entry->uid = 7;
    fixture_inline(fx, "/app/inline", "inline \xe2\x98\xba \"quoted\"");
    fixture_entry(fx, LAYER_DELETE, NULL, "/etc/motd");
    fx->spec.algorithm = LAYER_ESTARGZ;
    fx->spec.mtime_s = 1767225600;
}

static void test_table(void **state)
{
    struct fixture *fx = *state;
    make_tree(fx);
    assert_int_equal(fixture_pack(fx), 0);
    AUTO_JSON json_t *table = read_table(fx);
    size_t len;
    static const char *const files[] = {".no.prefetch.landmark", "app/big", "app/exactly", "app/d/small",
                                        "app/inline"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        free(read_file(fx, table, files[i], &len));
    AUTO_FREE char *small = read_file(fx, table, "app/d/small", &len);
    assert_string_equal(small, "small");
    AUTO_FREE char *landmark = read_file(fx, table, ".no.prefetch.landmark", &len);
    assert_string_equal(landmark, "\x0f");
    json_t *folder = find(table, "app/");
    assert_string_equal(json_string_value(json_object_get(folder, "type")), "dir");
    assert_int_equal(number(folder, "mode"), 040755);
    assert_int_equal(number(folder, "uid"), 7);
    assert_string_equal(json_string_value(json_object_get(folder, "modtime")), "2026-01-01T00:00:00Z");
    assert_string_equal(json_string_value(json_object_get(find(table, "app/hard"), "type")), "hardlink");
    assert_string_equal(json_string_value(json_object_get(find(table, "app/hard"), "linkName")),
                        "app/d/small");
    assert_string_equal(json_string_value(json_object_get(find(table, "app/l"), "linkName")), "d/small");
    assert_null(json_object_get(find(table, "app/d/empty"), "offset"));
    assert_string_equal(json_string_value(json_object_get(find(table, "etc/.wh.motd"), "type")), "reg");
    assert_int_equal(number(find(table, "app/big"), "chunkSize"), 512 << 10);
}

// It is an ordinary gzip layer, too, with the table as its last entry.
static void test_as_plain_layer(void **state)
{
    struct fixture *fx = *state;
    make_tree(fx);
    assert_int_equal(fixture_pack(fx), 0);
    const char *listing = fixture_list(fx);
    assert_non_null(strstr(listing, "f 0644 0:0 0 .no.prefetch.landmark 1 \x0f\n"));
    assert_non_null(strstr(listing, "h app/hard => app/d/small\n"));
    assert_non_null(strstr(strstr(listing, "etc/.wh.motd"), " stargz.index.json "));
    assert_int_equal(fx->result.files, 10);
    struct digest first = fx->result.digest;
    for (size_t lanes = 1; lanes < 6; lanes++) {
        lanes_free(fx->lanes);
        fx->lanes = lanes_new(lanes, &fx->err);
        assert_int_equal(fixture_pack(fx), 0);
        assert_string_equal(first.text, fx->result.digest.text);
    }
}

static void test_empty(void **state)
{
    struct fixture *fx = *state;
    fx->spec.algorithm = LAYER_ESTARGZ;
    assert_int_equal(fixture_pack(fx), 0);
    AUTO_JSON json_t *table = read_table(fx);
    assert_int_equal(json_array_size(json_object_get(table, "entries")), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_table),
        fixture_test(test_as_plain_layer),
        fixture_test(test_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
