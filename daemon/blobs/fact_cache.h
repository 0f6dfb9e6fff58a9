// SPDX-License-Identifier: Apache-2.0
//
// Facts of one kind in memory, bounded, oldest out first, written through to the store. Loop only.
#pragma once

#include "base/list.h"
#include "base/table.h"
#include "store/store.h"

struct fact {
    struct list by_age;   // in the cache, newest last
    struct list siblings; // for the owner: facts that answer the same question
    int64_t added_ms;     // wall clock
    int64_t stored_ms;    // added_ms as the store has it
    char *value;
    char key[];
};

struct fact_cache {
    const char *kind;
    struct store *store;
    struct table *facts;
    struct list by_age;
    size_t max;
    int64_t max_age_ms;                         // 0: they do not age
    void (*gone)(void *arg, struct fact *fact); // before a fact is freed
    void *arg;
};

// kind: a literal. gone may be NULL.
void fact_cache_init(struct fact_cache *cache, const char *kind, struct store *store, size_t max,
                     int64_t max_age_ms);
void fact_cache_fini(struct fact_cache *cache); // the store keeps its facts; gone is not called
// Every fact of the store, oldest first; calls added(arg, fact) for each that was taken.
int fact_cache_load(struct fact_cache *cache, void (*added)(void *arg, struct fact *fact), struct error *err);
struct fact *fact_cache_find(const struct fact_cache *cache, const char *key); // NULL if unknown or too old
bool fact_cache_fresh(const struct fact_cache *cache, const struct fact *fact);
// Adds or renews. *ret_new tells which.
struct fact *fact_cache_put(struct fact_cache *cache, const char *key, const char *value, bool *ret_new);
void fact_cache_drop(struct fact_cache *cache, struct fact *fact);
