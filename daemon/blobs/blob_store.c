// SPDX-License-Identifier: Apache-2.0
//
// The index and its directory, kept the same: an entry that is present has its file, apart from what others
// do to the directory, which the reader notices. Whatever changes a name in blobs/ does it under the lock;
// whatever may take long (writing, fsync, removing large files) is done outside.
#include "blobs/blob_store.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "blobs/blob_room.h"

enum { TOUCH_MS = 60000, SPARE_BYTES = 16 << 20 };

static void found(void *arg, const struct digest *digest, int64_t size, int64_t last_used_ms)
{
    struct blob_store *store = arg;
    blob_index_add(&store->index, digest, size, last_used_ms);
}

// The scan found the files in any order.
static void sort_by_use(struct blob_store *store)
{
    AUTO_FREE struct blob_entry **all = NULL;
    size_t n = blob_index_sorted(&store->index, &all);
    while (n-- > 0)
        blob_index_use(&store->index, all[n], all[n]->last_used_ms);
}

struct blob_store *blob_store_open(const char *cache_directory, int64_t max_bytes, struct error *err)
{
    struct blob_store *store = mem_new(struct blob_store);
    store->max_bytes = max_bytes;
    blob_index_init(&store->index);
    pthread_mutex_init(&store->lock, NULL);
    if (blob_files_open(&store->files, cache_directory, err) < 0) {
        blob_index_fini(&store->index);
        pthread_mutex_destroy(&store->lock);
        free(store);
        return NULL;
    }
    if (blob_files_scan(&store->files, found, store, err) < 0) {
        blob_store_free(store);
        return NULL;
    }
    sort_by_use(store);
    blob_room_trim(store);
    return store;
}

