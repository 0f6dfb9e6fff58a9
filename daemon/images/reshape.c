// SPDX-License-Identifier: Apache-2.0
//
// What must hold: a step borrows the stack's layers [first, first + count), which nobody changes until it is done. Merging always
// takes the layers up to the top, so that no index shifts.
#include "images/reshape.h"

#include "base/clock.h"
#include "base/mem.h"
#include "blobs/blob_store.h"
#include "images/layer_open.h"
#include "oci/media_type.h"

// Each layer that is unpacked and compressed has its blocks in memory, some 20 MB with zstd; the lanes have work enough with two.
enum { RECOMPRESS_AT_ONCE = 2 };

struct reshape_step {
    struct step base;
    struct reshape *reshape;
    size_t first, count;
    bool merge;                // else the same tar in another compression
    bool squash;               // many become one
    struct layer_result result;
    bool leased;
};

// --- writing -------------------------------------------------------------------------------------------------------------

static void close_entries(struct layer_spec *spec)
{
    for (size_t i = 0; i < spec->n_entries; i++)
        reader_at_close(spec->entries[i].context_reader);
    layer_spec_clear(spec);
}

static int open_entries(struct reshape_step *self, struct layer_spec *spec, struct error *err)
{
    spec->entries = mem_calloc(self->count, sizeof(*spec->entries));
    for (size_t i = 0; i < self->count; i++) {
        const struct stack_layer *layer = &self->reshape->stack->items[self->first + i];
        struct layer_entry *entry = &spec->entries[spec->n_entries++];
        entry->type = LAYER_LAYER;
        entry->to = mem_strdup("/");
        entry->context = layer->descriptor.digest;
        entry->context_reader = layer_open(layer, self->reshape->context->blobs, &self->base, err);
        if (!entry->context_reader)
            return -1;
    }
    return 0;
}

static int merge(struct reshape_step *self, struct sink *out, struct error *err)
{
    const struct reshape *reshape = self->reshape;
    struct layer_spec spec = {.algorithm = reshape->algorithm, .level = reshape->level,
                              .mtime_s = reshape->created_s, .drop_whiteouts = self->first == 0,
                              .spool_dirfd = reshape->context->spool_dirfd};
    struct layer_caller daemon = {0};
    int result = open_entries(self, &spec, err);
    if (!result)
        result = layer_pack(&spec, reshape->context->build_roots, &daemon, reshape->context->lanes, out,
                            &self->base.monitor, &self->result, err);
    close_entries(&spec);
    return result;
}

static int recompress(struct reshape_step *self, struct sink *out, struct error *err)
{
    const struct reshape *reshape = self->reshape;
    const struct stack_layer *layer = &reshape->stack->items[self->first];
    struct reader_at *reader = layer_open(layer, reshape->context->blobs, &self->base, err);
    if (!reader)
        return -1;
    int result = layer_recompress(reader, reshape->algorithm, reshape->level, layer->descriptor.digest.text,
                                  reshape->context->lanes, out, &self->base.monitor, &self->result, err);
    reader_at_close(reader);
    if (result || digest_equal(&self->result.diff_id, &layer->diff_id))
        return result;
    return error_set(err, ERR_DIGEST_MISMATCH, "the layer %s unpacks to %s, the image config says %s",
                     layer->descriptor.digest.text, self->result.diff_id.text, layer->diff_id.text);
}

static int reshape_run(struct step *step, struct error *err)
{
    struct reshape_step *self = (struct reshape_step *)step;
    struct blob_writer *writer = blob_store_write(self->reshape->context->blobs, NULL, -1, err);
    if (!writer)
        return -1;
    int result = self->merge ? merge(self, blob_writer_sink(writer), err)
                             : recompress(self, blob_writer_sink(writer), err);
    if (!result)
        result = blob_writer_publish(writer, &self->result.digest, err);
    self->leased = !result;
    blob_writer_free(writer);
    return result;
}

// --- the new layer in its place --------------------------------------------------------------------------------------------

enum media_compression reshape_compression(enum layer_algorithm algorithm)
{
    switch (algorithm) {
    case LAYER_ZSTD:
        return MEDIA_COMPRESSION_ZSTD;
    case LAYER_NONE:
        return MEDIA_COMPRESSION_NONE;
    default:
        return MEDIA_COMPRESSION_GZIP;
    }
}

