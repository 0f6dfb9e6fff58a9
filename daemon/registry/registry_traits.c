// SPDX-License-Identifier: Apache-2.0
//
// The memory of registry's detours. Filled by blob_push, upload and registry_manifest; full tables are
// emptied, since everything in them can be learned again.
#include "registry/registry_traits.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "base/table.h"

enum { HOSTS_MAX = 1024, WARNINGS_MAX = 1024 };

struct trait_entry {
    struct registry_trait trait;
    char key[]; // host, or "host text" of a warning
};

struct registry_traits {
    pthread_mutex_t lock;
    struct table *hosts;
    struct table *warnings;
};

struct registry_traits *registry_traits_new(void)
{
    struct registry_traits *traits = mem_new(struct registry_traits);
    pthread_mutex_init(&traits->lock, NULL);
    traits->hosts = table_new();
    traits->warnings = table_new();
    return traits;
}

static void end_table(struct table *table)
{
    size_t position = 0;
    for (void *entry; (entry = table_next(table, &position));)
        free(entry);
    table_free(table);
}

void registry_traits_free(struct registry_traits *traits)
{
    if (!traits)
        return;
    end_table(traits->hosts);
    end_table(traits->warnings);
    pthread_mutex_destroy(&traits->lock);
    free(traits);
}

static struct trait_entry *add(struct table **table, size_t max, const char *key)
{
    if (table_count(*table) >= max) {
        end_table(*table);
        *table = table_new();
    }
    size_t len = strlen(key) + 1;
    struct trait_entry *entry = mem_calloc(1, sizeof *entry + len);
    memcpy(entry->key, key, len);
    table_put(*table, entry->key, entry);
    return entry;
}

struct registry_trait registry_traits_get(struct registry_traits *traits, const char *host)
{
    pthread_mutex_lock(&traits->lock);
    const struct trait_entry *entry = table_find(traits->hosts, host);
    struct registry_trait trait = entry ? entry->trait : (struct registry_trait){0};
    pthread_mutex_unlock(&traits->lock);
    return trait;
}

void registry_traits_set(struct registry_traits *traits, const char *host, const struct registry_trait *trait)
{
    pthread_mutex_lock(&traits->lock);
    struct trait_entry *entry = table_find(traits->hosts, host);
    if (!entry)
        entry = add(&traits->hosts, HOSTS_MAX, host);
    entry->trait = *trait;
    pthread_mutex_unlock(&traits->lock);
}

bool registry_traits_warn_once(struct registry_traits *traits, const char *host, const char *text)
{
    AUTO_FREE char *key = mem_printf("%s %s", host, text);
    pthread_mutex_lock(&traits->lock);
    bool first = !table_find(traits->warnings, key);
    if (first)
        add(&traits->warnings, WARNINGS_MAX, key);
    pthread_mutex_unlock(&traits->lock);
    return first;
}
