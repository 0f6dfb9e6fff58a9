// SPDX-License-Identifier: Apache-2.0
//
// Open addressing with linear probing; removal closes the gap by moving later entries of the run back, so
// there are no tombstones and a table that lives for months stays as fast as a new one. At most three
// quarters full.
#include "base/table.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/mem.h"

enum { TABLE_SLOTS_MIN = 16 };

struct slot {
    uint64_t hash;
    const char *key; // NULL: free
    void *value;
};

struct table {
    struct slot *slots;
    size_t mask; // number of slots - 1; a power of two
    size_t count;
};

static uint64_t hash_key[2];
static pthread_once_t hash_key_once = PTHREAD_ONCE_INIT;

static void hash_key_make(void)
{
    if (getrandom(hash_key, sizeof hash_key, GRND_NONBLOCK) == (ssize_t)sizeof hash_key)
        return;
    // Early in boot the pool may not be ready; collisions then cost time only.
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    hash_key[0] = (uint64_t)now.tv_nsec;
    hash_key[1] = (uint64_t)now.tv_sec ^ (uint64_t)getpid() << 32;
}

static uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

// SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012).
static uint64_t hash_text(const char *text)
{
    size_t len = strlen(text);
    uint64_t v[4] = {hash_key[0] ^ 0x736f6d6570736575, hash_key[1] ^ 0x646f72616e646f6d,
                     hash_key[0] ^ 0x6c7967656e657261, hash_key[1] ^ 0x7465646279746573};
    uint64_t word = 0;
    size_t done = 0;
    for (; len - done >= 8; done += 8) {
        memcpy(&word, text + done, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    word = 0;
    memcpy(&word, text + done, len - done);
    word |= (uint64_t)len << 56;
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct table *table_new(void)
{
    pthread_once(&hash_key_once, hash_key_make);
    struct table *table = mem_new(struct table);
    table->slots = mem_calloc(TABLE_SLOTS_MIN, sizeof *table->slots);
    table->mask = TABLE_SLOTS_MIN - 1;
    return table;
}

void table_free(struct table *table)
{
    if (!table)
        return;
    free(table->slots);
    free(table);
}

size_t table_count(const struct table *table)
{
    return table->count;
}

// The slot that holds key, or the free one where it would go.
static struct slot *slot_of(const struct table *table, const char *key, uint64_t hash)
{
    size_t at = hash & table->mask;
    for (;; at = (at + 1) & table->mask) {
        struct slot *slot = &table->slots[at];
        if (!slot->key || (slot->hash == hash && strcmp(slot->key, key) == 0))
            return slot;
    }
}

void *table_find(const struct table *table, const char *key)
{
    return slot_of(table, key, hash_text(key))->value;
}

static void grow(struct table *table)
{
    struct table wider = {.mask = table->mask * 2 + 1};
    wider.slots = mem_calloc(wider.mask + 1, sizeof *wider.slots);
    for (size_t at = 0; at <= table->mask; at++) {
        const struct slot *slot = &table->slots[at];
        if (slot->key)
            *slot_of(&wider, slot->key, slot->hash) = *slot;
    }
    free(table->slots);
    table->slots = wider.slots;
    table->mask = wider.mask;
}

void *table_put(struct table *table, const char *key, void *value)
{
    if ((table->count + 1) * 4 > (table->mask + 1) * 3)
        grow(table);
    uint64_t hash = hash_text(key);
    struct slot *slot = slot_of(table, key, hash);
    void *before = slot->value;
    if (!slot->key)
        table->count++;
    *slot = (struct slot){.hash = hash, .key = key, .value = value};
    return before;
}

// Moves back what a gap would otherwise hide from its probe sequence.
static void close_gap(struct table *table, size_t gap)
{
    for (size_t at = (gap + 1) & table->mask; table->slots[at].key; at = (at + 1) & table->mask) {
        size_t home = table->slots[at].hash & table->mask;
        if (((at - home) & table->mask) < ((at - gap) & table->mask))
            continue;
        table->slots[gap] = table->slots[at];
        gap = at;
    }
    table->slots[gap] = (struct slot){0};
}

void *table_take(struct table *table, const char *key)
{
    struct slot *slot = slot_of(table, key, hash_text(key));
    if (!slot->key)
        return NULL;
    void *value = slot->value;
    close_gap(table, (size_t)(slot - table->slots));
    table->count--;
    return value;
}

void *table_next(const struct table *table, size_t *position)
{
    while (*position <= table->mask) {
        const struct slot *slot = &table->slots[(*position)++];
        if (slot->key)
            return slot->value;
    }
    return NULL;
}
