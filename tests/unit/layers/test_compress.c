// SPDX-License-Identifier: Apache-2.0
//
// The engines: what goes in comes out again, and equal blocks give equal bytes whatever the compressor did
// before, wherever the block lies and whatever surrounds it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>

#include "base/mem.h"
#include "layers/compress.h"
#include "layers/isal_place.h"

static const struct {
    enum layer_algorithm algorithm;
    int level;
} ENGINES[] = {{LAYER_GZIP, LAYER_LEVEL_FAST},
               {LAYER_GZIP, LAYER_LEVEL_SMALL},
               {LAYER_ZSTD, 1},
               {LAYER_ZSTD, 3},
               {LAYER_ZSTD, 9},
               {LAYER_ZSTD, 19}};
enum { N_ENGINES = sizeof(ENGINES) / sizeof(ENGINES[0]) };

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

// kind 0: text-like, 1: noise, 2: zeros, 3: one byte repeated with gaps
static void fill(uint8_t *bytes, size_t len, int kind, uint64_t seed)
{
    static const char words[] = "function return const value index module exports require this null length ";
    uint64_t state = seed * 2654435761u + 88172645463325252u;
    for (size_t i = 0; i < len; i++)
        bytes[i] = kind == 1 ? (uint8_t)next_random(&state) : kind == 2 ? 0 : 'a';
    if (kind == 3)
        for (size_t i = 0; i < len; i += 700)
            bytes[i] = (uint8_t)next_random(&state);
    for (size_t at = 0; kind == 0 && at < len;) {
        size_t from = next_random(&state) % (sizeof(words) - 12), part = 3 + next_random(&state) % 9;
        for (size_t i = 0; i < part && at < len; i++)
            bytes[at++] = (uint8_t)words[from + i];
    }
}

static size_t expand_gzip(const uint8_t *in, size_t len, uint8_t *out, size_t capacity)
{
    z_stream stream = {0};
    assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
    stream.next_in = (Bytef *)in;
    stream.avail_in = (uInt)len;
    stream.next_out = out;
    stream.avail_out = (uInt)capacity;
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    assert_int_equal(stream.avail_in, 0);
    size_t made = stream.total_out;
    inflateEnd(&stream);
    return made;
}

static size_t expand(enum layer_algorithm algorithm, const uint8_t *in, size_t len, uint8_t *out,
                     size_t capacity)
{
    if (algorithm == LAYER_GZIP)
        return expand_gzip(in, len, out, capacity);
    size_t made = ZSTD_decompress(out, capacity, in, len);
    assert_false(ZSTD_isError(made));
    return made;
}

static void test_round_trip(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 7, 63, 512, 4096, 65535, 65536, 65537, 100000, 512 << 10};
    struct compressor *compressor = compressor_new();
    size_t max = 512 << 10, bound = compress_bound(max);
    AUTO_FREE uint8_t *in = mem_alloc(max + COMPRESS_PAD);
    AUTO_FREE uint8_t *out = mem_alloc(bound);
    AUTO_FREE uint8_t *back = mem_alloc(max + 1);
    for (size_t e = 0; e < N_ENGINES; e++)
        for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
            for (int kind = 0; kind < 4; kind++) {
                struct error err = ERROR_INIT;
                size_t len = sizes[s];
                fill(in, len, kind, s);
                size_t made = compress_block(compressor, ENGINES[e].algorithm, ENGINES[e].level, in, len, out,
                                             compress_bound(len), &err);
                assert_true(made > 0);
                assert_int_equal(expand(ENGINES[e].algorithm, out, made, back, max + 1), len);
                assert_memory_equal(in, back, len);
            }
    compressor_free(compressor);
}

