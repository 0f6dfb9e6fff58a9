// SPDX-License-Identifier: Apache-2.0
//
// Decodes a build job.
#include "images/build_spec.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "images/images.h"
#include "images/spec_common.h"
#include "oci/image_config.h"

static void decode_created(struct json_reader *r, struct build_spec *spec, const struct image_context *context)
{
    int64_t wall_ms = context->default_created_s * 1000;
    const char *created = json_read_string(r, "created", false);
    if (created && !clock_parse(created, &wall_ms))
        json_read_fail(r, "created", "must be a time as in \"2026-01-01T00:00:00Z\" (RFC 3339)");
    spec->created_s = wall_ms / 1000;
}

static void decode_base_tree(struct json_reader *r, struct build_spec *spec)
{
    const char *text = json_read_string(r, "base_tree", false);
    if (!text || str_equal(text, "known"))
        return;
    if (str_equal(text, "ignore"))
        spec->base_tree = BASE_TREE_IGNORE;
    else if (str_equal(text, "fetch"))
        spec->base_tree = BASE_TREE_FETCH;
    else
        json_read_fail(r, "base_tree", "must be \"known\", \"fetch\" or \"ignore\"");
}

static int check_bound(const json_t *bound, struct error *err)
{
    static const char pointer[] = "/config/platforms";
    const char *key;
    json_t *value;
    if (bound && !json_is_object(bound))
        return error_set_pointer(err, ERR_INVALID_REQUEST, pointer, "%s must be an object", pointer);
    json_object_foreach((json_t *)bound, key, value) {
        CLEANUP(error_clear) struct error why = ERROR_INIT;
        struct platform platform = {0};
        AUTO_FREE char *at = json_pointer_join(pointer, key);
        if (platform_parse(&platform, key, &why))
            return error_set_pointer(err, ERR_INVALID_REQUEST, at, "%s: %s", at, why.detail);
        platform_clear(&platform);
        if (image_config_check_edit(value, at, err))
            return -1;
    }
    return 0;
}

static void decode_config(struct json_reader *r, struct build_spec *spec)
{
    const json_t *config = json_read_object(r, "config", false);
    spec->config_bound = json_object_get(config, "platforms");
    spec->config = config ? json_copy((json_t *)config) : NULL;
    json_object_del(spec->config, "platforms");
    if (!r->failed && check_bound(spec->config_bound, r->err))
        r->failed = true;
    spec->config_patch = json_read_object(r, "config_patch", false);
    spec->annotations = json_read_object(r, "annotations", false);
    if (spec->config && !r->failed && image_config_check_edit(spec->config, "/config", r->err))
        r->failed = true;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)spec->annotations, key, value)
        if (!json_is_string(value))
            json_read_fail(r, "annotations", "every value must be a text");
}

static void decode_layers(struct json_reader *r, struct build_spec *spec, const struct image_context *context)
{
    const json_t *layers = json_read_array(r, "layers", false);
    size_t count = json_array_size(layers);
    if (count > LAYERS_MAX) {
        json_read_fail(r, "layers", "at most %d layers", LAYERS_MAX);
        return;
    }
    spec->layers = count ? mem_calloc(count, sizeof(*spec->layers)) : NULL;
    for (size_t i = 0; i < count && !r->failed; i++) {
        AUTO_FREE char *pointer = mem_printf("/layers/%zu", i);
        if (layer_decode(&spec->layers[i], json_array_get(layers, i), pointer, spec->created_s, context->build_roots,
                         r->err))
            r->failed = true;
        else
            spec->n_layers++;
    }
}

static void decode_edits(struct json_reader *r, struct build_spec *spec, const struct image_context *context)
{
    layer_edits_decode(&spec->edits, r, context->build_roots);
}

static int decode_places(struct build_spec *spec, const char *base, const json_t *targets,
                         const struct image_context *context, struct error *err)
{
    if (target_decode_location(&spec->base, base, "/base", context->build_roots, true, err))
        return -1;
    if (spec->edits.rebase && spec->base.kind == LOCATION_SCRATCH)
        return error_set_pointer(err, ERR_INVALID_REQUEST, "/rebase", "scratch stands on nothing: rebase needs an image");
    return targets_decode(&spec->targets, targets, "/targets", context->output_roots, err);
}

static bool packs_zstd(const struct build_layer *layer)
{
    return !layer->is_blob && layer->spec.algorithm == LAYER_ZSTD;
}

// What the targets' formats cannot hold: Docker's has no media type for zstd.
static int judge_formats(const struct build_spec *spec, struct error *err)
{
    if (spec->edits.flatten || spec->edits.recompress)
        return 0; // which compress anew
    for (size_t t = 0; t < spec->targets.count; t++)
        for (size_t i = 0; spec->targets.items[t].format == TARGET_DOCKER && i < spec->n_layers; i++)
            if (packs_zstd(&spec->layers[i])) {
                AUTO_FREE char *pointer = mem_printf("/layers/%zu/compression", i);
                return error_set_pointer(err, ERR_MANIFEST_UNSUPPORTED, pointer,
                                         "Docker's image format, which target %zu wants, has no media type for zstd", t);
            }
    return 0;
}

int build_spec_decode(struct build_spec *ret, const json_t *json, const struct image_context *context,
                      struct error *err)
{
    *ret = (struct build_spec){0};
    struct json_reader r;
    json_reader_init(&r, json, "", err);
    spec_read_common(&r);
    const char *base = json_read_string(&r, "base", true);
    const json_t *targets = json_read_array(&r, "targets", true);
    spec_read_platforms(&r, "platforms", &ret->platforms, &ret->n_platforms);
    ret->platforms_given = ret->n_platforms > 0;
    ret->as_index = ret->n_platforms > 1;
    decode_created(&r, ret, context);
    decode_base_tree(&r, ret);
    decode_config(&r, ret);
    decode_layers(&r, ret, context);
    decode_edits(&r, ret, context);
    ret->dry_run = json_read_bool(&r, "dry_run", false);
    if (json_reader_end(&r) || decode_places(ret, base, targets, context, err) ||
        judge_formats(ret, err)) {
        build_spec_clear(ret);
        return -1;
    }
    if (!ret->n_platforms) {
        ret->platforms = mem_calloc(1, sizeof(*ret->platforms));
        platform_default(&ret->platforms[0]);
        ret->n_platforms = 1;
    }
    return 0;
}

void build_spec_clear(struct build_spec *spec)
{
    location_clear(&spec->base);
    spec_platforms_free(spec->platforms, spec->n_platforms);
    for (size_t i = 0; i < spec->n_layers; i++)
        build_layer_clear(&spec->layers[i]);
    free(spec->layers);
    targets_clear(&spec->targets);
    layer_edits_clear(&spec->edits);
    json_decref(spec->config);
    *spec = (struct build_spec){0};
}
