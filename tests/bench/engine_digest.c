// SPDX-License-Identifier: Apache-2.0
//
// Compresses a file block by block with each engine and prints a digest for each: run natively and under
// qemu-user with several CPU models, the digests must be the same (tests/bench/engine_cpus).
//
//     engine_digest FILE
#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/mem.h"
#include "layers/compress.h"

enum { FILE_MAX = 1 << 30, SMALL = 9973 }; // SMALL: blocks of eStargz, of all sizes up to this

static int digest_engine(const char *bytes, size_t len, enum layer_algorithm algorithm, int level,
                         struct error *err)
{
    size_t max = compress_block_max(algorithm), small = algorithm == LAYER_ESTARGZ ? SMALL : 0;
    struct compressor *compressor = compressor_new();
    struct hasher *hasher = hasher_new(DIGEST_SHA256);
    AUTO_FREE uint8_t *in = mem_alloc(max + COMPRESS_PAD);
    AUTO_FREE uint8_t *out = mem_alloc(compress_bound(max));
    size_t total = 0, made = 1;
    for (size_t at = 0, part; at < len && made > 0; at += part) {
        part = small ? 1 + at % small : max;
        part = len - at < part ? len - at : part;
        memcpy(in, bytes + at, part);
        made = compress_block(compressor, algorithm, level, in, part, out, compress_bound(part), err);
        hasher_update(hasher, out, made);
        total += made;
    }
    struct digest digest;
    hasher_finish(hasher, &digest);
    hasher_free(hasher);
    compressor_free(compressor);
    if (made > 0)
        printf("%s level %d: %zu %s\n", compress_engine(algorithm, level), level, total, digest.text);
    return made > 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
    struct error err = ERROR_INIT;
    size_t len = 0;
    AUTO_FREE char *bytes = argc == 2 ? file_read(argv[1], FILE_MAX, &len, &err) : NULL;
    if (!bytes || digest_engine(bytes, len, LAYER_GZIP, LAYER_LEVEL_FAST, &err) < 0 ||
        digest_engine(bytes, len, LAYER_GZIP, LAYER_LEVEL_SMALL, &err) < 0 ||
        digest_engine(bytes, len, LAYER_ESTARGZ, LAYER_LEVEL_FAST, &err) < 0 ||
        digest_engine(bytes, len, LAYER_ZSTD, 3, &err) < 0) {
        fprintf(stderr, "engine_digest: %s\n", err.detail ? err.detail : "usage: engine_digest FILE");
        error_clear(&err);
        return 1;
    }
    return 0;
}
