// SPDX-License-Identifier: Apache-2.0
//
// Blocks taken from an earlier blob: the layer is the same to the byte as one packed from nothing, almost all
// blocks are taken after a small change, and a damaged blob or index only costs time.
#include "layers/layers_fixture.h"

#include "base/stream.h"
#include "layers/mark.h"

enum { FILES = 300 };

static void make_file(const struct fixture *fx, int number, const char *first_line)
{
    struct strbuf text = STRBUF_INIT(1 << 20);
    uint32_t x = (uint32_t)number * 2654435761u + 1;
    strbuf_puts(&text, first_line);
    for (int i = 0; i < 3000; i++) {
        x = x * 1664525u + 1013904223u;
        strbuf_printf(&text, "word%u ", x >> 22);
    }
    AUTO_FREE char *path = mem_printf("src/d%d/file%d", number % 9, number);
    fixture_bytes(fx, path, text.data, text.len, 0644);
    strbuf_free(&text);
}

struct kept {
    struct layer_earlier earlier;
    struct strbuf blob;
    void *index;
};

// A tree of about 8 MB, packed once, its blob and index kept.
static void pack_first(struct fixture *fx, struct kept *kept)
{
    for (int i = 0; i < FILES; i++)
        make_file(fx, i, "");
    fixture_copy(fx, "src", "/app");
    fx->spec.index_blocks = true;
    if (fixture_pack(fx) < 0)
        fail_msg("%s", fx->err.detail);
    assert_true(fx->result.blocks > 15);
    assert_int_equal(fx->result.blocks_reused, 0);
    kept->blob = STRBUF_INIT(FIXTURE_BLOB_MAX);
    strbuf_append(&kept->blob, fx->blob.data, fx->blob.len);
    kept->index = mem_dup(fx->result.index, fx->result.index_len);
    kept->earlier = (struct layer_earlier){.blob = reader_at_bytes(fx->blob.data, fx->blob.len),
                                           .index = kept->index,
                                           .index_len = fx->result.index_len};
}

static void kept_end(struct kept *kept)
{
    reader_at_close(kept->earlier.blob);
    strbuf_free(&kept->blob);
    free(kept->index);
}

// Packs with and without the earlier blob; both must be the same. Returns the blocks that were compressed.
static int64_t pack_both(struct fixture *fx, const struct kept *kept)
{
    fx->spec.earlier = NULL;
    assert_int_equal(fixture_pack(fx), 0);
    struct digest cold = fx->result.digest, cold_diff = fx->result.diff_id;
    fx->spec.earlier = &kept->earlier;
    assert_int_equal(fixture_pack(fx), 0);
    assert_string_equal(cold.text, fx->result.digest.text);
    assert_string_equal(cold_diff.text, fx->result.diff_id.text);
    return fx->result.blocks - fx->result.blocks_reused;
}

static void run(struct fixture *fx, enum layer_algorithm algorithm, int level)
{
    struct kept kept;
    fx->spec.algorithm = algorithm;
    fx->spec.level = level;
    pack_first(fx, &kept);
    assert_int_equal(pack_both(fx, &kept), 0);
    make_file(fx, 150, "one line more\n");
    assert_in_range(pack_both(fx, &kept), 1, 4);
    fixture_file(fx, "src/d0/a-new-file", "x");
    fixture_file(fx, "src/a-new-directory/x", "x");
    assert_in_range(pack_both(fx, &kept), 1, 9);
    // The index of such a pack serves the next one.
    struct layer_earlier next = {.blob = reader_at_bytes(fx->blob.data, fx->blob.len),
                                 .index_len = fx->result.index_len};
    void *index = mem_dup(fx->result.index, fx->result.index_len);
    next.index = index;
    fx->spec.earlier = &next;
    assert_int_equal(fixture_pack(fx), 0);
    assert_int_equal(fx->result.blocks, fx->result.blocks_reused);
    reader_at_close(next.blob);
    free(index);
    kept_end(&kept);
}

