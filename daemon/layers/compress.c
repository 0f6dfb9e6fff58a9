// SPDX-License-Identifier: Apache-2.0
//
// ISA-L level 1 for the fast gzip, zlib level 6 for the small one, libzstd for zstd. Called by the lanes, one
// compressor per thread. Equal input must give equal bytes for ever, so nothing may survive from one block to
// the next: ISA-L's stream (at an address of its own choice, see layers/isal_place.h) and level buffer are
// zeroed before each block, zlib is reset, zstd gets a static context over zeroed memory.
#define ZSTD_STATIC_LINKING_ONLY
#include "layers/compress.h"

#include <isa-l.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <zlib.h>
#include <zstd.h>

#include "base/mem.h"
#include "layers/isal_place.h"

enum { GZIP_HEADER = 10, ZLIB_SMALL_LEVEL = 6, ZLIB_MEMORY = 8, ZSTD_FAST_LEVEL = 3, ZSTD_SMALL_LEVEL = 19 };

struct compressor {
    struct isal_zstream *isal; // see layers/isal_place.h
    uint8_t isal_level[ISAL_DEF_LVL1_DEFAULT];
    bool zlib_ready;
    z_stream zlib;
    void *zstd; // workspace, grown on demand
    size_t zstd_bytes;
};

struct compressor *compressor_new(void)
{
    return mem_new(struct compressor);
}

void compressor_free(struct compressor *compressor)
{
    if (!compressor)
        return;
    isal_place_free(compressor->isal, sizeof(*compressor->isal));
    if (compressor->zlib_ready)
        deflateEnd(&compressor->zlib);
    if (compressor->zstd)
        munmap(compressor->zstd, compressor->zstd_bytes);
    free(compressor);
}

size_t compress_block_max(enum layer_algorithm algorithm)
{
    return algorithm == LAYER_ZSTD ? COMPRESS_BLOCK_MAX : 512 << 10;
}

size_t compress_block_min(enum layer_algorithm algorithm)
{
    return compress_block_max(algorithm) / 2;
}

size_t compress_bound(size_t len)
{
    return len + len / 8 + 4096;
}

// The header of every member: no name, no time, unknown operating system (RFC 1952 section 2.3).
static uint8_t *put_gzip_header(uint8_t *out)
{
    static const uint8_t header[GZIP_HEADER] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff};
    memcpy(out, header, sizeof(header));
    return out + sizeof(header);
}

static uint8_t *put_le32(uint8_t *out, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        *out++ = (uint8_t)(value >> (8 * i));
    return out;
}

static size_t finish_member(uint8_t *out, uint8_t *end, const uint8_t *in, size_t len)
{
    end = put_le32(end, compress_crc32(in, len));
    end = put_le32(end, (uint32_t)len);
    return (size_t)(end - out);
}

// Zeroes all that a block of this length can touch: the stream, hash tables, and four bytes of the level
// buffer for each byte of input at most.
static int clear_isal(struct compressor *compressor, size_t len, struct error *err)
{
    size_t used = ISAL_DEF_LVL1_REQ + 4 * len + 4096;
    memset(compressor->isal_level, 0,
           used < sizeof(compressor->isal_level) ? used : sizeof(compressor->isal_level));
    if (compressor->isal) {
        memset(compressor->isal, 0, sizeof(*compressor->isal));
        return 0;
    }
    compressor->isal = isal_place_new(sizeof(*compressor->isal));
    return compressor->isal ? 0 : error_set(err, ERR_INTERNAL, "no room for the compression engine isa-l");
}

static size_t gzip_fast(struct compressor *compressor, uint8_t *in, size_t len, uint8_t *out, size_t capacity,
                        struct error *err)
{
    if (clear_isal(compressor, len, err) < 0)
        return 0;
    struct isal_zstream *stream = compressor->isal;
    isal_deflate_stateless_init(stream);
    stream->level = 1;
    stream->level_buf = compressor->isal_level;
    stream->level_buf_size = sizeof(compressor->isal_level);
    stream->gzip_flag = IGZIP_DEFLATE;
    stream->end_of_stream = 1;
    stream->next_in = in;
    stream->avail_in = (uint32_t)len;
    stream->next_out = put_gzip_header(out);
    stream->avail_out = (uint32_t)(capacity - GZIP_HEADER - 8);
    int status = isal_deflate_stateless(stream);
    if (status != COMP_OK || stream->avail_in != 0) {
        error_set(err, ERR_INTERNAL, "the compression engine isa-l failed (status %d)", status);
        return 0;
    }
    return finish_member(out, stream->next_out, in, len);
}

static int zlib_begin(struct compressor *compressor, struct error *err)
{
    z_stream *stream = &compressor->zlib;
    int status = compressor->zlib_ready ? deflateReset(stream)
                                        : deflateInit2(stream, ZLIB_SMALL_LEVEL, Z_DEFLATED, -MAX_WBITS,
                                                       ZLIB_MEMORY, Z_DEFAULT_STRATEGY);
    if (status != Z_OK)
        return error_set(err, ERR_INTERNAL, "the compression engine zlib could not start (status %d)",
                         status);
    compressor->zlib_ready = true;
    return 0;
}

