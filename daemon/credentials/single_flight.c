// SPDX-License-Identifier: Apache-2.0
//
// Single flight with memory. Used by credentials (tokens, helper answers, Google access tokens). What must
// hold: an entry with `flying` set stays in the list until its leader lands, and the lock is never held while
// a value is made.
#include "credentials/single_flight.h"

#include <pthread.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/monitor.h"
#include "base/table.h"

enum { WAIT_SLICE_MS = 100 };

struct flight_entry {
    struct list link; // most recently used first
    char *key;
    void *value;        // or NULL
    int64_t renew_ms;   // from here on one caller makes a new value
    int64_t expires_ms; // of value, or of failure
    struct error failure;
    bool flying;
    int waiters;
};

struct single_flight {
    struct single_flight_options options;
    pthread_mutex_t lock;
    pthread_cond_t landed;
    struct list entries;
    struct table *by_key;
};

struct single_flight *single_flight_new(const struct single_flight_options *options)
{
    struct single_flight *flight = mem_new(struct single_flight);
    flight->options = *options;
    pthread_mutex_init(&flight->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&flight->landed, &attributes);
    pthread_condattr_destroy(&attributes);
    list_init(&flight->entries);
    flight->by_key = table_new();
    return flight;
}

static void drop_value(struct single_flight *flight, struct flight_entry *entry)
{
    if (entry->value)
        flight->options.unref(entry->value);
    entry->value = NULL;
    error_clear(&entry->failure);
    entry->expires_ms = 0;
}

static void remove_entry(struct single_flight *flight, struct flight_entry *entry)
{
    drop_value(flight, entry);
    list_remove(&entry->link);
    table_take(flight->by_key, entry->key);
    free(entry->key);
    free(entry);
}

void single_flight_free(struct single_flight *flight)
{
    if (!flight)
        return;
    list_for_each_safe(link, &flight->entries)
        remove_entry(flight, container_of(link, struct flight_entry, link));
    table_free(flight->by_key);
    pthread_cond_destroy(&flight->landed);
    pthread_mutex_destroy(&flight->lock);
    free(flight);
}

static void make_room(struct single_flight *flight)
{
    for (struct list *link = flight->entries.prev;
         table_count(flight->by_key) >= flight->options.max_entries;) {
        if (link == &flight->entries)
            return; // all are in use: over the bound for a moment, by at most one entry per worker
        struct flight_entry *entry = container_of(link, struct flight_entry, link);
        link = link->prev;
        if (!entry->flying && !entry->waiters)
            remove_entry(flight, entry);
    }
}

static struct flight_entry *use_entry(struct single_flight *flight, const char *key)
{
    struct flight_entry *entry = table_find(flight->by_key, key);
    if (entry) {
        list_remove(&entry->link);
    } else {
        make_room(flight);
        entry = mem_new(struct flight_entry);
        entry->key = mem_strdup(key);
        entry->failure = ERROR_INIT;
        table_put(flight->by_key, entry->key, entry);
    }
    list_prepend(&flight->entries, &entry->link);
    return entry;
}

static void wait_slice(struct single_flight *flight)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += WAIT_SLICE_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_cond_timedwait(&flight->landed, &flight->lock, &until);
}

// What can be said without waiting: -2 means that another caller is making the value.
static int judge(struct single_flight *flight, struct flight_entry *entry, void **ret_value,
                 struct error *err)
{
    int64_t now_ms = clock_ms();
    bool live = now_ms < entry->expires_ms;
    if (entry->value && live && (entry->flying || now_ms < entry->renew_ms)) {
        *ret_value = flight->options.ref(entry->value);
        return FLIGHT_HIT;
    }
    if (entry->flying)
        return -2;
    if (entry->failure.code && live) {
        error_copy(err, &entry->failure);
        return FLIGHT_FAILED;
    }
    if (!live)
        drop_value(flight, entry);
    entry->flying = true;
    return FLIGHT_LEAD;
}

