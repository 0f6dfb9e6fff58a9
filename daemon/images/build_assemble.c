// SPDX-License-Identifier: Apache-2.0
//
// From base and layers to configs, manifests and index: no I/O, no step. One set of manifests for each media family that the
// targets ask for; the configs' bytes are the same in both.
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "images/build_plan.h"
#include "oci/media_type.h"

bool build_layer_applies(const struct build_layer *layer, const struct platform *platform)
{
    for (size_t i = 0; i < layer->n_platforms; i++)
        if (platform_matches(&layer->platforms[i], platform))
            return true;
    return layer->n_platforms == 0;
}

static int edit_config(struct build_plan *plan, struct build_variant *variant, struct error *err)
{
    char created[CLOCK_TEXT_MAX];
    clock_format_s(plan->spec.created_s, created);
    struct image_config *config = &variant->config;
    const char *author = json_get_string(plan->spec.config, "author");
    for (size_t i = 0; i < plan->spec.n_layers; i++)
        if (build_layer_applies(&plan->spec.layers[i], variant->platform))
            image_config_append_layer(config, &plan->layers[i].result.diff_id, created, "dray build",
                                      plan->spec.layers[i].comment, author);
    image_config_set_created(config, created);
    if (plan->spec.config && image_config_apply_edit(config, plan->spec.config, err))
        return -1;
    if (plan->spec.config_patch && image_config_merge_patch(config, plan->spec.config_patch, err))
        return -1;
    variant->config_text = image_config_text(config);
    return 0;
}

