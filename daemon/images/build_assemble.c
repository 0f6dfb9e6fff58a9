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

static int edit_for_platform(const struct build_plan *plan, struct build_variant *variant, struct error *err)
{
    const char *key;
    json_t *edit;
    json_object_foreach((json_t *)plan->spec.config_bound, key, edit) {
        CLEANUP(error_clear) struct error ignored = ERROR_INIT; // it was checked when the job was posted
        struct platform wanted = {0};
        bool meant = platform_parse(&wanted, key, &ignored) == 0 && platform_matches(&wanted, variant->platform);
        platform_clear(&wanted);
        if (meant && image_config_apply_edit(&variant->config, edit, err))
            return -1;
    }
    return 0;
}

static int edit_config(struct build_plan *plan, struct build_variant *variant, struct error *err)
{
    char created[CLOCK_TEXT_MAX];
    clock_format_s(plan->spec.created_s, created);
    struct image_config *config = &variant->config;
    image_config_set_created(config, created);
    if (plan->spec.config && image_config_apply_edit(config, plan->spec.config, err))
        return -1;
    if (edit_for_platform(plan, variant, err))
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

static enum media_family base_family(const struct build_plan *plan)
{
    if (plan->spec.base.kind == LOCATION_SCRATCH)
        return MEDIA_FAMILY_OCI;
    return manifest_family(&plan->base_set.images[0].manifest);
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

static int layer_descriptor(struct descriptor *ret, const struct stack_layer *layer, size_t number,
                            enum media_family family, struct error *err)
{
    const char *media_type = layer->descriptor.media_type;
    if (family == MEDIA_FAMILY_DOCKER && media_type_compression(media_type) == MEDIA_COMPRESSION_ZSTD)
        return error_set(err, ERR_MANIFEST_UNSUPPORTED,
                         "layer %zu is compressed with zstd, for which Docker's image format has no media type: "
                         "use format \"oci\" for the target",
                         number);
    descriptor_copy(ret, &layer->descriptor);
    free(ret->media_type);
    ret->media_type = mem_strdup(media_type_convert(media_type, family));
    return 0;
}

// org.opencontainers.image.base.* (OCI image-spec annotations.md) tell what a later rebase needs to know.
static char *base_name(const struct build_plan *plan)
{
    if (plan->spec.edits.rebase)
        return rebase_base_name(&plan->rebase);
    if (plan->spec.base.kind != LOCATION_REGISTRY)
        return NULL;
    char *name = reference_format(&plan->spec.base.ref);
    name[strcspn(name, "@")] = '\0';
    return name;
}

static json_t *annotations_of(const struct build_plan *plan, const struct build_variant *variant,
                              enum media_family family)
{
    if (family != MEDIA_FAMILY_OCI)
        return NULL;
    json_t *annotations = json_object();
    AUTO_FREE char *name = base_name(plan);
    if (name) {
        json_object_set_new(annotations, "org.opencontainers.image.base.name", json_string(name));
        json_object_set_new(annotations, "org.opencontainers.image.base.digest",
                            json_string(variant->base_digest->text));
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
    size_t count = variant->stack.count, done = 0;
    AUTO_FREE struct descriptor *layers = mem_calloc(count ? count : 1, sizeof(*layers));
    AUTO_JSON json_t *annotations = annotations_of(plan, variant, family);
    struct descriptor config = {0};
    descriptor_copy(&config, &variant->config_descriptor);
    free(config.media_type);
    config.media_type = mem_strdup(media_type_convert(MEDIA_OCI_CONFIG, family));
    int result = 0;
    for (; done < count && !result; done++)
        result = layer_descriptor(&layers[done], &variant->stack.items[done], done, family, err);
    if (!result)
        result = manifest_build(ret, family, &config, layers, count, annotations, err);
    for (size_t i = 0; i < done; i++)
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

// What a later attempt should find again behind the same names.
static json_t *inputs_of(const struct build_plan *plan)
{
    const struct digest *base = platform_set_digest(&plan->base_set);
    if (!base)
        return NULL;
    json_t *inputs = json_pack("{s:s}", "base", base->text);
    if (plan->rebase.started) {
        json_object_set_new(inputs, "from", json_string(platform_set_digest(&plan->rebase.from_set)->text));
        json_object_set_new(inputs, "onto", json_string(platform_set_digest(&plan->rebase.onto_set)->text));
    }
    return inputs;
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
    publish_seal(plan->publish, list, count, roots, inputs_of(plan));
    return 0;
}

int build_assemble(struct build_plan *plan, struct error *err)
{
    for (size_t i = 0; i < plan->spec.n_platforms; i++) {
        if (edit_config(plan, &plan->variants[i], err))
            return -1;
        add_config_blob(plan, &plan->variants[i]);
    }
    build_announce(plan, true);
    return seal(plan, err);
}