static void test_gzip(void **state)
{
    run(*state, LAYER_GZIP, LAYER_LEVEL_FAST);
}

static void test_gzip_small(void **state)
{
    run(*state, LAYER_GZIP, LAYER_LEVEL_SMALL);
}

static void test_damaged_blob(void **state)
{
    struct fixture *fx = *state;
    struct kept kept;
    pack_first(fx, &kept);
    int64_t blocks = fx->result.blocks;
    reader_at_close(kept.earlier.blob);
    for (size_t i = kept.blob.len / 2; i < kept.blob.len; i += 1000)
        kept.blob.data[i] ^= 1;
    kept.earlier.blob = reader_at_bytes(kept.blob.data, kept.blob.len);
    assert_in_range(pack_both(fx, &kept), blocks / 3, blocks * 2 / 3);
    reader_at_close(kept.earlier.blob);
    kept.earlier.blob = reader_at_bytes("short", 5);
    assert_int_equal(pack_both(fx, &kept), blocks);
    kept_end(&kept);
}

static void test_damaged_index(void **state)
{
    struct fixture *fx = *state;
    struct kept kept;
    pack_first(fx, &kept);
    int64_t blocks = fx->result.blocks;
    static const size_t places[] = {0, 10, 80, 100, 104, 112, 300};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        ((char *)kept.index)[places[i]] ^= 4;
        assert_int_equal(pack_both(fx, &kept), blocks);
        ((char *)kept.index)[places[i]] ^= 4;
    }
    for (size_t len = 0; len < kept.earlier.index_len; len += 97) {
        struct layer_earlier cut = {.blob = kept.earlier.blob, .index = kept.index, .index_len = len};
        fx->spec.earlier = &cut;
        assert_int_equal(fixture_pack(fx), 0);
        assert_int_equal(fx->result.blocks_reused, 0);
        len += kept.earlier.index_len / 9;
    }
    kept_end(&kept);
}

static void test_other_engine(void **state)
{
    struct fixture *fx = *state;
    struct kept kept;
    pack_first(fx, &kept);
    fx->spec.level = LAYER_LEVEL_SMALL;
    pack_both(fx, &kept);
    assert_int_equal(fx->result.blocks_reused, 0);
    fx->spec.algorithm = LAYER_ZSTD;
    fx->spec.level = 3;
    pack_both(fx, &kept);
    assert_int_equal(fx->result.blocks_reused, 0);
    kept_end(&kept);
}

static void test_marks(void **state)
{
    (void)state;
    struct mark_key key, other;
    uint8_t seed[MARK_SEED] = "a seed";
    mark_key_init(&key, seed);
    mark_key_random(&other);
    static uint8_t bytes[5000];
    struct mark first, second;
    for (size_t len = 1; len < sizeof(bytes); len += 331) {
        mark_of(&key, bytes, len, &first);
        mark_of(&key, bytes, len, &second);
        assert_true(mark_equal(&first, &second));
        mark_of(&key, bytes, len + 1, &second); // one zero more
        assert_false(mark_equal(&first, &second));
        mark_of(&other, bytes, len, &second);
        assert_false(mark_equal(&first, &second));
        for (size_t i = 0; i < len; i += 97) {
            bytes[i] ^= 1;
            mark_of(&key, bytes, len, &second);
            assert_true(first.half[0] != second.half[0] && first.half[1] != second.half[1]);
            bytes[i] ^= 1;
        }
    }
    // The seed gives the key: a known value, so that an index stays readable.
    mark_of(&key, "abc", 3, &first);
    mark_key_init(&other, seed);
    mark_of(&other, "abc", 3, &second);
    assert_true(mark_equal(&first, &second));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_gzip),          fixture_test(test_gzip_small),   fixture_test(test_damaged_blob),
        fixture_test(test_damaged_index), fixture_test(test_other_engine), cmocka_unit_test(test_marks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