static void add_config_blob(struct build_plan *plan, struct build_variant *variant)
{
    struct digest digest;
    size_t len = strlen(variant->config_text);
    digest_of(&digest, DIGEST_SHA256, variant->config_text, len);
    descriptor_init(&variant->config_descriptor, MEDIA_OCI_CONFIG, &digest, (int64_t)len);
    struct publish_blob blob = {.label = mem_strdup(digest.text), .role = BLOB_CONFIG,
                                .bytes = mem_strdup(variant->config_text)};
    descriptor_copy(&blob.descriptor, &variant->config_descriptor);
    publish_add_blob(plan->publish, &blob);
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

static void add_layer_blob(struct build_plan *plan, size_t number)
{
    struct layer_work *work = &plan->layers[number];
    struct publish_blob blob = {
        .label = mem_strdup(work->label),
        .role = BLOB_LAYER,
        .cached = layer_work_take_lease(work),
        .how_made = work->cached ? "cached" : "built",
        .diff_id = work->result.diff_id,
    };
    descriptor_init(&blob.descriptor, media_type_layer(MEDIA_FAMILY_OCI, compression_of(work->spec)),
                    &work->result.digest, work->result.size);
    publish_add_blob(plan->publish, &blob);
}

static enum media_family base_family(const struct build_plan *plan)
{
    if (plan->spec.base.kind == LOCATION_SCRATCH)
        return MEDIA_FAMILY_OCI;
    return manifest_family(&plan->variants[0].base);
}

static enum media_family family_of_target(const struct build_plan *plan, size_t target)
{
    switch (plan->spec.targets.items[target].format) {
    case TARGET_OCI:
        return MEDIA_FAMILY_OCI;
    case TARGET_DOCKER:
        return MEDIA_FAMILY_DOCKER;
    default:
        return base_family(plan);
    }
}

static int layer_descriptor(struct descriptor *ret, const struct build_plan *plan, size_t number,
                            enum media_family family, struct error *err)
{
    const struct layer_work *work = &plan->layers[number];
    const char *media_type = media_type_layer(family, compression_of(work->spec));
    if (!media_type)
        return error_set(err, ERR_MANIFEST_UNSUPPORTED,
                         "layer %zu is compressed with zstd, for which Docker's image format has no media type: "
                         "use format \"oci\" for the target",
                         number);
    descriptor_init(ret, media_type, &work->result.digest, work->result.size);
    if (work->result.toc_digest)
        ret->annotations = json_pack("{s:s}", "containerd.io/snapshot/stargz/toc.digest", work->result.toc_digest);
    return 0;
}

// Base layers in the family's terms, then the new layers of this platform.
static int collect_layers(const struct build_plan *plan, const struct build_variant *variant, enum media_family family,
                          struct descriptor *layers, size_t *ret_count, struct error *err)
{
    size_t count = 0;
    for (size_t i = 0; i < variant->base.n_layers; i++) {
        struct descriptor *layer = &layers[count++];
        descriptor_copy(layer, &variant->base.layers[i]);
        AUTO_FREE char *old = layer->media_type;
        layer->media_type = mem_strdup(media_type_convert(old, family));
    }
    for (size_t i = 0; i < plan->spec.n_layers; i++) {
        if (!build_layer_applies(&plan->spec.layers[i], variant->platform))
            continue;
        if (layer_descriptor(&layers[count], plan, i, family, err)) {
            *ret_count = count;
            return -1;
        }
        count++;
    }
    *ret_count = count;
    return 0;
}

// org.opencontainers.image.base.* (OCI image-spec annotations.md) tell what a later rebase needs to know.
static json_t *annotations_of(const struct build_plan *plan, const struct build_variant *variant,
                              enum media_family family)
{
    if (family != MEDIA_FAMILY_OCI)
        return NULL;
    json_t *annotations = json_object();
    if (plan->spec.base.kind == LOCATION_REGISTRY) {
        AUTO_FREE char *name = reference_format(&plan->spec.base.ref);
        char *at = strchr(name, '@');
        if (at)
            *at = '\0';
        json_object_set_new(annotations, "org.opencontainers.image.base.name", json_string(name));
        json_object_set_new(annotations, "org.opencontainers.image.base.digest",
                            json_string(variant->base.digest.text));
    }
    if (plan->spec.annotations)
        json_object_update(annotations, (json_t *)plan->spec.annotations);
    if (json_object_size(annotations))
        return annotations;
    json_decref(annotations);
    return NULL;
}

static int build_manifest(struct manifest *ret, const struct build_plan *plan, const struct build_variant *variant,
                          enum media_family family, struct error *err)
{
    size_t count = 0, most = variant->base.n_layers + plan->spec.n_layers;
    AUTO_FREE struct descriptor *layers = mem_calloc(most ? most : 1, sizeof(*layers));
    AUTO_JSON json_t *annotations = annotations_of(plan, variant, family);
    struct descriptor config = {0};
    descriptor_copy(&config, &variant->config_descriptor);
    free(config.media_type);
    config.media_type = mem_strdup(media_type_convert(MEDIA_OCI_CONFIG, family));
    int result = collect_layers(plan, variant, family, layers, &count, err);
    if (!result)
        result = manifest_build(ret, family, &config, layers, count, annotations, err);
    for (size_t i = 0; i < count; i++)
        descriptor_clear(&layers[i]);
    descriptor_clear(&config);
    return result;
}

static int build_index(struct manifest *ret, const struct build_plan *plan, const struct manifest *children,
                       enum media_family family, struct error *err)
{
    size_t count = plan->spec.n_platforms;
    AUTO_FREE struct descriptor *descriptors = mem_calloc(count, sizeof(*descriptors));
    for (size_t i = 0; i < count; i++) {
        descriptor_init(&descriptors[i], children[i].media_type, &children[i].digest, (int64_t)children[i].len);
        descriptors[i].has_platform = true;
        platform_copy(&descriptors[i].platform, plan->variants[i].platform);
    }
    AUTO_JSON json_t *annotations = family == MEDIA_FAMILY_OCI ? json_incref((json_t *)plan->spec.annotations) : NULL;
    int result = manifest_build_index(ret, family, descriptors, count, annotations, err);
    for (size_t i = 0; i < count; i++)
        descriptor_clear(&descriptors[i]);
    return result;
}

// The manifests of one family at the end of the list; the last is the root.
static int build_family(const struct build_plan *plan, enum media_family family, struct manifest *list, size_t *count,
                        struct error *err)
{
    size_t first = *count;
    for (size_t i = 0; i < plan->spec.n_platforms; i++) {
        if (build_manifest(&list[*count], plan, &plan->variants[i], family, err))
            return -1;
        ++*count;
    }
    if (!plan->spec.as_index)
        return 0;
    if (build_index(&list[*count], plan, &list[first], family, err))
        return -1;
    ++*count;
    return 0;
}

static int seal(struct build_plan *plan, struct error *err)
{
    size_t count = 0, n_targets = plan->spec.targets.count;
    struct manifest *list = mem_calloc(2 * (plan->spec.n_platforms + 1), sizeof(*list));
    AUTO_FREE size_t *roots = mem_calloc(n_targets, sizeof(*roots));
    bool built[2] = {false, false};
    size_t root_of_family[2] = {0, 0};
    for (size_t t = 0; t < n_targets; t++) {
        enum media_family family = family_of_target(plan, t);
        if (!built[family] && build_family(plan, family, list, &count, err)) {
            for (size_t i = 0; i < count; i++)
                manifest_clear(&list[i]);
            free(list);
            return -1;
        }
        if (!built[family])
            root_of_family[family] = count - 1;
        built[family] = true;
        roots[t] = root_of_family[family];
    }
    const struct manifest *base = plan->root.bytes ? &plan->root : &plan->variants[0].base;
    json_t *inputs = base->bytes ? json_pack("{s:s}", "base", base->digest.text) : NULL;
    return publish_seal(plan->publish, list, count, roots, inputs, err);
}

int build_assemble(struct build_plan *plan, struct error *err)
{
    for (size_t i = 0; i < plan->spec.n_layers; i++)
        add_layer_blob(plan, i);
    for (size_t i = 0; i < plan->spec.n_platforms; i++) {
        if (edit_config(plan, &plan->variants[i], err))
            return -1;
        add_config_blob(plan, &plan->variants[i]);
    }
    publish_plan(plan->publish, false);
    return seal(plan, err);
}
