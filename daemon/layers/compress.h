// SPDX-License-Identifier: Apache-2.0
//
// The engines. One block in, one self-contained gzip member (RFC 1952) or zstd frame (RFC 8878) out, so that
// members set one behind the other are one valid blob. The bytes depend on the block, the algorithm and the
// level alone: every call starts from zeroed state, and what lies behind the block in memory is zeroed too.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "layers/layer.h"

enum {
    COMPRESS_BLOCK_MAX = 2 << 20, // no engine takes larger blocks
    COMPRESS_PAD = 64,            // writable bytes that must follow the block: engines may look ahead
};

struct compressor; // scratch of one thread, for all engines
struct compressor *compressor_new(void);
void compressor_free(struct compressor *compressor); // NULL is fine

// Largest and smallest block that is cut for this algorithm: larger blocks compress better, smaller ones keep
// memory, caches and the cost of a small change low.
size_t compress_block_max(enum layer_algorithm algorithm);
size_t compress_block_min(enum layer_algorithm algorithm);
// Room that the output of one block of len bytes can need.
size_t compress_bound(size_t len);
// Compresses in[0, len) into out[0, capacity). Returns the length, or 0 with err (ERR_INTERNAL: an engine
// failed). LAYER_NONE is not an engine. len may be 0.
size_t compress_block(struct compressor *compressor, enum layer_algorithm algorithm, int level, uint8_t *in,
                      size_t len, uint8_t *out, size_t capacity, struct error *err);
// Is the level one that the algorithm has? ERR_INVALID_REQUEST.
int compress_level_check(enum layer_algorithm algorithm, int level, struct error *err);
// Name and version of the engine, e.g. "isal-2.30.0-x86_64". Valid until the
// next call on this thread.
const char *compress_engine(enum layer_algorithm algorithm, int level);
// CRC-32 of RFC 1952, as in the trailer of a member.
uint32_t compress_crc32(const void *bytes, size_t len);
