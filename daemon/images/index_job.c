// SPDX-License-Identifier: Apache-2.0
//
// Every source – the base index and each item – is read; its entries are collected in order; then one index is written over
// them and published with all that it names. In the place where an image lies already nothing of it is moved.
#include "images/index_job.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "credentials/credentials.h"
#include "images/image_bounds.h"
#include "images/index_spec.h"
#include "images/manifest_tree.h"
#include "images/publish.h"
#include "images/resolve.h"
#include "oci/image_config.h"

struct source {
    struct endpoint endpoint;
    const struct index_item *item; // NULL: the base
    struct descriptor *entries;
    size_t n_entries;
};

struct index_plan {
    struct job *job;
    struct index_spec spec;
    struct credential_set *auth;
    struct source *sources;
    size_t n_sources;
    struct manifest_tree tree;
    struct image_bounds bounds;
    size_t n_children; // entries that came from other indexes
    struct publish *publish;
    json_t *base_annotations;
    enum media_family base_family;
    size_t open;
    bool sealed;
};

static int add_blobs(struct index_plan *plan, struct source *source, const struct manifest *manifest,
                     struct error *err)
{
    for (size_t i = 0; i <= manifest->n_layers; i++) {
        const struct descriptor *d = i < manifest->n_layers ? &manifest->layers[i] : &manifest->config;
        if (media_type_is_foreign_layer(d->media_type) && d->urls)
            continue;
        int fresh = image_bounds_blob(&plan->bounds, &d->digest, err);
        if (fresh < 0)
            return -1;
        if (!fresh)
            continue;
        struct publish_blob blob = {.label = mem_strdup(d->digest.text), .from = &source->endpoint,
                                    .role = i < manifest->n_layers ? BLOB_LAYER : BLOB_CONFIG};
        descriptor_copy(&blob.descriptor, d);
        publish_add_blob(plan->publish, &blob);
    }
    return 0;
}

static int add_manifest(struct index_plan *plan, struct source *source, struct manifest *manifest,
                        struct error *err)
{
    const struct manifest *kept = manifest_tree_add(&plan->tree, manifest);
    return kept ? add_blobs(plan, source, kept, err) : 0;
}

static int child_found(struct resolve_step *step, struct job *job, struct error *err)
{
    (void)job;
    struct index_plan *plan = step->plan;
    plan->open--;
    if (step->manifest.is_index)
        return error_set(err, ERR_MANIFEST_UNSUPPORTED, "%s is an index within an index: name its images one by one",
                         step->manifest.digest.text);
    return add_manifest(plan, &plan->sources[step->number], &step->manifest, err);
}

// --- entries -------------------------------------------------------------------------------------------------------------

static void add_entry(struct source *source, const struct descriptor *descriptor)
{
    source->entries = mem_realloc(source->entries, (source->n_entries + 1) * sizeof(*source->entries));
    struct descriptor *entry = &source->entries[source->n_entries++];
    *entry = (struct descriptor){0};
    descriptor_copy(entry, descriptor);
    if (source->item && source->item->annotations) {
        if (!entry->annotations)
            entry->annotations = json_object();
        json_object_update(entry->annotations, (json_t *)source->item->annotations);
    }
}

static int take_child(struct index_plan *plan, size_t number, const struct descriptor *child,
                      struct error *err)
{
    struct source *source = &plan->sources[number];
    int fresh = image_bounds_manifest(&plan->bounds, &child->digest, child->size, err);
    if (fresh < 0)
        return -1;
    if (++plan->n_children > MANIFEST_DESCRIPTORS_MAX)
        return error_set(err, ERR_TOO_LARGE, "the index would have more than %d entries",
                         MANIFEST_DESCRIPTORS_MAX);
    add_entry(source, child);
    if (!fresh)
        return 0;
    struct resolve_step *step = resolve_step_new(&source->endpoint, child, false, child_found, plan);
    step->number = number;
    plan->open++;
    job_submit_step(plan->job, &step->base);
    return 0;
}