static void test_nothing_survives(void **state)
{
    (void)state;
    size_t max = 300000, bound = compress_bound(max);
    AUTO_FREE uint8_t *memory = mem_alloc(max + COMPRESS_PAD + 256);
    AUTO_FREE uint8_t *first = mem_alloc(bound);
    AUTO_FREE uint8_t *out = mem_alloc(bound);
    struct error err = ERROR_INIT;
    for (size_t e = 0; e < N_ENGINES; e++) {
        struct compressor *used = compressor_new();
        size_t want = 0;
        for (size_t round = 0; round < (ENGINES[e].level == 19 ? 4 : 40); round++) {
            struct compressor *fresh = compressor_new();
            size_t len = max - 17, shift = round * 5 % 128;
            memset(memory, (int)(round * 37), max + COMPRESS_PAD + 256);
            fill(memory + shift, len, 0, 7);
            struct compressor *compressor = round % 3 ? used : fresh;
            size_t made = compress_block(compressor, ENGINES[e].algorithm, ENGINES[e].level, memory + shift,
                                         len, round ? out : first, bound, &err);
            if (round == 0)
                want = made;
            assert_int_equal(made, want);
            assert_memory_equal(first, round ? out : first, made);
            fill(memory, 50000 + round * 1000, (int)round % 4, round); // something else in between
            compress_block(used, ENGINES[e].algorithm, ENGINES[e].level, memory, 50000 + round * 1000, out,
                           bound, &err);
            compressor_free(fresh);
        }
        compressor_free(used);
    }
}

// Blocks enough that an engine whose bytes depend on the address of its state shows it: ISA-L where it
// chooses its address itself differs in one of some thousands.
static void test_addresses_do_not_matter(void **state)
{
    (void)state;
    enum { BLOCKS = 30000, MAX = 1500 };
    struct compressor *compressors[3] = {compressor_new(), compressor_new(), compressor_new()};
    static uint8_t in[MAX + COMPRESS_PAD], out[3][MAX * 2 + 8192];
    struct error err = ERROR_INIT;
    for (int i = 0; i < BLOCKS; i++) {
        size_t len = 300 + (size_t)i % (MAX - 300), made[3];
        fill(in, len, 0, (uint64_t)i);
        memcpy(in + len / 2, in, 40); // something that matches the very beginning
        for (int c = 0; c < 3; c++)
            made[c] = compress_block(compressors[c], LAYER_GZIP, LAYER_LEVEL_FAST, in, len, out[c],
                                     sizeof(out[c]), &err);
        for (int c = 1; c < 3; c++) {
            assert_int_equal(made[0], made[c]);
            assert_memory_equal(out[0], out[c], made[0]);
        }
    }
    for (int c = 0; c < 3; c++)
        compressor_free(compressors[c]);
}

static void test_places(void **state)
{
    (void)state;
    void *places[20];
    for (int i = 0; i < 20; i++) {
        places[i] = isal_place_new(100000);
        assert_non_null(places[i]);
        assert_true(isal_place_good(places[i]));
        memset(places[i], i, 100000);
    }
    for (int i = 0; i < 20; i++) {
        assert_int_equal(((uint8_t *)places[i])[99999], i);
        isal_place_free(places[i], 100000);
    }
}

static void test_limits(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct compressor *compressor = compressor_new();
    uint8_t in[100 + COMPRESS_PAD] = {0}, out[200];
    assert_int_equal(
        compress_block(compressor, LAYER_GZIP, LAYER_LEVEL_FAST, in, 100, out, sizeof(out), &err), 0);
    assert_int_equal(err.code, ERR_INTERNAL);
    error_clear(&err);
    compressor_free(compressor);
    assert_int_equal(compress_level_check(LAYER_ZSTD, 20, &err), -1);
    error_clear(&err);
    assert_int_equal(compress_level_check(LAYER_GZIP, 6, &err), -1);
    error_clear(&err);
    assert_int_equal(compress_level_check(LAYER_ZSTD, 19, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_nothing_survives),
        cmocka_unit_test(test_addresses_do_not_matter),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
