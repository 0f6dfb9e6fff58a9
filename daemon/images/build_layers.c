// SPDX-License-Identifier: Apache-2.0
//
// What the layers of each platform are: those of the base, after rebase and removal, and the job's own – packed, or found
// by digest where the base or a target has them.
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "blobs/blob_store.h"
#include "images/build_plan.h"

int build_take_base(struct build_plan *plan, struct error *err)
{
    for (size_t i = 0; i < plan->spec.n_platforms; i++) {
        struct build_variant *variant = &plan->variants[i];
        if (plan->spec.base.kind == LOCATION_SCRATCH) {
            image_config_new(&variant->config, variant->platform);
            continue;
        }
        const struct platform_image *image = &plan->base_set.images[i];
        image_config_copy(&variant->config, &image->config);
        variant->base_digest = &image->manifest.digest;
        if (layer_stack_append_image(&variant->stack, &image->manifest, &variant->config, &plan->base, err))
            return -1;
    }
    return 0;
}

// --- rebase and removal ------------------------------------------------------------------------------------------------

static int edit_variant(struct build_plan *plan, size_t number, bool *hits, struct error *err)
{
    const struct layer_edits *edits = &plan->spec.edits;
    struct build_variant *variant = &plan->variants[number];
    AUTO_FREE bool *marks = mem_calloc(STACK_LAYERS_MAX * 2, sizeof(*marks));
    layer_picks_mark(edits->remove, edits->n_remove, &variant->stack, &variant->config, marks, hits);
    if (edits->rebase) {
        size_t old = plan->rebase.from_set.images[number].manifest.n_layers;
        size_t new = plan->rebase.onto_set.images[number].manifest.n_layers;
        size_t kept = variant->stack.count > old ? variant->stack.count - old : 0;
        if (rebase_apply(&plan->rebase, number, &variant->stack, &variant->config, err))
            return -1;
        memmove(marks + new, marks + old, kept * sizeof(*marks)); // picks counted the layers as they were
        memset(marks, 0, new * sizeof(*marks));
        variant->base_digest = &plan->rebase.onto_set.images[number].manifest.digest;
    }
    layer_picks_remove(&variant->stack, &variant->config, marks);
    return 0;
}

int build_edit_base(struct build_plan *plan, struct error *err)
{
    const struct layer_edits *edits = &plan->spec.edits;
    AUTO_FREE bool *hits = mem_calloc(edits->n_remove + 1, sizeof(*hits));
    struct layer_stack before = {0};
    const struct platform_set *base = &plan->base_set;
    if (edits->n_remove && base->count)
        layer_stack_append_image(&before, &base->images[0].manifest, &base->images[0].config, NULL, err);
    int result = 0;
    for (size_t i = 0; i < plan->spec.n_platforms && !result; i++)
        result = edit_variant(plan, i, hits, err);
    for (size_t k = 0; k < edits->n_remove && !result; k++)
        if (!hits[k])
            result = layer_pick_missing(&edits->remove[k], k, &before, err);
    layer_stack_clear(&before);
    return result;
}

// --- new layers ----------------------------------------------------------------------------------------------------------

static int layer_made(struct layer_work *work, struct job *job, struct error *err)
{
    (void)job;
    (void)err;
    struct build_plan *plan = work->plan;
    plan->n_made++;
    return 0;
}

// What is still to be packed, for a plan. Sizes and digests follow when they are known. New reference.
static json_t *list_packing(const struct build_plan *plan)
{
    json_t *list = json_array();
    for (size_t i = 0; i < plan->spec.n_layers * plan->spec.n_platforms; i++)
        if (plan->works[i].label)
            json_array_append_new(list, json_pack("{s:s, s:n, s:n, s:n, s:s, s:n}", "blob", plan->works[i].label,
                                                  "digest", "media_type", "size", "role", "layer", "target"));
    return list;
}

static char *label_of(const struct build_plan *plan, size_t variant, size_t number)
{
    if (variant == 0)
        return mem_printf("layers/%zu", number);
    AUTO_FREE char *platform = platform_format(plan->variants[variant].platform);
    return mem_printf("layers/%zu/%s", number, platform);
}

