// SPDX-License-Identifier: Apache-2.0
//
// Two bounded caches of facts: where blobs are, and what a fingerprint was packed to. Locations are found by
// exact name
// ("identity\nrepository\ndigest") and, for mounts, through a table of "identity\nhost\ndigest" whose entries
// chain the repositories that have the blob. What must hold: nothing that one identity learned is told to
// another, and a repository is never proposed to another host.
#include "blobs/blob_graph.h"

#include <string.h>

#include "base/mem.h"
#include "blobs/fact_cache.h"

struct places {
    struct list facts; // newest last
    char key[];        // "identity\nhost\ndigest"
};

struct blob_graph {
    struct fact_cache blobs;
    struct fact_cache layers;
    struct table *places;
    char *mount; // the last answer of blob_graph_find_mount
};

static char *blob_key(const char *identity, const char *repository, const struct digest *blob)
{
    return mem_printf("%s\n%s\n%s", identity, repository, blob->text);
}

// The same with the repository cut down to its host.
static char *places_key(const char *blob_fact_key)
{
    const char *repository = strchr(blob_fact_key, '\n');
    const char *digest = repository ? strchr(repository + 1, '\n') : NULL;
    if (!digest)
        return NULL;
    const char *slash = memchr(repository, '/', (size_t)(digest - repository));
    const char *host_end = slash ? slash : digest;
    return mem_printf("%.*s%s", (int)(host_end - blob_fact_key), blob_fact_key, digest);
}

static struct places *places_get(struct blob_graph *graph, const char *key)
{
    struct places *places = table_find(graph->places, key);
    if (places)
        return places;
    size_t size = strlen(key) + 1;
    places = mem_alloc(sizeof *places + size);
    list_init(&places->facts);
    memcpy(places->key, key, size);
    table_put(graph->places, places->key, places);
    return places;
}

static void link_fact(void *arg, struct fact *fact)
{
    struct blob_graph *graph = arg;
    AUTO_FREE char *key = places_key(fact->key);
    if (key)
        list_append(&places_get(graph, key)->facts, &fact->siblings);
}

static void unlink_fact(void *arg, struct fact *fact)
{
    struct blob_graph *graph = arg;
    AUTO_FREE char *key = places_key(fact->key);
    struct places *places = key ? table_find(graph->places, key) : NULL;
    list_remove(&fact->siblings);
    if (!places || !list_empty(&places->facts))
        return;
    table_take(graph->places, key);
    free(places);
}

static void no_link(void *arg, struct fact *fact)
{
    (void)arg;
    (void)fact;
}

struct blob_graph *blob_graph_new(struct store *store, size_t max_facts, int64_t max_age_ms,
                                  struct error *err)
{
    struct blob_graph *graph = mem_new(struct blob_graph);
    graph->places = table_new();
    fact_cache_init(&graph->blobs, "blob", store, max_facts, max_age_ms);
    fact_cache_init(&graph->layers, "layer", store, max_facts, 0);
    graph->blobs.gone = unlink_fact;
    graph->blobs.arg = graph;
    if (fact_cache_load(&graph->blobs, link_fact, err) == 0 &&
        fact_cache_load(&graph->layers, no_link, err) == 0)
        return graph;
    blob_graph_free(graph);
    return NULL;
}

void blob_graph_free(struct blob_graph *graph)
{
    if (!graph)
        return;
    fact_cache_fini(&graph->blobs);
    fact_cache_fini(&graph->layers);
    size_t position = 0;
    for (struct places *places; (places = table_next(graph->places, &position)) != NULL;)
        free(places);
    table_free(graph->places);
    free(graph->mount);
    free(graph);
}

void blob_graph_add(struct blob_graph *graph, const char *identity, const char *repository,
                    const struct digest *blob)
{
    bool is_new;
    AUTO_FREE char *key = blob_key(identity, repository, blob);
    struct fact *fact = fact_cache_put(&graph->blobs, key, "", &is_new);
    if (!is_new)
        list_remove(&fact->siblings);
    link_fact(graph, fact);
}

bool blob_graph_has(const struct blob_graph *graph, const char *identity, const char *repository,
                    const struct digest *blob)
{
    AUTO_FREE char *key = blob_key(identity, repository, blob);
    return fact_cache_find(&graph->blobs, key) != NULL;
}

void blob_graph_drop(struct blob_graph *graph, const char *identity, const char *repository,
                     const struct digest *blob)
{
    AUTO_FREE char *key = blob_key(identity, repository, blob);
    struct fact *fact = table_find(graph->blobs.facts, key);
    if (fact)
        fact_cache_drop(&graph->blobs, fact);
}

const char *blob_graph_find_mount(struct blob_graph *graph, const char *identity, const char *host,
                                  const struct digest *blob)
{
    AUTO_FREE char *key = blob_key(identity, host, blob);
    const struct places *places = table_find(graph->places, key);
    if (!places)
        return NULL;
    const struct fact *newest = container_of(places->facts.prev, struct fact, siblings);
    if (!fact_cache_fresh(&graph->blobs, newest))
        return NULL;
    const char *repository = strchr(newest->key, '\n') + 1;
    free(graph->mount);
    graph->mount = mem_strndup(repository, (size_t)(strchr(repository, '\n') - repository));
    return graph->mount;
}

void blob_graph_layer_put(struct blob_graph *graph, const struct digest *fingerprint, const json_t *record)
{
    bool ignored;
    AUTO_FREE char *text = json_text(record);
    fact_cache_put(&graph->layers, fingerprint->text, text, &ignored);
}

json_t *blob_graph_layer_find(struct blob_graph *graph, const struct digest *fingerprint)
{
    const struct fact *fact = fact_cache_find(&graph->layers, fingerprint->text);
    if (!fact)
        return NULL;
    struct error ignored = ERROR_INIT;
    json_t *record = json_parse(fact->value, strlen(fact->value), &json_limits_small, &ignored);
    error_clear(&ignored);
    return record;
}