static int wait_for(struct single_flight *flight, struct flight_entry *entry, const struct monitor *monitor,
                    void **ret_value, struct error *err)
{
    int64_t deadline_ms = clock_ms() + flight->options.wait_ms;
    int outcome;
    while ((outcome = judge(flight, entry, ret_value, err)) == -2) {
        if (monitor_check(monitor, err) < 0)
            return FLIGHT_FAILED;
        if (clock_ms() >= deadline_ms) {
            error_set(err, ERR_REGISTRY_AUTH, "Another job did not get %s within %lld ms",
                      flight->options.what, (long long)flight->options.wait_ms);
            err->retryable = true;
            return FLIGHT_FAILED;
        }
        bool was_flying = entry->flying;
        wait_slice(flight);
        // The failure of the flight waited for counts for all who waited, remembered or not.
        if (was_flying && !entry->flying && entry->failure.code) {
            error_copy(err, &entry->failure);
            return FLIGHT_FAILED;
        }
    }
    return outcome;
}

enum single_flight_outcome single_flight_board(struct single_flight *flight, const char *key,
                                               const struct monitor *monitor, void **ret_value,
                                               struct error *err)
{
    pthread_mutex_lock(&flight->lock);
    struct flight_entry *entry = use_entry(flight, key);
    entry->waiters++;
    int outcome = wait_for(flight, entry, monitor, ret_value, err);
    entry->waiters--;
    pthread_mutex_unlock(&flight->lock);
    return (enum single_flight_outcome)outcome;
}

static void keep_value(struct single_flight *flight, struct flight_entry *entry, void *value, int64_t life_ms)
{
    drop_value(flight, entry);
    entry->value = flight->options.ref(value);
    int64_t now_ms = clock_ms();
    entry->renew_ms = now_ms + life_ms / 5 * 4;
    entry->expires_ms = now_ms + life_ms;
}

static void keep_failure(struct single_flight *flight, struct flight_entry *entry,
                         const struct error *failure)
{
    int64_t now_ms = clock_ms();
    if (entry->value && now_ms < entry->expires_ms) { // a renewal: ask again in a while
        entry->renew_ms = now_ms + (entry->expires_ms - now_ms) / 2;
        return;
    }
    drop_value(flight, entry);
    if (failure->code == ERR_CANCELLED)
        return;
    error_copy(&entry->failure, failure);
    entry->expires_ms = now_ms + flight->options.failure_ttl_ms;
}

void single_flight_land(struct single_flight *flight, const char *key, void *value, int64_t life_ms,
                        const struct error *failure, void **ret_old)
{
    pthread_mutex_lock(&flight->lock);
    struct flight_entry *entry = table_find(flight->by_key, key);
    entry->flying = false;
    if (value)
        keep_value(flight, entry, value, life_ms);
    else
        keep_failure(flight, entry, failure);
    if (ret_old)
        *ret_old = !value && entry->value ? flight->options.ref(entry->value) : NULL;
    pthread_cond_broadcast(&flight->landed);
    pthread_mutex_unlock(&flight->lock);
}

void single_flight_drop(struct single_flight *flight, const char *key, const void *value)
{
    pthread_mutex_lock(&flight->lock);
    struct flight_entry *entry = table_find(flight->by_key, key);
    if (entry && entry->value && entry->value == value)
        drop_value(flight, entry);
    pthread_mutex_unlock(&flight->lock);
}

void single_flight_make_old(struct single_flight *flight, const char *key)
{
    pthread_mutex_lock(&flight->lock);
    struct flight_entry *entry = table_find(flight->by_key, key);
    if (entry)
        entry->renew_ms = 0;
    pthread_mutex_unlock(&flight->lock);
}

size_t single_flight_clear(struct single_flight *flight)
{
    size_t dropped = 0;
    pthread_mutex_lock(&flight->lock);
    list_for_each_safe(link, &flight->entries) {
        struct flight_entry *entry = container_of(link, struct flight_entry, link);
        dropped += entry->value != NULL;
        if (entry->flying || entry->waiters)
            drop_value(flight, entry);
        else
            remove_entry(flight, entry);
    }
    pthread_mutex_unlock(&flight->lock);
    return dropped;
}

void single_flight_each(struct single_flight *flight,
                        void (*visit)(void *arg, const char *key, const void *value, int64_t expires_ms),
                        void *arg)
{
    pthread_mutex_lock(&flight->lock);
    list_for_each(link, &flight->entries) {
        struct flight_entry *entry = container_of(link, struct flight_entry, link);
        if (entry->value)
            visit(arg, entry->key, entry->value, entry->expires_ms);
    }
    pthread_mutex_unlock(&flight->lock);
}