static bool picked(const struct index_pick *pick, const struct descriptor *child)
{
    if (digest_known(&pick->digest))
        return digest_equal(&pick->digest, &child->digest);
    return child->has_platform && platform_matches(&pick->platform, &child->platform);
}

static int missing_pick(const struct index_plan *plan, size_t number, const struct manifest *index, struct error *err)
{
    AUTO_FREE char *pointer = mem_printf("/remove/%zu", number);
    CLEANUP(strbuf_free) struct strbuf have = STRBUF_INIT(2048);
    for (size_t i = 0; i < index->n_children; i++) {
        AUTO_FREE char *name = index->children[i].has_platform ? platform_format(&index->children[i].platform)
                                                               : mem_strdup("no platform");
        strbuf_printf(&have, "%s%.19s… (%s)", i ? ", " : "", index->children[i].digest.text, name);
    }
    const struct index_pick *pick = &plan->spec.remove[number];
    AUTO_FREE char *wanted = digest_known(&pick->digest) ? mem_strdup(pick->digest.text) : platform_format(&pick->platform);
    error_set_pointer(err, digest_known(&pick->digest) ? ERR_INVALID_REQUEST : ERR_PLATFORM_MISSING, pointer,
                      "the base has no entry for %s", wanted);
    error_hint(err, "It has %s.", strbuf_text(&have));
    return -1;
}

static int take_base(struct index_plan *plan, size_t number, const struct manifest *index, struct error *err)
{
    AUTO_FREE bool *hits = mem_calloc(plan->spec.n_remove + 1, sizeof(*hits));
    if (index->annotations)
        plan->base_annotations = json_deep_copy(index->annotations);
    plan->base_family = manifest_family(index);
    for (size_t i = 0; i < index->n_children; i++) {
        bool goes = false;
        for (size_t k = 0; k < plan->spec.n_remove; k++)
            if (picked(&plan->spec.remove[k], &index->children[i]))
                goes = hits[k] = true;
        if (!goes && take_child(plan, number, &index->children[i], err))
            return -1;
    }
    for (size_t k = 0; k < plan->spec.n_remove; k++)
        if (!hits[k])
            return missing_pick(plan, k, index, err);
    return 0;
}

static int take_index(struct index_plan *plan, size_t number, const struct manifest *index, struct error *err)
{
    const struct source *source = &plan->sources[number];
    if (!source->item)
        return take_base(plan, number, index, err);
    if (source->item->has_platform) {
        const struct descriptor *child = manifest_find_platform(index, &source->item->platform, err);
        return child ? take_child(plan, number, child, err) : -1;
    }
    for (size_t i = 0; i < index->n_children; i++)
        if (take_child(plan, number, &index->children[i], err))
            return -1;
    return 0;
}

static int take_image(struct index_plan *plan, size_t number, struct resolve_step *step, struct error *err)
{
    struct source *source = &plan->sources[number];
    if (!source->item)
        return error_set_pointer(err, ERR_MANIFEST_UNSUPPORTED, "/base",
                                 "/base: an index is wanted, the reference names a single image: put it into `items`");
    struct image_config config;
    if (image_config_parse(&config, step->config, step->config_len, err))
        return -1;
    struct descriptor entry = {0};
    descriptor_init(&entry, step->manifest.media_type, &step->manifest.digest, (int64_t)step->manifest.len);
    entry.has_platform = true;
    if (source->item->has_platform)
        platform_copy(&entry.platform, &source->item->platform);
    else
        image_config_platform(&config, &entry.platform);
    add_entry(source, &entry);
    descriptor_clear(&entry);
    image_config_clear(&config);
    if (image_bounds_manifest(&plan->bounds, &step->manifest.digest, (int64_t)step->manifest.len, err) < 0)
        return -1;
    return add_manifest(plan, source, &step->manifest, err);
}

static int source_found(struct resolve_step *step, struct job *job, struct error *err)
{
    (void)job;
    struct index_plan *plan = step->plan;
    plan->open--;
    return step->manifest.is_index ? take_index(plan, step->number, &step->manifest, err)
                                   : take_image(plan, step->number, step, err);
}

