// SPDX-License-Identifier: Apache-2.0
//
// Trees that a package manager links from its store have hundreds of thousands of such files, so a link is
// kept small: one slot of an open-addressed table, and its path among all others. Called by the pack.
#include "layers/links.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/mem.h"

struct link {
    const void *source;
    uint64_t dev, ino;
    size_t path; // where it begins in `paths`, + 1; 0: the slot is free
};

struct links {
    struct link *slots;
    size_t n_slots; // a power of two
    size_t n;
    char *paths;
    size_t paths_len, paths_capacity;
};

struct links *links_new(void)
{
    return mem_new(struct links);
}

void links_free(struct links *links)
{
    if (!links)
        return;
    free(links->slots);
    free(links->paths);
    free(links);
}

// Mixes by a multiplier with an even spread of bits (the golden ratio); the numbers are the kernel's, not a
// stranger's.
static size_t hash(const struct link *link)
{
    uint64_t mixed = (uint64_t)(uintptr_t)link->source ^ link->dev << 32 ^ link->ino;
    mixed *= 0x9e3779b97f4a7c15;
    return (size_t)(mixed ^ mixed >> 32);
}

static bool same(const struct link *a, const struct link *b)
{
    return a->source == b->source && a->dev == b->dev && a->ino == b->ino;
}

static struct link *find_slot(const struct links *links, const struct link *link)
{
    for (size_t i = hash(link);; i++) {
        struct link *slot = &links->slots[i & (links->n_slots - 1)];
        if (slot->path == 0 || same(slot, link))
            return slot;
    }
}

static void grow(struct links *links)
{
    struct link *old = links->slots;
    size_t n_old = links->n_slots;
    links->n_slots = n_old ? 2 * n_old : 64;
    links->slots = mem_calloc(links->n_slots, sizeof(*links->slots));
    for (size_t i = 0; i < n_old; i++)
        if (old[i].path != 0)
            *find_slot(links, &old[i]) = old[i];
    free(old);
}

static size_t keep_path(struct links *links, const char *path)
{
    size_t len = strlen(path) + 1, at = links->paths_len;
    if (at + len > links->paths_capacity) {
        links->paths_capacity = (at + len) * 3 / 2;
        links->paths = mem_realloc(links->paths, links->paths_capacity);
    }
    memcpy(links->paths + at, path, len);
    links->paths_len += len;
    return at + 1;
}

const char *links_meet(struct links *links, const void *source, uint64_t dev, uint64_t ino, const char *path)
{
    if (4 * links->n >= 3 * links->n_slots)
        grow(links);
    struct link link = {.source = source, .dev = dev, .ino = ino};
    struct link *slot = find_slot(links, &link);
    if (slot->path != 0)
        return links->paths + slot->path - 1;
    if (links->n >= LINKS_MAX)
        return NULL;
    link.path = keep_path(links, path);
    *slot = link;
    links->n++;
    return NULL;
}
