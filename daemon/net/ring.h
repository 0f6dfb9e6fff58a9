// SPDX-License-Identifier: Apache-2.0
//
// A bounded window over a long sequence of bytes: appended at its head, copied out by several readers that
// each keep their own position, forgotten from its tail. Positions count from the beginning of the sequence.
// One thread.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct ring {
    uint8_t *bytes;
    size_t capacity; // a power of two
    int64_t head;    // position behind the last byte
    int64_t tail;    // position of the first byte still held
};

void ring_init(struct ring *ring, size_t capacity, int64_t position);
void ring_fini(struct ring *ring);
size_t ring_room(const struct ring *ring);
void ring_append(struct ring *ring, const void *bytes, size_t len); // len ≤ room
// The contiguous free part behind head, to be filled in place; ring_commit makes it part of the sequence.
void *ring_space(struct ring *ring, size_t *ret_len);
void ring_commit(struct ring *ring, size_t len);
// The contiguous bytes at position, up to limit; NULL and 0 if there are none.
const void *ring_peek(const struct ring *ring, int64_t position, int64_t limit, size_t *ret_len);
size_t ring_copy(const struct ring *ring, int64_t position, int64_t limit, void *buffer, size_t len);
void ring_forget(struct ring *ring, int64_t position); // everything before position
