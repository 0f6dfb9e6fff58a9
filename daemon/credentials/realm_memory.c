// SPDX-License-Identifier: Apache-2.0
//
// A small least-recently-used list of challenges by origin. Written and read by credentials_authorizer.
#include "credentials/realm_memory.h"

#include <pthread.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"

struct memory_entry {
    struct list link; // most recently used first
    char *origin;
    struct realm realm;
};

struct realm_memory {
    pthread_mutex_t lock;
    struct list entries;
    size_t count;
    size_t max;
};

void realm_clear(struct realm *realm)
{
    free(realm->realm);
    free(realm->service);
    *realm = (struct realm){0};
}

struct realm_memory *realm_memory_new(size_t max)
{
    struct realm_memory *memory = mem_new(struct realm_memory);
    pthread_mutex_init(&memory->lock, NULL);
    list_init(&memory->entries);
    memory->max = max;
    return memory;
}

static void drop_entry(struct realm_memory *memory, struct memory_entry *entry)
{
    list_remove(&entry->link);
    free(entry->origin);
    realm_clear(&entry->realm);
    free(entry);
    memory->count--;
}

static size_t clear_locked(struct realm_memory *memory)
{
    size_t dropped = memory->count;
    list_for_each_safe(link, &memory->entries)
        drop_entry(memory, container_of(link, struct memory_entry, link));
    return dropped;
}

void realm_memory_free(struct realm_memory *memory)
{
    if (!memory)
        return;
    clear_locked(memory);
    pthread_mutex_destroy(&memory->lock);
    free(memory);
}

static struct memory_entry *use_locked(struct realm_memory *memory, const char *origin)
{
    list_for_each(link, &memory->entries) {
        struct memory_entry *entry = container_of(link, struct memory_entry, link);
        if (!str_equal(entry->origin, origin))
            continue;
        list_remove(&entry->link);
        list_prepend(&memory->entries, &entry->link);
        return entry;
    }
    return NULL;
}

void realm_memory_put(struct realm_memory *memory, const char *origin, const struct challenge *challenge,
                      enum address_class origin_class)
{
    pthread_mutex_lock(&memory->lock);
    struct memory_entry *entry = use_locked(memory, origin);
    if (!entry) {
        if (memory->count >= memory->max)
            drop_entry(memory, container_of(memory->entries.prev, struct memory_entry, link));
        entry = mem_new(struct memory_entry);
        entry->origin = mem_strdup(origin);
        list_prepend(&memory->entries, &entry->link);
        memory->count++;
    }
    realm_clear(&entry->realm);
    entry->realm = (struct realm){
        .scheme = challenge->scheme,
        .realm = mem_strdup_null(challenge->realm),
        .service = mem_strdup_null(challenge->service),
        .origin_class = origin_class,
    };
    pthread_mutex_unlock(&memory->lock);
}

void realm_memory_find(struct realm_memory *memory, const char *origin, struct realm *ret)
{
    *ret = (struct realm){0};
    pthread_mutex_lock(&memory->lock);
    const struct memory_entry *entry = use_locked(memory, origin);
    if (entry)
        *ret = (struct realm){
            .scheme = entry->realm.scheme,
            .realm = mem_strdup_null(entry->realm.realm),
            .service = mem_strdup_null(entry->realm.service),
            .origin_class = entry->realm.origin_class,
        };
    pthread_mutex_unlock(&memory->lock);
}

void realm_memory_drop(struct realm_memory *memory, const char *origin)
{
    pthread_mutex_lock(&memory->lock);
    struct memory_entry *entry = use_locked(memory, origin);
    if (entry)
        drop_entry(memory, entry);
    pthread_mutex_unlock(&memory->lock);
}

size_t realm_memory_clear(struct realm_memory *memory)
{
    pthread_mutex_lock(&memory->lock);
    size_t dropped = clear_locked(memory);
    pthread_mutex_unlock(&memory->lock);
    return dropped;
}