static void add_work(struct build_plan *plan, size_t v, size_t number)
{
    const struct build_layer *layer = &plan->spec.layers[number];
    const struct build_variant *variant = &plan->variants[v];
    struct layer_work *work = &variant->works[number];
    layer_work_init(work, &layer->spec, variant->below ? below_view(variant->below) : NULL, plan->lower, number);
    work->context = plan->context;
    work->label = label_of(plan, v, number);
    work->split = layer->split_auto;
    work->made = layer_made;
    if (!plan->spec.edits.flatten && !plan->spec.edits.recompress)
        work->registry = publish_only_registry(plan->publish);
    work->plan = plan;
    work->number = number;
    plan->n_begun++;
}

// The first platform whose layers are the same because the same is known below.
static size_t first_like(const struct build_plan *plan, size_t v)
{
    for (size_t u = 0; u < v; u++)
        if (!build_needs_below(plan) || (!plan->variants[u].below && !plan->variants[v].below))
            return u;
    return v;
}

static void add_works(struct build_plan *plan, size_t v)
{
    size_t like = first_like(plan, v);
    plan->variants[v].works = &plan->works[like * plan->spec.n_layers];
    for (size_t i = 0; i < plan->spec.n_layers; i++)
        if (!plan->spec.layers[i].is_blob && !plan->variants[v].works[i].context &&
            build_layer_applies(&plan->spec.layers[i], plan->variants[v].platform))
            add_work(plan, like, i);
}

void build_begin_layers(struct build_plan *plan)
{
    for (size_t v = 0; v < plan->spec.n_platforms; v++)
        add_works(plan, v);
    for (size_t i = 0; i < plan->spec.n_layers; i++)
        plan->n_begun += plan->spec.layers[i].is_blob;
    job_event(plan->job, "job.plan",
              json_pack("{s:o, s:i, s:b}", "blobs", list_packing(plan), "bytes_total", 0, "estimated", 1));
    for (size_t i = 0; i < plan->spec.n_layers * plan->spec.n_platforms; i++)
        if (plan->works[i].context)
            layer_work_start(&plan->works[i], plan->job);
}

static int blob_missing(const struct build_plan *plan, const struct blob_find *find, struct error *err)
{
    AUTO_FREE char *pointer = mem_printf("/layers/%zu/blob", find->number);
    CLEANUP(strbuf_free) struct strbuf places = STRBUF_INIT(1024);
    for (size_t i = 0; i < find->n_places; i++)
        strbuf_printf(&places, "%s%s", i ? ", " : "", find->places[i]->key);
    error_set_pointer(err, ERR_BLOB_UNKNOWN, pointer, "layer %zu: the blob %s is in none of %s", find->number,
                      plan->spec.layers[find->number].blob.digest.text, strbuf_text(&places));
    error_hint(err, "A layer by digest must lie in the base's or a target's repository: upload or mount it there first.");
    return -1;
}

static int blob_found(struct blob_find *find, struct job *job, struct error *err)
{
    (void)job;
    struct build_plan *plan = find->plan;
    const struct build_layer *layer = &plan->spec.layers[find->number];
    bool foreign = layer->blob.urls && media_type_is_foreign_layer(layer->blob.media_type) && layer->blob.size >= 0;
    if (!find->found && !foreign)
        return blob_missing(plan, find, err);
    plan->found[find->number] = (struct found_blob){find->found, find->size};
    plan->n_made++;
    return 0;
}

void build_look_for_blobs(struct build_plan *plan)
{
    plan->looking = true;
    for (size_t i = 0; i < plan->spec.n_layers; i++) {
        const struct build_layer *layer = &plan->spec.layers[i];
        if (!layer->is_blob)
            continue;
        struct endpoint **places = mem_calloc(plan->spec.targets.count + 1, sizeof(struct endpoint *));
        size_t count = 0;
        if (plan->spec.base.kind != LOCATION_SCRATCH)
            places[count++] = &plan->base;
        count += publish_places(plan->publish, places + count, plan->spec.targets.count);
        struct blob_find *find =
            blob_find_new(&layer->blob.digest, layer->blob.size, places, count, blob_found, plan);
        find->number = i;
        job_submit_step(plan->job, &find->base);
    }
}

static enum media_compression compression_of(const struct layer_spec *spec)
{
    switch (spec->algorithm) {
    case LAYER_ZSTD:
        return MEDIA_COMPRESSION_ZSTD;
    case LAYER_NONE:
        return MEDIA_COMPRESSION_NONE;
    default:
        return MEDIA_COMPRESSION_GZIP;
    }
}

