// SPDX-License-Identifier: Apache-2.0
//
// The window between one source and its targets (transfer). What must hold: tail ≤ every reader's position ≤
// head, and head - tail ≤ capacity.
#include "net/ring.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void ring_init(struct ring *ring, size_t capacity, int64_t position)
{
    *ring =
        (struct ring){.bytes = mem_alloc(capacity), .capacity = capacity, .head = position, .tail = position};
}

void ring_fini(struct ring *ring)
{
    free(ring->bytes);
    *ring = (struct ring){0};
}

size_t ring_room(const struct ring *ring)
{
    return ring->capacity - (size_t)(ring->head - ring->tail);
}

void *ring_space(struct ring *ring, size_t *ret_len)
{
    size_t at = (size_t)ring->head & (ring->capacity - 1);
    size_t room = ring_room(ring), straight = ring->capacity - at;
    *ret_len = room < straight ? room : straight;
    return ring->bytes + at;
}

void ring_commit(struct ring *ring, size_t len)
{
    ring->head += (int64_t)len;
}

void ring_append(struct ring *ring, const void *bytes, size_t len)
{
    const uint8_t *from = bytes;
    while (len > 0) {
        size_t part;
        void *space = ring_space(ring, &part);
        if (part > len)
            part = len;
        memcpy(space, from, part);
        ring_commit(ring, part);
        from += part;
        len -= part;
    }
}

const void *ring_peek(const struct ring *ring, int64_t position, int64_t limit, size_t *ret_len)
{
    size_t at = (size_t)position & (ring->capacity - 1);
    size_t straight = ring->capacity - at;
    int64_t there = (limit < ring->head ? limit : ring->head) - position;
    if (there <= 0) {
        *ret_len = 0;
        return NULL;
    }
    *ret_len = (size_t)there < straight ? (size_t)there : straight;
    return ring->bytes + at;
}

size_t ring_copy(const struct ring *ring, int64_t position, int64_t limit, void *buffer, size_t len)
{
    size_t done = 0, part;
    while (done < len) {
        const void *bytes = ring_peek(ring, position + (int64_t)done, limit, &part);
        if (part == 0)
            break;
        if (part > len - done)
            part = len - done;
        memcpy((uint8_t *)buffer + done, bytes, part);
        done += part;
    }
    return done;
}

void ring_forget(struct ring *ring, int64_t position)
{
    if (position > ring->tail)
        ring->tail = position;
}