void blob_store_free(struct blob_store *store)
{
    if (!store)
        return;
    blob_files_close(&store->files);
    blob_index_fini(&store->index);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

uint64_t blob_room_number(struct blob_store *store)
{
    return atomic_fetch_add(&store->next_number, 1);
}

// What was taken out of blobs/ under the lock and is removed for good after it: a run of numbers.
struct retired {
    uint64_t first, end;
    int64_t bytes;
};

static void evict(struct blob_store *store, struct blob_entry *entry, struct retired *retired)
{
    retired->bytes += entry->size;
    blob_files_retire(&store->files, &entry->digest, retired->end++);
    blob_index_forget(&store->index, entry);
    store->evictions++;
}

// Evicts while more than keep_bytes are left, oldest use first, nothing that was used after used_before_ms.
static int64_t shrink(struct blob_store *store, int64_t keep_bytes, int64_t used_before_ms)
{
    enum { RUN = 1024 }; // evictions under the lock at a time
    int64_t freed = 0;
    for (bool more = true; more;) {
        struct retired retired = {.first = atomic_fetch_add(&store->next_number, RUN)};
        retired.end = retired.first;
        pthread_mutex_lock(&store->lock);
        struct blob_entry *oldest = blob_index_oldest(&store->index);
        while (oldest && store->index.bytes > keep_bytes && oldest->last_used_ms <= used_before_ms &&
               retired.end < retired.first + RUN) {
            evict(store, oldest, &retired);
            oldest = blob_index_oldest(&store->index);
        }
        pthread_mutex_unlock(&store->lock);
        for (uint64_t number = retired.first; number < retired.end; number++)
            blob_files_temp_remove(&store->files, number);
        freed += retired.bytes;
        more = retired.end == retired.first + RUN;
    }
    return freed;
}

static int64_t present_bytes(struct blob_store *store)
{
    pthread_mutex_lock(&store->lock);
    int64_t bytes = store->index.bytes;
    pthread_mutex_unlock(&store->lock);
    return bytes;
}

void blob_room_trim(struct blob_store *store)
{
    if (store->max_bytes < 0)
        return;
    int64_t keep_bytes = store->max_bytes - atomic_load(&store->announced);
    shrink(store, keep_bytes > 0 ? keep_bytes : 0, INT64_MAX);
}

bool blob_room_free(struct blob_store *store, int64_t bytes)
{
    int64_t before = blob_files_room(&store->files);
    blob_files_quarantine_clear(&store->files);
    int64_t keep_bytes = present_bytes(store) - bytes;
    int64_t freed = shrink(store, keep_bytes > 0 ? keep_bytes : 0, INT64_MAX);
    return freed > 0 || blob_files_room(&store->files) > before;
}

int blob_room_make(struct blob_store *store, int64_t bytes, struct error *err)
{
    blob_room_trim(store);
    int64_t room = blob_files_room(&store->files);
    int64_t wanted = bytes + atomic_load(&store->announced);
    if (room >= wanted)
        return 0;
    blob_room_free(store, wanted - room + SPARE_BYTES);
    room = blob_files_room(&store->files);
    if (room >= wanted)
        return 0;
    error_set(err, ERR_NO_SPACE, "the cache directory %s has no room for %lld bytes (%lld are free for it)",
              store->files.directory, (long long)wanted, (long long)(room > 0 ? room : 0));
    error_hint(err, "Free some space there, or choose another directory with --cache-dir.");
    return -1;
}

// True if ours became the blob, false if it was there. Under the lock, so that nobody evicts or publishes it
// meanwhile.
static int publish_locked(struct blob_store *store, uint64_t number, const struct digest *digest,
                          int64_t size, struct error *err)
{
    struct blob_entry *entry = blob_index_find(&store->index, digest);
    bool there = entry && entry->size == size;
    if (!there) {
        if (blob_files_publish(&store->files, number, digest, err) < 0)
            return -1;
        entry = blob_index_add(&store->index, digest, size, clock_wall_ms());
    }
    blob_index_use(&store->index, entry, clock_wall_ms());
    blob_index_lease(&store->index, entry);
    return there ? 0 : 1;
}

int blob_room_publish(struct blob_store *store, uint64_t number, const struct digest *digest, int64_t size,
                      struct error *err)
{
    pthread_mutex_lock(&store->lock);
    int published = publish_locked(store, number, digest, size, err);
    pthread_mutex_unlock(&store->lock);
    if (published < 0)
        return -1;
    if (published == 0) {
        blob_files_temp_remove(&store->files, number);
        return 0;
    }
    if (blob_files_sync(&store->files, digest, err) < 0) {
        blob_store_release(store, digest);
        return -1;
    }
    return 0;
}

int64_t blob_store_size(struct blob_store *store, const struct digest *digest)
{
    pthread_mutex_lock(&store->lock);
    const struct blob_entry *entry = blob_index_find(&store->index, digest);
    int64_t size = entry ? entry->size : -1;
    pthread_mutex_unlock(&store->lock);
    return size;
}

bool blob_store_lease(struct blob_store *store, const struct digest *digest)
{
    int64_t now_ms = clock_wall_ms();
    bool touch = false;
    pthread_mutex_lock(&store->lock);
    struct blob_entry *entry = blob_index_find(&store->index, digest);
    if (entry) {
        blob_index_lease(&store->index, entry);
        blob_index_use(&store->index, entry, now_ms);
        touch = now_ms - entry->written_ms >= TOUCH_MS || now_ms < entry->written_ms;
        if (touch)
            entry->written_ms = now_ms;
    }
    pthread_mutex_unlock(&store->lock);
    if (touch)
        blob_files_touch(&store->files, digest, now_ms);
    return entry != NULL;
}

void blob_store_release(struct blob_store *store, const struct digest *digest)
{
    pthread_mutex_lock(&store->lock);
    blob_index_release(&store->index, digest);
    pthread_mutex_unlock(&store->lock);
}

void blob_store_trim(struct blob_store *store)
{
    blob_room_trim(store);
}

void blob_store_quarantine(struct blob_store *store, const struct digest *digest, const char *why)
{
    pthread_mutex_lock(&store->lock);
    struct blob_entry *entry = blob_index_find(&store->index, digest);
    if (entry) {
        blob_files_quarantine(&store->files, digest, blob_room_number(store));
        blob_index_forget(&store->index, entry);
        store->quarantined++;
    }
    pthread_mutex_unlock(&store->lock);
    if (entry)
        log_warning("blobs: %s in %s is not what it should be (%s); it was put into quarantine", digest->text,
                    store->files.directory, why);
}

int64_t blob_store_prune(struct blob_store *store, int64_t keep_bytes, int64_t older_than_s)
{
    int64_t used_before_ms = INT64_MAX;
    if (older_than_s > 0 && older_than_s < INT64_MAX / 1000)
        used_before_ms = clock_wall_ms() - older_than_s * 1000;
    blob_files_quarantine_clear(&store->files);
    return shrink(store, keep_bytes > 0 ? keep_bytes : 0, used_before_ms);
}

void blob_store_stats(struct blob_store *store, struct blob_store_stats *ret)
{
    pthread_mutex_lock(&store->lock);
    *ret = (struct blob_store_stats){
        .blobs = store->index.blobs,
        .bytes = store->index.bytes,
        .max_bytes = store->max_bytes,
        .hits = store->hits,
        .misses = store->misses,
        .evictions = store->evictions,
        .quarantined = store->quarantined,
    };
    pthread_mutex_unlock(&store->lock);
}

json_t *blob_store_list(struct blob_store *store, size_t limit)
{
    AUTO_FREE struct blob_entry **all = NULL;
    json_t *list = json_array();
    pthread_mutex_lock(&store->lock);
    size_t n = blob_index_sorted(&store->index, &all);
    for (size_t i = 0; i < n && i < limit; i++) {
        char used[CLOCK_TEXT_MAX];
        clock_format(all[i]->last_used_ms, used);
        json_array_append_new(list, json_pack("{s:s, s:I, s:s}", "digest", all[i]->digest.text, "size",
                                              (json_int_t)all[i]->size, "last_used", used));
    }
    pthread_mutex_unlock(&store->lock);
    return list;
}
