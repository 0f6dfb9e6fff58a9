// SPDX-License-Identifier: Apache-2.0
//
// A ring of slots in one mapping, so that its memory goes back at once when the pack ends. Called by
// layers/pack on the worker of the step. A slot is filled by the worker, then two jobs of the lanes read it
// at the same time, one hashing it in the order of the tar, one compressing it; it is the worker's again when
// both are done. Neither writes to the input.
#include "layers/blocks.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/mem.h"
#include "layers/block_index.h"
#include "layers/compress.h"

enum {
    WINDOW_SPARE = 4, // slots beyond one per lane: one being filled, one being written, two queued
    WINDOW_MAX = 24,
    CUT_MASK = 7, // one name in eight ends a block that has its minimum
};

struct slot {
    struct lanes_job hash;
    struct lanes_job compress;
    struct blocks *blocks;
    uint8_t *in;
    size_t in_len;
    uint8_t *out;
    size_t out_len;
    struct block_record record;
    bool reused;
    struct error err;
};

struct blocks {
    enum layer_algorithm algorithm;
    int level;
    char engine[64];
    bool index_blocks;
    struct lanes *lanes;
    struct sink *out;
    struct monitor *monitor;
    struct lanes_chain chain; // of the diff_id
    struct hasher *diff_id;
    struct hasher *digest; // NULL for LAYER_NONE: the same bytes
    const struct layer_earlier *earlier;
    struct block_index known; // the blocks of the earlier blob, if any
    struct block_index index; // the blocks of this one
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
    int64_t reused;
    size_t n_ended;   // blocks submitted
    int64_t *offsets; // of the blocks in the blob, for LAYER_ESTARGZ
    size_t n_offsets, offsets_capacity;
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
    blocks->memory =
        mmap(NULL, blocks->memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (blocks->memory == MAP_FAILED) {
        blocks->memory = NULL;
        return error_set(err, ERR_OVERLOADED, "no memory for the %zu blocks of a layer", blocks->n_slots);
    }
    uint8_t *next = blocks->memory;
    for (size_t i = 0; i < blocks->n_slots; i++) {
        struct slot *slot = &blocks->slots[i];
        slot->blocks = blocks;
        slot->err = ERROR_INIT;
        slot->in = next;
        slot->out = next + in;
        next += in + out;
    }
    return 0;
}

// Marks are comparable only under one key, so the index of this blob goes on with that of the earlier one.
static void open_indices(struct blocks *blocks, const struct layer_spec *spec)
{
    const struct layer_earlier *earlier = spec->earlier;
    if (earlier && block_index_parse(&blocks->known, blocks->engine, earlier->index, earlier->index_len)) {
        blocks->earlier = earlier;
        blocks->index.key = blocks->known.key;
    } else if (spec->algorithm != LAYER_NONE) {
        block_index_init(&blocks->index);
    }
}

struct blocks *blocks_new(const struct layer_spec *spec, struct lanes *lanes, struct sink *out,
                          struct monitor *monitor, struct error *err)
{
    struct blocks *blocks = mem_new(struct blocks);
    blocks->algorithm = spec->algorithm;
    blocks->level = spec->level;
    snprintf(blocks->engine, sizeof(blocks->engine), "%s/%d/%d", layer_engine(spec), spec->algorithm,
             spec->level);
    blocks->index_blocks = spec->index_blocks;
    blocks->lanes = lanes;
    blocks->out = out;
    blocks->monitor = monitor;
    blocks->block_max = compress_block_max(spec->algorithm);
    blocks->block_min = compress_block_min(spec->algorithm);
    blocks->n_slots = lanes_count(lanes) + WINDOW_SPARE;
    if (blocks->n_slots > WINDOW_MAX)
        blocks->n_slots = WINDOW_MAX;
    lanes_chain_init(&blocks->chain);
    blocks->diff_id = hasher_new(DIGEST_SHA256);
    if (spec->algorithm != LAYER_NONE)
        blocks->digest = hasher_new(DIGEST_SHA256);
    open_indices(blocks, spec);
    lanes_enter(lanes);
    if (map_slots(blocks, err) == 0)
        return blocks;
    blocks_free(blocks);
    return NULL;
}

static void wait_for(struct blocks *blocks, struct slot *slot)
{
    lanes_wait(blocks->lanes, &slot->hash);
    if (blocks->digest)
        lanes_wait(blocks->lanes, &slot->compress);
}

void blocks_free(struct blocks *blocks)
{
    if (!blocks)
        return;
    for (; blocks->n_flying > 0; blocks->n_flying--) {
        struct slot *slot = &blocks->slots[blocks->oldest];
        wait_for(blocks, slot);
        error_clear(&slot->err);
        blocks->oldest = (blocks->oldest + 1) % blocks->n_slots;
    }
    lanes_leave(blocks->lanes);
    if (blocks->memory)
        munmap(blocks->memory, blocks->memory_bytes);
    block_index_fini(&blocks->known);
    block_index_fini(&blocks->index);
    hasher_free(blocks->diff_id);
    hasher_free(blocks->digest);
    free(blocks->offsets);
    free(blocks);
}

// --- on the lanes
// --------------------------------------------------------------------------------------------------

static void hash_slot(struct lanes_job *job, struct compressor *compressor)
{
    (void)compressor;
    struct slot *slot = container_of(job, struct slot, hash);
    hasher_update(slot->blocks->diff_id, slot->in, slot->in_len);
}

// Takes the block from the earlier blob if it is there, and whole.
static bool reuse(struct slot *slot)
{
    struct blocks *blocks = slot->blocks;
    if (!blocks->earlier)
        return false;
    const struct block_record *known = block_index_find(&blocks->known, &slot->record.mark, slot->in_len);
    if (!known || known->blob_len > compress_bound(slot->in_len))
        return false;
    struct error ignored = ERROR_INIT;
    ssize_t got =
        reader_at_read(blocks->earlier->blob, slot->out, known->blob_len, (int64_t)known->offset, &ignored);
    error_clear(&ignored);
    struct mark mark;
    if (got != (ssize_t)known->blob_len)
        return false;
    mark_of(&blocks->index.key, slot->out, (size_t)got, &mark);
    slot->out_len = (size_t)got;
    slot->record.check = mark.half[0];
    return mark.half[0] == known->check;
}

static void compress_slot(struct lanes_job *job, struct compressor *compressor)
{
    struct slot *slot = container_of(job, struct slot, compress);
    struct blocks *blocks = slot->blocks;
    slot->record = (struct block_record){.tar_len = (uint32_t)slot->in_len};
    if (blocks->earlier || blocks->index_blocks)
        mark_of(&blocks->index.key, slot->in, slot->in_len, &slot->record.mark);
    slot->reused = reuse(slot);
    if (!slot->reused)
        slot->out_len = compress_block(compressor, blocks->algorithm, blocks->level, slot->in, slot->in_len,
                                       slot->out, compress_bound(slot->in_len), &slot->err);
    if (!slot->reused && blocks->index_blocks) {
        struct mark mark;
        mark_of(&blocks->index.key, slot->out, slot->out_len, &mark);
        slot->record.check = mark.half[0];
    }
    slot->record.blob_len = (uint32_t)slot->out_len;
}

// --- the window
// ----------------------------------------------------------------------------------------------------

static void note_offset(struct blocks *blocks)
{
    if (blocks->algorithm != LAYER_ESTARGZ)
        return;
    if (blocks->n_offsets == blocks->offsets_capacity) {
        blocks->offsets_capacity = blocks->offsets_capacity ? blocks->offsets_capacity * 2 : 256;
        blocks->offsets = mem_realloc(blocks->offsets, blocks->offsets_capacity * sizeof(*blocks->offsets));
    }
    blocks->offsets[blocks->n_offsets++] = blocks->size;
}

// Takes the oldest slot back and writes it out.
static int land_oldest(struct blocks *blocks, struct error *err)
{
    struct slot *slot = &blocks->slots[blocks->oldest];
    wait_for(blocks, slot);
    blocks->oldest = (blocks->oldest + 1) % blocks->n_slots;
    blocks->n_flying--;
    if (!blocks->digest) {
        blocks->size += (int64_t)slot->in_len;
        return sink_write(blocks->out, slot->in, slot->in_len, err);
    }
    if (slot->out_len == 0) {
        error_move(err, &slot->err);
        return -1;
    }
    slot->record.offset = (uint64_t)blocks->size;
    note_offset(blocks);
    block_index_add(&blocks->index, &slot->record);
    blocks->reused += slot->reused;
    if (blocks->earlier && blocks->earlier->differs && !slot->reused)
        *blocks->earlier->differs = true;
    blocks->size += (int64_t)slot->out_len;
    hasher_update(blocks->digest, slot->out, slot->out_len);
    return sink_write(blocks->out, slot->out, slot->out_len, err);
}

static bool oldest_is_done(struct blocks *blocks)
{
    struct slot *slot = &blocks->slots[blocks->oldest];
    return lanes_done(blocks->lanes, &slot->hash) &&
           (!blocks->digest || lanes_done(blocks->lanes, &slot->compress));
}

// Makes the next slot the one to fill: writes out what is ready, and waits only if the ring is full.
static int next_slot(struct blocks *blocks, struct error *err)
{
    while (blocks->n_flying > 0 && (blocks->n_flying == blocks->n_slots - 1 || oldest_is_done(blocks)))
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
    slot->hash.run = hash_slot;
    slot->compress.run = compress_slot;
    lanes_submit_next(blocks->lanes, &blocks->chain, &slot->hash);
    if (blocks->digest)
        lanes_submit(blocks->lanes, &slot->compress);
    blocks->n_flying++;
    blocks->n_ended++;
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
    bool full =
        len >= blocks->block_min && (cuts_here(path) || entry_bytes > (int64_t)(blocks->block_max - len));
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

int blocks_cut(struct blocks *blocks, struct error *err)
{
    return end_block(blocks, err);
}

size_t blocks_number(const struct blocks *blocks)
{
    return blocks->n_ended;
}

int blocks_settle(struct blocks *blocks, struct error *err)
{
    if (end_block(blocks, err) < 0)
        return -1;
    while (blocks->n_flying > 0)
        if (land_oldest(blocks, err) < 0)
            return -1;
    return 0;
}

int64_t blocks_size(const struct blocks *blocks)
{
    return blocks->size;
}

int64_t blocks_offset(const struct blocks *blocks, size_t number)
{
    return blocks->offsets[number];
}

int blocks_put(struct blocks *blocks, const void *tar, size_t tar_len, const void *blob, size_t blob_len,
               struct error *err)
{
    hasher_update(blocks->diff_id, tar, tar_len);
    blocks->tar_size += (int64_t)tar_len;
    hasher_update(blocks->digest, blob, blob_len);
    blocks->size += (int64_t)blob_len;
    return blob_len > 0 ? sink_write(blocks->out, blob, blob_len, err) : 0;
}

int blocks_finish(struct blocks *blocks, struct layer_result *ret, struct error *err)
{
    if (blocks_settle(blocks, err) < 0)
        return -1;
    hasher_finish(blocks->diff_id, &ret->diff_id);
    if (blocks->digest)
        hasher_finish(blocks->digest, &ret->digest);
    else
        ret->digest = ret->diff_id;
    ret->size = blocks->size;
    ret->tar_size = blocks->tar_size;
    ret->blocks = (int64_t)blocks->index.n;
    ret->blocks_reused = blocks->reused;
    if (blocks->digest && blocks->index_blocks)
        ret->index = block_index_format(&blocks->index, blocks->engine, &ret->index_len);
    return 0;
}