static int add_packed(struct build_plan *plan, struct build_variant *variant, struct layer_work *work,
                      struct error *err)
{
    struct descriptor descriptor = {0};
    if (!blob_store_lease(plan->context->blobs, &work->result.digest))
        return error_set(err, ERR_INTERNAL, "%s was evicted from the cache while in use", work->label);
    descriptor_init(&descriptor, media_type_layer(MEDIA_FAMILY_OCI, compression_of(work->spec)),
                    &work->result.digest, work->result.size);
    if (work->result.toc_digest)
        descriptor.annotations = json_pack("{s:s}", "containerd.io/snapshot/stargz/toc.digest", work->result.toc_digest);
    struct stack_layer *layer = layer_stack_append(&variant->stack, &descriptor, &work->result.diff_id, NULL);
    layer->leased_in = plan->context->blobs;
    layer->work = work;
    layer->how_made = work->cached ? "cached" : "built";
    free(layer->label);
    layer->label = mem_strdup(work->label);
    descriptor_clear(&descriptor);
    return 0;
}

static void add_blob(struct build_plan *plan, struct build_variant *variant, size_t number)
{
    const struct build_layer *layer = &plan->spec.layers[number];
    struct descriptor descriptor = {0};
    descriptor_copy(&descriptor, &layer->blob);
    descriptor.size = plan->found[number].size;
    if (!descriptor.media_type)
        descriptor.media_type = mem_strdup(MEDIA_OCI_LAYER_GZIP);
    layer_stack_append(&variant->stack, &descriptor, &layer->blob_diff_id, plan->found[number].place);
    descriptor_clear(&descriptor);
}

static void add_history(struct build_plan *plan, struct build_variant *variant, const struct digest *diff_id,
                        size_t number)
{
    char created[CLOCK_TEXT_MAX];
    clock_format_s(plan->spec.created_s, created);
    image_config_append_layer(&variant->config, diff_id, created, "dray build", plan->spec.layers[number].comment,
                              json_get_string(plan->spec.config, "author"));
}

static int add_layer(struct build_plan *plan, struct build_variant *variant, size_t number, struct error *err)
{
    const struct build_layer *layer = &plan->spec.layers[number];
    if (layer->is_blob) {
        add_blob(plan, variant, number);
        add_history(plan, variant, &layer->blob_diff_id, number);
        return 0;
    }
    for (struct layer_work *work = &variant->works[number]; work; work = work->upper) {
        if (add_packed(plan, variant, work, err))
            return -1;
        add_history(plan, variant, &work->result.diff_id, number);
    }
    return 0;
}

int build_add_layers(struct build_plan *plan, struct error *err)
{
    for (size_t v = 0; v < plan->spec.n_platforms; v++)
        for (size_t i = 0; i < plan->spec.n_layers; i++)
            if (build_layer_applies(&plan->spec.layers[i], plan->variants[v].platform) &&
                add_layer(plan, &plan->variants[v], i, err))
                return -1;
    return 0;
}

// --- their blobs -----------------------------------------------------------------------------------------------------------

static void announce_layer(struct build_plan *plan, struct stack_layer *layer)
{
    if (!layer->from && !layer->leased_in)
        return;
    if (media_type_is_foreign_layer(layer->descriptor.media_type) && layer->descriptor.urls)
        return;
    struct publish_blob blob = {.label = mem_strdup(layer->label), .role = BLOB_LAYER, .from = layer->from,
                                .cached = layer->leased_in != NULL, .how_made = layer->how_made,
                                .diff_id = layer->diff_id, .remake = layer->work ? layer_work_remake : NULL,
                                .remake_arg = layer->work};
    descriptor_copy(&blob.descriptor, &layer->descriptor);
    layer->leased_in = NULL; // the publish plan ends the lease
    publish_add_blob(plan->publish, &blob);
}

void build_announce(struct build_plan *plan, bool exact)
{
    for (size_t v = 0; v < plan->spec.n_platforms; v++)
        for (size_t i = 0; i < plan->variants[v].stack.count; i++)
            announce_layer(plan, &plan->variants[v].stack.items[i]);
    publish_plan(plan->publish, exact ? NULL : list_packing(plan), !exact);
}