// --- the index -------------------------------------------------------------------------------------------------------------

static bool same_platform(const struct descriptor *a, const struct descriptor *b)
{
    if (!a->has_platform || !b->has_platform || str_equal(a->platform.os, "unknown"))
        return false;
    AUTO_FREE char *x = platform_format(&a->platform), *y = platform_format(&b->platform);
    return str_equal(x, y) && str_equal(a->platform.os_version, b->platform.os_version);
}

// An item takes the place of the base's entry for its platform; two items for one platform contradict each other.
static int place_entry(const struct source *source, struct descriptor *entry, struct descriptor **list, size_t n_base,
                       size_t *count, struct error *err)
{
    for (size_t i = 0; i < *count; i++) {
        if (digest_equal(&list[i]->digest, &entry->digest) && same_platform(list[i], entry))
            return 0;
        if (!same_platform(list[i], entry))
            continue;
        if (source->item && i < n_base) {
            list[i] = entry;
            return 0;
        }
        AUTO_FREE char *platform = platform_format(&entry->platform);
        if (source->item)
            return error_set_pointer(err, ERR_INVALID_REQUEST, "/items", "/items: two entries are for %s: %.19s… and "
                                     "%.19s…", platform, list[i]->digest.text, entry->digest.text);
    }
    list[(*count)++] = entry;
    return 0;
}

static json_t *annotations_of(const struct index_plan *plan)
{
    json_t *all = plan->base_annotations ? json_deep_copy(plan->base_annotations) : json_object();
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)plan->spec.annotations, key, value)
    {
        if (json_is_null(value))
            json_object_del(all, key);
        else
            json_object_set(all, key, value);
    }
    return all;
}

static enum media_family family_of(const struct index_plan *plan, struct descriptor **list, size_t count)
{
    if (plan->spec.has_base)
        return plan->base_family;
    for (size_t i = 0; i < count; i++)
        if (media_type_family(list[i]->media_type) != MEDIA_FAMILY_DOCKER)
            return MEDIA_FAMILY_OCI;
    return MEDIA_FAMILY_DOCKER;
}

static int write_index(struct index_plan *plan, struct descriptor **list, size_t count, struct manifest *ret,
                       struct error *err)
{
    AUTO_FREE struct descriptor *children = mem_calloc(count, sizeof(*children));
    for (size_t i = 0; i < count; i++)
        children[i] = *list[i]; // shallow: the sources keep them
    enum media_family family = family_of(plan, list, count);
    AUTO_JSON json_t *annotations = family == MEDIA_FAMILY_OCI ? annotations_of(plan) : NULL;
    bool any = json_object_size(annotations) > 0;
    return manifest_build_index(ret, family, children, count, any ? annotations : NULL, err);
}

static int collect(struct index_plan *plan, struct descriptor ***ret, size_t *ret_count, struct error *err)
{
    size_t most = 1, count = 0, n_base = plan->spec.has_base ? plan->sources[0].n_entries : 0;
    for (size_t s = 0; s < plan->n_sources; s++)
        most += plan->sources[s].n_entries;
    *ret = mem_calloc(most, sizeof(struct descriptor *));
    for (size_t s = 0; s < plan->n_sources; s++)
        for (size_t i = 0; i < plan->sources[s].n_entries; i++)
            if (place_entry(&plan->sources[s], &plan->sources[s].entries[i], *ret, n_base, &count, err))
                return -1;
    *ret_count = count;
    if (!count)
        return error_set_pointer(err, ERR_INVALID_REQUEST, "/remove", "nothing would be left in the index");
    return 0;
}

