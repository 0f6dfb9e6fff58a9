// SPDX-License-Identifier: Apache-2.0
//
// A ring of slots in one mapping, so that its memory goes back at once when the pack ends. Called by layers/pack on the
// worker of the step. A slot is filled by the worker, then read by its lane and by the worker's hasher at the same time
// (neither writes to the input), and is the worker's again when lanes_wait or lanes_done said so.
#include "layers/blocks.h"

#include <string.h>
#include <sys/mman.h>

#include "base/mem.h"
#include "layers/compress.h"

enum {
    WINDOW_SPARE = 4,  // slots beyond one per lane: one being filled, one being written, two queued
    WINDOW_MAX = 24,
    CUT_MASK = 7,      // one name in eight ends a block that has its minimum
};

struct slot {
    struct lanes_job job;
    struct blocks *blocks;
    uint8_t *in;
    size_t in_len;
    uint8_t *out;
    size_t out_len;
    struct error err;
};

struct blocks {
    enum layer_algorithm algorithm;
    int level;
    struct lanes *lanes;
    struct sink *out;
    struct monitor *monitor;
    struct hasher *diff_id;
    struct hasher *digest; // NULL for LAYER_NONE: the same bytes
    size_t block_max, block_min;
    void *memory;
    size_t memory_bytes;
    struct slot slots[WINDOW_MAX];
    size_t n_slots;
    size_t filling; // the slot that takes bytes
    size_t oldest;  // first of n_flying slots that lanes hold
    size_t n_flying;
    int64_t tar_size;
    int64_t size;
};

static size_t page_round(size_t bytes)
{
    return (bytes + 4095) & ~(size_t)4095;
}

static int map_slots(struct blocks *blocks, struct error *err)
{
    size_t in = page_round(blocks->block_max + COMPRESS_PAD);
    size_t out = blocks->algorithm == LAYER_NONE ? 0 : page_round(compress_bound(blocks->block_max));
    blocks->memory_bytes = (in + out) * blocks->n_slots;
    blocks->memory = mmap(NULL, blocks->memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (blocks->memory == MAP_FAILED) {
        blocks->memory = NULL;
        return error_set(err, ERR_OVERLOADED, "no memory for the %zu blocks of a layer", blocks->n_slots);
    }
    uint8_t *next = blocks->memory;
    for (size_t i = 0; i < blocks->n_slots; i++) {
        struct slot *slot = &blocks->slots[i];
        slot->blocks = blocks;
        slot->err = ERROR_INIT;
        list_init(&slot->job.link);
        slot->in = next;
        slot->out = next + in;
        next += in + out;
    }
    return 0;
}

struct blocks *blocks_new(enum layer_algorithm algorithm, int level, struct lanes *lanes, struct sink *out,
                          struct monitor *monitor, struct error *err)
{
    struct blocks *blocks = mem_new(struct blocks);
    blocks->algorithm = algorithm;
    blocks->level = level;
    blocks->lanes = lanes;
    blocks->out = out;
    blocks->monitor = monitor;
    blocks->block_max = compress_block_max(algorithm);
    blocks->block_min = compress_block_min(algorithm);
    blocks->n_slots = lanes_count(lanes) + WINDOW_SPARE;
    if (blocks->n_slots > WINDOW_MAX)
        blocks->n_slots = WINDOW_MAX;
    blocks->diff_id = hasher_new(DIGEST_SHA256);
    if (algorithm != LAYER_NONE)
        blocks->digest = hasher_new(DIGEST_SHA256);
    lanes_enter(lanes);
    if (map_slots(blocks, err) == 0)
        return blocks;
    blocks_free(blocks);
    return NULL;
}

void blocks_free(struct blocks *blocks)
{
    if (!blocks)
        return;
    for (; blocks->n_flying > 0; blocks->n_flying--) {
        struct slot *slot = &blocks->slots[blocks->oldest];
        lanes_wait(blocks->lanes, &slot->job);
        error_clear(&slot->err);
        blocks->oldest = (blocks->oldest + 1) % blocks->n_slots;
    }
    lanes_leave(blocks->lanes);
    if (blocks->memory)
        munmap(blocks->memory, blocks->memory_bytes);
    hasher_free(blocks->diff_id);
    hasher_free(blocks->digest);
    free(blocks);
}

// On a lane.
static void compress_slot(struct lanes_job *job, struct compressor *compressor)
{
    struct slot *slot = container_of(job, struct slot, job);
    struct blocks *blocks = slot->blocks;
    slot->out_len = compress_block(compressor, blocks->algorithm, blocks->level, slot->in, slot->in_len, slot->out,
                                   compress_bound(slot->in_len), &slot->err);
}

static int write_out(struct blocks *blocks, const uint8_t *bytes, size_t len, struct error *err)
{
    if (blocks->digest)
        hasher_update(blocks->digest, bytes, len);
    blocks->size += (int64_t)len;
    return sink_write(blocks->out, bytes, len, err);
}

// Takes the oldest slot back and writes it out.
static int land_oldest(struct blocks *blocks, struct error *err)
{
    struct slot *slot = &blocks->slots[blocks->oldest];
    lanes_wait(blocks->lanes, &slot->job);
    blocks->oldest = (blocks->oldest + 1) % blocks->n_slots;
    blocks->n_flying--;
    if (slot->out_len == 0) {
        error_move(err, &slot->err);
        return -1;
    }
    return write_out(blocks, slot->out, slot->out_len, err);
}

// Makes the next slot the one to fill: writes out what is ready, and waits only if the ring is full.
static int next_slot(struct blocks *blocks, struct error *err)
{
    while (blocks->n_flying > 0 && (blocks->n_flying == blocks->n_slots - 1 ||
                                    lanes_done(blocks->lanes, &blocks->slots[blocks->oldest].job)))
        if (land_oldest(blocks, err) < 0)
            return -1;
    blocks->filling = (blocks->filling + 1) % blocks->n_slots;
    blocks->slots[blocks->filling].in_len = 0;
    return 0;
}

static int end_block(struct blocks *blocks, struct error *err)
{
    struct slot *slot = &blocks->slots[blocks->filling];
    if (slot->in_len == 0)
        return 0;
    if (monitor_check(blocks->monitor, err) < 0)
        return -1;
    blocks->tar_size += (int64_t)slot->in_len;
    if (blocks->monitor)
        atomic_store_explicit(&blocks->monitor->current, blocks->tar_size, memory_order_relaxed);
    if (blocks->algorithm == LAYER_NONE) {
        hasher_update(blocks->diff_id, slot->in, slot->in_len);
        int status = write_out(blocks, slot->in, slot->in_len, err);
        slot->in_len = 0;
        return status;
    }
    slot->job.run = compress_slot;
    lanes_submit(blocks->lanes, &slot->job);
    blocks->n_flying++;
    hasher_update(blocks->diff_id, slot->in, slot->in_len);
    return next_slot(blocks, err);
}

// FNV-1a over the name, folded: cheap, and the same everywhere.
static bool cuts_here(const char *path)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (; *path; path++)
        hash = (hash ^ (uint8_t)*path) * 0x100000001b3;
    return ((hash ^ hash >> 32) & CUT_MASK) == 0;
}

