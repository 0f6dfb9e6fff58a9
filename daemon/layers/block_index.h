// SPDX-License-Identifier: Apache-2.0
//
// What is remembered of the blocks of a blob, so that a later pack can take unchanged ones from it instead of
// compressing them again: of each block its mark, its length in the tar and in the blob, and a check of its
// bytes in the blob. The index carries the key of its marks, so it belongs into the daemon's own state. It is
// only ever a hint: what it leads to is checked, and a damaged index is no index.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layers/mark.h"

enum { BLOCK_INDEX_MAX = 1 << 16 }; // blocks; larger layers are not remembered

struct block_record {
    struct mark mark; // of the tar bytes
    uint64_t check;   // of the blob bytes: half of their mark
    uint64_t offset;  // in the blob
    uint32_t tar_len;
    uint32_t blob_len;
};

struct block_index {
    struct mark_key key;
    struct block_record *records;
    size_t n, capacity;
    uint32_t *slots; // a hash table of record numbers + 1, after block_index_parse
    size_t n_slots;
};

void block_index_init(struct block_index *index); // empty, with a new key
void block_index_fini(struct block_index *index);
void block_index_add(struct block_index *index, const struct block_record *record);
// The bytes to be remembered, or NULL if there are too many blocks. Caller frees.
void *block_index_format(const struct block_index *index, const char *engine, size_t *ret_len);
// False, and nothing to be ended, if the bytes are no index of this engine.
bool block_index_parse(struct block_index *ret, const char *engine, const void *bytes, size_t len);
// Borrowed record of a block of this mark and length, or NULL. Any thread.
const struct block_record *block_index_find(const struct block_index *index, const struct mark *mark,
                                            size_t tar_len);