static int seal(struct index_plan *plan, struct error *err)
{
    plan->sealed = true;
    AUTO_FREE struct descriptor **list = NULL;
    size_t count, n_manifests;
    struct manifest index, *manifests;
    if (collect(plan, &list, &count, err) || write_index(plan, list, count, &index, err))
        return -1;
    struct digest root = index.digest;
    manifest_tree_add(&plan->tree, &index);
    AUTO_FREE size_t *roots = mem_calloc(plan->spec.targets.count, sizeof(*roots));
    if (manifest_tree_seal(&plan->tree, &root, &plan->spec.targets, &manifests, &n_manifests, roots, err))
        return -1;
    publish_plan(plan->publish, NULL, false);
    publish_seal(plan->publish, manifests, n_manifests, roots, NULL);
    return 0;
}

// --- life --------------------------------------------------------------------------------------------------------------

static void index_free(void *arg)
{
    struct index_plan *plan = arg;
    publish_free(plan->publish);
    for (size_t s = 0; s < plan->n_sources; s++) {
        for (size_t i = 0; i < plan->sources[s].n_entries; i++)
            descriptor_clear(&plan->sources[s].entries[i]);
        free(plan->sources[s].entries);
        endpoint_fini(&plan->sources[s].endpoint);
    }
    free(plan->sources);
    manifest_tree_fini(&plan->tree);
    image_bounds_fini(&plan->bounds);
    json_decref(plan->base_annotations);
    if (plan->auth)
        credential_set_unref(plan->auth);
    index_spec_clear(&plan->spec);
    free(plan);
}

static void make_sources(struct index_plan *plan, struct image_context *context)
{
    plan->sources = mem_calloc(plan->spec.n_items + 1, sizeof(*plan->sources));
    if (plan->spec.has_base)
        endpoint_init(&plan->sources[plan->n_sources++].endpoint, context, &plan->spec.base, plan->auth);
    for (size_t i = 0; i < plan->spec.n_items; i++) {
        struct source *source = &plan->sources[plan->n_sources++];
        source->item = &plan->spec.items[i];
        endpoint_init(&source->endpoint, context, &source->item->where, plan->auth);
    }
}

static void begin(struct index_plan *plan)
{
    publish_start(plan->publish);
    for (size_t s = 0; s < plan->n_sources; s++) {
        struct resolve_step *step =
            resolve_step_new(&plan->sources[s].endpoint, NULL, plan->sources[s].item != NULL, source_found, plan);
        step->number = s;
        plan->open++;
        job_submit_step(plan->job, &step->base);
    }
}

static int index_start(struct job *job, const json_t *spec, const json_t *auth, const json_t *checkpoint,
                       void **ret_plan, struct error *err)
{
    struct index_plan *plan = mem_new(struct index_plan);
    struct image_context *context = image_context_get();
    plan->job = job;
    manifest_tree_init(&plan->tree);
    image_bounds_init(&plan->bounds);
    if (index_spec_decode(&plan->spec, spec, context, err) ||
        (auth && !(plan->auth = image_auth_open(job, auth, err)))) {
        index_free(plan);
        return -1;
    }
    make_sources(plan, context);
    plan->publish = publish_new(&(struct publish_options){.job = job,
                                                          .context = context,
                                                          .targets = &plan->spec.targets,
                                                          .auth = auth,
                                                          .auth_set = plan->auth,
                                                          .dry_run = plan->spec.dry_run});
    *ret_plan = plan;
    if (publish_can_resume(plan->publish, checkpoint)) {
        plan->sealed = true;
        return publish_resume(plan->publish, checkpoint, err);
    }
    begin(plan);
    return 0;
}

static int index_advance(struct job *job, void *arg, struct error *err)
{
    (void)job;
    struct index_plan *plan = arg;
    if (!plan->sealed && !plan->open && seal(plan, err))
        return -1;
    return publish_advance(plan->publish, err);
}

static json_t *index_result(struct job *job, void *arg)
{
    (void)job;
    return publish_result(((struct index_plan *)arg)->publish);
}

static bool index_complete(const void *arg)
{
    return publish_done(((const struct index_plan *)arg)->publish);
}

const struct job_ops index_job_ops = {"index", index_start, index_advance, index_result, index_free, index_complete};
