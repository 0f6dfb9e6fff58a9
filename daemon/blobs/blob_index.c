// SPDX-License-Identifier: Apache-2.0
#include "blobs/blob_index.h"

#include "base/mem.h"

void blob_index_init(struct blob_index *index)
{
    *index = (struct blob_index){.entries = table_new()};
    list_init(&index->by_use);
}

void blob_index_fini(struct blob_index *index)
{
    size_t position = 0;
    for (struct blob_entry *entry; (entry = table_next(index->entries, &position)) != NULL;)
        free(entry);
    table_free(index->entries);
}

struct blob_entry *blob_index_find(const struct blob_index *index, const struct digest *digest)
{
    struct blob_entry *entry = table_find(index->entries, digest->text);
    return entry && entry->present ? entry : NULL;
}

static void appear(struct blob_index *index, struct blob_entry *entry, int64_t size)
{
    if (entry->present)
        index->bytes -= entry->size;
    else
        index->blobs++;
    entry->present = true;
    entry->size = size;
    index->bytes += size;
}

struct blob_entry *blob_index_add(struct blob_index *index, const struct digest *digest, int64_t size,
                                  int64_t last_used_ms)
{
    struct blob_entry *entry = table_find(index->entries, digest->text);
    if (!entry) {
        entry = mem_new(struct blob_entry);
        entry->digest = *digest;
        list_init(&entry->by_use);
        table_put(index->entries, entry->digest.text, entry);
    }
    appear(index, entry, size);
    entry->written_ms = last_used_ms;
    blob_index_use(index, entry, last_used_ms);
    return entry;
}

static void free_if_unused(struct blob_index *index, struct blob_entry *entry)
{
    if (entry->present || entry->leases > 0)
        return;
    table_take(index->entries, entry->digest.text);
    free(entry);
}

void blob_index_forget(struct blob_index *index, struct blob_entry *entry)
{
    list_remove(&entry->by_use);
    entry->present = false;
    index->blobs--;
    index->bytes -= entry->size;
    free_if_unused(index, entry);
}

void blob_index_use(struct blob_index *index, struct blob_entry *entry, int64_t now_ms)
{
    entry->last_used_ms = now_ms;
    list_remove(&entry->by_use);
    if (entry->leases == 0)
        list_append(&index->by_use, &entry->by_use);
}

void blob_index_lease(struct blob_index *index, struct blob_entry *entry)
{
    (void)index;
    entry->leases++;
    list_remove(&entry->by_use);
}

void blob_index_release(struct blob_index *index, const struct digest *digest)
{
    struct blob_entry *entry = table_find(index->entries, digest->text);
    if (!entry || entry->leases == 0)
        return;
    if (--entry->leases > 0)
        return;
    if (entry->present)
        list_append(&index->by_use, &entry->by_use);
    free_if_unused(index, entry);
}

struct blob_entry *blob_index_oldest(const struct blob_index *index)
{
    if (list_empty(&index->by_use))
        return NULL;
    return container_of(index->by_use.next, struct blob_entry, by_use);
}

static int newest_first(const void *a, const void *b)
{
    int64_t left = (*(struct blob_entry *const *)a)->last_used_ms;
    int64_t right = (*(struct blob_entry *const *)b)->last_used_ms;
    return left < right ? 1 : left > right ? -1 : 0;
}

size_t blob_index_sorted(const struct blob_index *index, struct blob_entry ***ret)
{
    size_t n = 0, position = 0;
    struct blob_entry **all = mem_calloc(table_count(index->entries) + 1, sizeof *all);
    for (struct blob_entry *entry; (entry = table_next(index->entries, &position)) != NULL;)
        if (entry->present)
            all[n++] = entry;
    qsort(all, n, sizeof *all, newest_first);
    *ret = all;
    return n;
}
