// SPDX-License-Identifier: Apache-2.0
//
// Asked by endpoint_config on workers: an edit or a rebase of an image reads the same few configs again and again, and each
// is a request less. One leaf lock.
#include "images/config_memory.h"

#include <pthread.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/table.h"

struct kept {
    struct list by_use; // newest last
    char *key;
    char *bytes;
    size_t len;
};

struct config_memory {
    pthread_mutex_t lock;
    struct table *by_key;
    struct list by_use;
    size_t bytes, max_bytes;
};

struct config_memory *config_memory_new(size_t max_bytes)
{
    struct config_memory *memory = mem_new(struct config_memory);
    pthread_mutex_init(&memory->lock, NULL);
    memory->by_key = table_new();
    memory->max_bytes = max_bytes;
    list_init(&memory->by_use);
    return memory;
}

static void forget(struct config_memory *memory, struct kept *kept)
{
    table_take(memory->by_key, kept->key);
    list_remove(&kept->by_use);
    memory->bytes -= kept->len;
    free(kept->key);
    free(kept->bytes);
    free(kept);
}

static struct kept *oldest(struct config_memory *memory)
{
    return list_empty(&memory->by_use) ? NULL : container_of(memory->by_use.next, struct kept, by_use);
}

void config_memory_free(struct config_memory *memory)
{
    if (!memory)
        return;
    for (struct kept *kept; (kept = oldest(memory));)
        forget(memory, kept);
    table_free(memory->by_key);
    pthread_mutex_destroy(&memory->lock);
    free(memory);
}

char *config_memory_find(struct config_memory *memory, const char *place, const struct digest *digest, size_t *ret_len)
{
    AUTO_FREE char *key = mem_printf("%s@%s", place, digest->text);
    char *bytes = NULL;
    pthread_mutex_lock(&memory->lock);
    struct kept *kept = table_find(memory->by_key, key);
    if (kept) {
        list_remove(&kept->by_use);
        list_append(&memory->by_use, &kept->by_use);
        bytes = mem_dup(kept->bytes, kept->len + 1);
        *ret_len = kept->len;
    }
    pthread_mutex_unlock(&memory->lock);
    return bytes;
}

void config_memory_put(struct config_memory *memory, const char *place, const struct digest *digest, const char *bytes,
                       size_t len)
{
    if (len > memory->max_bytes / 8)
        return; // one config is not worth all the others
    struct kept *fresh = mem_new(struct kept);
    *fresh = (struct kept){.key = mem_printf("%s@%s", place, digest->text), .bytes = mem_dup(bytes, len + 1), .len = len};
    pthread_mutex_lock(&memory->lock);
    struct kept *known = table_find(memory->by_key, fresh->key);
    if (known)
        forget(memory, known);
    table_put(memory->by_key, fresh->key, fresh);
    list_append(&memory->by_use, &fresh->by_use);
    memory->bytes += len;
    while (memory->bytes > memory->max_bytes)
        forget(memory, oldest(memory));
    pthread_mutex_unlock(&memory->lock);
}