static void fill_layer(struct reshape_step *self, struct stack_layer *layer)
{
    struct reshape *reshape = self->reshape;
    struct blob_store *leased_in = layer->leased_in;
    struct digest old = layer->descriptor.digest;
    descriptor_clear(&layer->descriptor);
    descriptor_init(&layer->descriptor, media_type_layer(MEDIA_FAMILY_OCI, reshape_compression(reshape->algorithm)),
                    &self->result.digest, self->result.size);
    if (self->result.toc_digest)
        layer->descriptor.annotations =
            json_pack("{s:s}", "containerd.io/snapshot/stargz/toc.digest", self->result.toc_digest);
    if (leased_in)
        blob_store_release(leased_in, &old);
    layer->leased_in = reshape->context->blobs;
    layer->diff_id = self->result.diff_id;
    layer->from = NULL;
    layer->work = NULL; // it is not what that made
    layer->how_made = "built";
    free(layer->label);
    layer->label = mem_strdup(self->result.digest.text);
    self->leased = false; // the stack's now
}

static void recompress_more(struct reshape *reshape);

static int reshape_step_done(struct step *step, struct job *job, struct error *err)
{
    (void)job;
    (void)err;
    struct reshape_step *self = (struct reshape_step *)step;
    struct reshape *reshape = self->reshape;
    char created[CLOCK_TEXT_MAX];
    clock_format_s(reshape->created_s, created);
    if (self->squash) {
        layer_stack_remove(reshape->stack, self->first + 1, self->count - 1);
        image_config_squash(reshape->config, self->first, &self->result.diff_id, created, "dray flatten");
    } else {
        image_config_set_diff_id(reshape->config, self->first, &self->result.diff_id);
    }
    fill_layer(self, &reshape->stack->items[self->first]);
    reshape->open--;
    if (!self->squash)
        recompress_more(reshape);
    return 0;
}

static void reshape_free(struct step *step)
{
    struct reshape_step *self = (struct reshape_step *)step;
    if (self->leased)
        blob_store_release(self->reshape->context->blobs, &self->result.digest);
    layer_result_clear(&self->result);
    free(self);
}

// --- asking ----------------------------------------------------------------------------------------------------------------

static void submit(struct reshape *reshape, size_t first, size_t count, bool merge_them)
{
    static const struct step_ops ops = {.run = reshape_run, .done = reshape_step_done, .free = reshape_free};
    struct reshape_step *self = mem_new(struct reshape_step);
    AUTO_FREE char *name = count > 1 ? mem_printf("merge %zu layers", count)
                                     : mem_printf("recompress %.19s", reshape->stack->items[first].descriptor.digest.text);
    step_init(&self->base, &ops, name, NULL);
    self->reshape = reshape;
    self->first = first;
    self->count = count;
    self->merge = merge_them;
    self->squash = count > 1;
    for (size_t i = first; i < first + count; i++)
        if (reshape->stack->items[i].from)
            endpoint_gate(reshape->stack->items[i].from, &self->base);
    reshape->open++;
    job_submit_step(reshape->job, &self->base);
}

void reshape_flatten(struct reshape *reshape, size_t first)
{
    if (first < reshape->stack->count && reshape->stack->count - first > 1)
        submit(reshape, first, reshape->stack->count - first, true);
}

static bool is_wanted(const struct reshape *reshape, const struct descriptor *layer)
{
    if (media_type_is_foreign_layer(layer->media_type) || !media_type_is_layer(layer->media_type))
        return false;
    bool indexed = json_get_string(layer->annotations, "containerd.io/snapshot/stargz/toc.digest") != NULL;
    if (reshape->algorithm == LAYER_ESTARGZ)
        return !indexed;
    return media_type_compression(layer->media_type) != reshape_compression(reshape->algorithm);
}

static void recompress_more(struct reshape *reshape)
{
    while (reshape->open < RECOMPRESS_AT_ONCE && reshape->next < reshape->stack->count) {
        size_t i = reshape->next++;
        if (is_wanted(reshape, &reshape->stack->items[i].descriptor))
            submit(reshape, i, 1, reshape->algorithm == LAYER_ESTARGZ);
    }
}

void reshape_recompress(struct reshape *reshape)
{
    recompress_more(reshape);
}

bool reshape_done(const struct reshape *reshape)
{
    return !reshape->open;
}
