// SPDX-License-Identifier: Apache-2.0
//
// Every 38,383 windows of 64 KiB or less there is one whose hash is 0, anywhere in the address space. The
// search begins below where the kernel puts mappings now and takes the first window that is free. Called once
// per compressor.
#include "layers/isal_place.h"

#include <stdint.h>
#include <sys/mman.h>

enum { WINDOW_BITS = 16, SLOTS = 8192, DISTANCE = 1 << 15, TRIES_MAX = 1 << 21 };

// CRC-32C of one 32-bit word from 0, as the crc32 instruction computes it.
static uint32_t hash_of(uint32_t word)
{
    for (int i = 0; i < 32; i++)
        word = word >> 1 ^ (word & 1 ? 0x82f63b78u : 0);
    return word;
}

static bool window_good(uintptr_t window)
{
    return hash_of((uint32_t)window) % SLOTS == 0;
}

bool isal_place_good(const void *place)
{
    return window_good((uintptr_t)place >> WINDOW_BITS);
}

static void *map(uintptr_t address, size_t size, int flags)
{
    void *place =
        mmap((void *)address, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    return place == MAP_FAILED ? NULL : place;
}

void *isal_place_new(size_t size)
{
    void *probe = map(0, size, 0);
    if (!probe || isal_place_good(probe))
        return probe;
    munmap(probe, size);
    uintptr_t window = ((uintptr_t)probe >> WINDOW_BITS) - DISTANCE;
    for (int tries = 0; tries < TRIES_MAX && window > DISTANCE; tries++, window--) {
        if (!window_good(window))
            continue;
        void *place = map(window << WINDOW_BITS, size, MAP_FIXED_NOREPLACE);
        if (place && isal_place_good(place))
            return place;
        isal_place_free(place, size);
    }
    return NULL;
}

void isal_place_free(void *place, size_t size)
{
    if (place)
        munmap(place, size);
}
