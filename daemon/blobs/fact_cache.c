// SPDX-License-Identifier: Apache-2.0
#include "blobs/fact_cache.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

enum { RENEW_SHARE = 8 }; // a fact that is confirmed again is written once per eighth of its life

void fact_cache_init(struct fact_cache *cache, const char *kind, struct store *store, size_t max,
                     int64_t max_age_ms)
{
    *cache = (struct fact_cache){.kind = kind,
                                 .store = store,
                                 .facts = table_new(),
                                 .max = max > 0 ? max : 1,
                                 .max_age_ms = max_age_ms};
    list_init(&cache->by_age);
}

static struct fact *fact_of(struct list *link)
{
    return container_of(link, struct fact, by_age);
}

static void fact_free(struct fact *fact)
{
    free(fact->value);
    free(fact);
}

void fact_cache_fini(struct fact_cache *cache)
{
    for (struct list *link; (link = list_take_first(&cache->by_age)) != NULL;)
        fact_free(fact_of(link));
    table_free(cache->facts);
}

bool fact_cache_fresh(const struct fact_cache *cache, const struct fact *fact)
{
    return cache->max_age_ms <= 0 || clock_wall_ms() - fact->added_ms < cache->max_age_ms;
}

struct fact *fact_cache_find(const struct fact_cache *cache, const char *key)
{
    struct fact *fact = table_find(cache->facts, key);
    return fact && fact_cache_fresh(cache, fact) ? fact : NULL;
}

static struct fact *insert(struct fact_cache *cache, const char *key, const char *value, int64_t added_ms)
{
    size_t size = strlen(key) + 1;
    struct fact *fact = mem_calloc(1, sizeof *fact + size);
    memcpy(fact->key, key, size);
    fact->value = mem_strdup(value);
    fact->added_ms = fact->stored_ms = added_ms;
    list_init(&fact->siblings);
    list_append(&cache->by_age, &fact->by_age);
    table_put(cache->facts, fact->key, fact);
    return fact;
}

static void forget(struct fact_cache *cache, struct fact *fact)
{
    if (cache->gone)
        cache->gone(cache->arg, fact);
    table_take(cache->facts, fact->key);
    list_remove(&fact->by_age);
    fact_free(fact);
}

void fact_cache_drop(struct fact_cache *cache, struct fact *fact)
{
    store_fact_delete(cache->store, cache->kind, fact->key);
    forget(cache, fact);
}

static void write_through(struct fact_cache *cache, struct fact *fact)
{
    int64_t expires_ms = cache->max_age_ms > 0 ? fact->added_ms + cache->max_age_ms : 0;
    fact->stored_ms = fact->added_ms;
    store_fact_put(cache->store, cache->kind, fact->key, fact->value, expires_ms);
}

// Old facts go one at a time as new ones come, so no call is long.
static void make_room(struct fact_cache *cache)
{
    while (table_count(cache->facts) >= cache->max)
        fact_cache_drop(cache, fact_of(cache->by_age.next));
    if (list_empty(&cache->by_age))
        return;
    struct fact *oldest = fact_of(cache->by_age.next);
    if (!fact_cache_fresh(cache, oldest))
        forget(cache, oldest); // the store drops what has expired by itself
}

static void renew(struct fact_cache *cache, struct fact *fact, const char *value)
{
    int64_t now_ms = clock_wall_ms();
    bool changed = !str_equal(fact->value, value);
    if (changed) {
        free(fact->value);
        fact->value = mem_strdup(value);
    }
    fact->added_ms = now_ms;
    list_remove(&fact->by_age);
    list_append(&cache->by_age, &fact->by_age);
    bool stale = cache->max_age_ms > 0 && now_ms - fact->stored_ms >= cache->max_age_ms / RENEW_SHARE;
    if (changed || stale)
        write_through(cache, fact);
}

struct fact *fact_cache_put(struct fact_cache *cache, const char *key, const char *value, bool *ret_new)
{
    struct fact *fact = table_find(cache->facts, key);
    *ret_new = fact == NULL;
    if (fact) {
        renew(cache, fact, value);
        return fact;
    }
    make_room(cache);
    fact = insert(cache, key, value, clock_wall_ms());
    write_through(cache, fact);
    return fact;
}

// The store gives facts by name; they are brought into the order of their age before they are taken in.
struct loading {
    struct fact_cache *cache;
    struct loaded {
        char *key, *value;
        int64_t added_ms;
    } * facts;
    size_t n, capacity;
};

static void load_one(void *arg, const char *key, const char *value, int64_t expires_wall_ms)
{
    struct loading *loading = arg;
    if (loading->n == loading->capacity) {
        loading->capacity = loading->capacity ? loading->capacity * 2 : 1024;
        loading->facts = mem_realloc(loading->facts, loading->capacity * sizeof *loading->facts);
    }
    int64_t age_ms = loading->cache->max_age_ms;
    loading->facts[loading->n++] = (struct loaded){
        .key = mem_strdup(key),
        .value = mem_strdup(value),
        .added_ms = age_ms > 0 && expires_wall_ms > 0 ? expires_wall_ms - age_ms : 0,
    };
}

static int oldest_first(const void *a, const void *b)
{
    int64_t left = ((const struct loaded *)a)->added_ms, right = ((const struct loaded *)b)->added_ms;
    return left < right ? -1 : left > right;
}

static void take_loaded(struct loading *loading, void (*added)(void *arg, struct fact *fact))
{
    struct fact_cache *cache = loading->cache;
    if (loading->n > 0)
        qsort(loading->facts, loading->n, sizeof *loading->facts, oldest_first);
    size_t excess = loading->n > cache->max ? loading->n - cache->max : 0;
    for (size_t i = 0; i < loading->n; i++) {
        struct loaded *loaded = &loading->facts[i];
        if (i < excess)
            store_fact_delete(cache->store, cache->kind, loaded->key);
        else
            added(cache->arg, insert(cache, loaded->key, loaded->value, loaded->added_ms));
        free(loaded->key);
        free(loaded->value);
    }
    free(loading->facts);
}

int fact_cache_load(struct fact_cache *cache, void (*added)(void *arg, struct fact *fact), struct error *err)
{
    struct loading loading = {.cache = cache};
    int result = store_fact_each(cache->store, cache->kind, load_one, &loading, err);
    take_loaded(&loading, added);
    return result;
}