static size_t gzip_small(struct compressor *compressor, uint8_t *in, size_t len, uint8_t *out,
                         size_t capacity, struct error *err)
{
    if (zlib_begin(compressor, err) < 0)
        return 0;
    z_stream *stream = &compressor->zlib;
    stream->next_in = in;
    stream->avail_in = (uInt)len;
    stream->next_out = put_gzip_header(out);
    stream->avail_out = (uInt)(capacity - GZIP_HEADER - 8);
    int status = deflate(stream, Z_FINISH);
    if (status != Z_STREAM_END) {
        error_set(err, ERR_INTERNAL, "the compression engine zlib failed (status %d)", status);
        return 0;
    }
    return finish_member(out, stream->next_out, in, len);
}

// A zeroed workspace of at least `bytes`: mapped anew when it must grow, cleared when it is used again.
static int zstd_workspace(struct compressor *compressor, size_t bytes, struct error *err)
{
    if (compressor->zstd_bytes >= bytes) {
        memset(compressor->zstd, 0, bytes);
        return 0;
    }
    if (compressor->zstd)
        munmap(compressor->zstd, compressor->zstd_bytes);
    compressor->zstd_bytes = 0;
    compressor->zstd = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (compressor->zstd == MAP_FAILED) {
        compressor->zstd = NULL;
        return error_set(err, ERR_INTERNAL, "no memory for the compression engine zstd");
    }
    compressor->zstd_bytes = bytes;
    return 0;
}

static int zstd_level(int level)
{
    if (level == LAYER_LEVEL_FAST || level == 0)
        return ZSTD_FAST_LEVEL;
    return level == LAYER_LEVEL_SMALL ? ZSTD_SMALL_LEVEL : level;
}

static size_t zstd(struct compressor *compressor, int level, const uint8_t *in, size_t len, uint8_t *out,
                   size_t capacity, struct error *err)
{
    ZSTD_compressionParameters parameters = ZSTD_getCParams(level, len, 0);
    size_t bytes = ZSTD_estimateCCtxSize_usingCParams(parameters);
    if (zstd_workspace(compressor, bytes, err) < 0)
        return 0;
    ZSTD_CCtx *context = ZSTD_initStaticCCtx(compressor->zstd, bytes);
    size_t made = context ? ZSTD_compressCCtx(context, out, capacity, in, len, level) : 0;
    if (context && !ZSTD_isError(made))
        return made;
    error_set(err, ERR_INTERNAL, "the compression engine zstd failed (%s)",
              context ? ZSTD_getErrorName(made) : "no context");
    return 0;
}

size_t compress_block(struct compressor *compressor, enum layer_algorithm algorithm, int level, uint8_t *in,
                      size_t len, uint8_t *out, size_t capacity, struct error *err)
{
    if (len > COMPRESS_BLOCK_MAX || capacity < compress_bound(len)) {
        error_set(err, ERR_INTERNAL, "a block of %zu bytes does not fit the compression engine", len);
        return 0;
    }
    memset(in + len, 0, COMPRESS_PAD);
    if (algorithm == LAYER_ZSTD)
        return zstd(compressor, zstd_level(level), in, len, out, capacity, err);
    return level == LAYER_LEVEL_SMALL ? gzip_small(compressor, in, len, out, capacity, err)
                                      : gzip_fast(compressor, in, len, out, capacity, err);
}

int compress_level_check(enum layer_algorithm algorithm, int level, struct error *err)
{
    if (level == 0 || level == LAYER_LEVEL_FAST || level == LAYER_LEVEL_SMALL || algorithm == LAYER_NONE)
        return 0;
    if (algorithm == LAYER_ZSTD && level >= 1 && level <= 19)
        return 0;
    if (algorithm == LAYER_ZSTD)
        return error_set(err, ERR_INVALID_REQUEST, "zstd has levels 1 to 19, not %d", level);
    return error_set(err, ERR_INVALID_REQUEST, "gzip has the levels \"fast\" and \"small\", not %d", level);
}

// ISA-L gives equal bytes on every x86-64 since Nehalem (2008); without SSE 4.2 its portable code gives
// others.
static const char *machine(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("sse4.2") ? "x86_64" : "x86_64-base";
#elif defined(__aarch64__)
    return "aarch64";
#else
    return "generic";
#endif
}

const char *compress_engine(enum layer_algorithm algorithm, int level)
{
    static _Thread_local char text[64];
    switch (algorithm) {
    case LAYER_NONE:
        return "none";
    case LAYER_ZSTD:
        snprintf(text, sizeof(text), "zstd-%s", ZSTD_versionString());
        break;
    default:
        if (level == LAYER_LEVEL_SMALL)
            snprintf(text, sizeof(text), "zlib-%s", zlibVersion());
        else
            snprintf(text, sizeof(text), "isal-%d.%d.%d-%s%s%s", ISAL_MAJOR_VERSION, ISAL_MINOR_VERSION,
                     ISAL_PATCH_VERSION, machine(), algorithm == LAYER_ESTARGZ ? "-zlib-" : "",
                     algorithm == LAYER_ESTARGZ ? zlibVersion() : "");
    }
    return text;
}

uint32_t compress_crc32(const void *bytes, size_t len)
{
    return crc32_gzip_refl(0, bytes, len);
}