int blocks_boundary(struct blocks *blocks, const char *path, int64_t entry_bytes, struct error *err)
{
    size_t len = blocks->slots[blocks->filling].in_len;
    bool large = entry_bytes > (int64_t)blocks->block_max;
    bool full = len >= blocks->block_min && (cuts_here(path) || entry_bytes > (int64_t)(blocks->block_max - len));
    return large || full ? end_block(blocks, err) : 0;
}

uint8_t *blocks_room(struct blocks *blocks, size_t *ret_room, struct error *err)
{
    if (blocks->slots[blocks->filling].in_len == blocks->block_max && end_block(blocks, err) < 0)
        return NULL;
    struct slot *slot = &blocks->slots[blocks->filling];
    *ret_room = blocks->block_max - slot->in_len;
    return slot->in + slot->in_len;
}

int blocks_append(struct blocks *blocks, const void *bytes, size_t len, struct error *err)
{
    for (const uint8_t *next = bytes; len > 0;) {
        size_t room;
        uint8_t *place = blocks_room(blocks, &room, err);
        if (!place)
            return -1;
        size_t part = len < room ? len : room;
        if (place != next)
            memcpy(place, next, part);
        blocks->slots[blocks->filling].in_len += part;
        next += part;
        len -= part;
    }
    return 0;
}

int blocks_append_zeros(struct blocks *blocks, int64_t len, struct error *err)
{
    while (len > 0) {
        size_t room;
        uint8_t *place = blocks_room(blocks, &room, err);
        if (!place)
            return -1;
        size_t part = len < (int64_t)room ? (size_t)len : room;
        memset(place, 0, part);
        blocks->slots[blocks->filling].in_len += part;
        len -= (int64_t)part;
    }
    return 0;
}

int blocks_finish(struct blocks *blocks, struct layer_result *ret, struct error *err)
{
    if (end_block(blocks, err) < 0)
        return -1;
    while (blocks->n_flying > 0)
        if (land_oldest(blocks, err) < 0)
            return -1;
    hasher_finish(blocks->diff_id, &ret->diff_id);
    if (blocks->digest)
        hasher_finish(blocks->digest, &ret->digest);
    else
        ret->digest = ret->diff_id;
    ret->size = blocks->size;
    ret->tar_size = blocks->tar_size;
    return 0;
}
