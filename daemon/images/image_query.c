// SPDX-License-Identifier: Apache-2.0
//
// Reading queries. Each is one function of a worker over an endpoint.
#include "images/image_query.h"

#include "base/mem.h"
#include "base/str.h"
#include "images/endpoint.h"
#include "images/target.h"

enum { CONFIG_BYTES_MAX = 8 << 20 };

struct image_query {
    struct step base;
    struct endpoint endpoint;
    struct platform platform;   // wanted, if has_platform
    bool has_platform;
    struct image_answer answer;
};

static void query_free(struct step *step)
{
    struct image_query *query = (struct image_query *)step;
    endpoint_fini(&query->endpoint);
    platform_clear(&query->platform);
    json_decref(query->answer.value);
    free(query->answer.bytes);
    free(query->answer.media_type);
    free(query);
}

const struct image_answer *image_query_answer(const struct step *step)
{
    return &((const struct image_query *)step)->answer;
}

// The manifest that the reference names; of an index the child for the platform, if one is wanted.
static int resolve(struct image_query *query, struct manifest *ret, struct error *err)
{
    if (endpoint_open(&query->endpoint, false, &query->base, err) ||
        endpoint_manifest(&query->endpoint, NULL, NULL, &query->base, ret, err))
        return -1;
    if (!ret->is_index || !query->has_platform)
        return 0;
    const struct descriptor *child = manifest_find_platform(ret, &query->platform, err);
    struct manifest found;
    int result = child ? endpoint_manifest(&query->endpoint, NULL, child, &query->base, &found, err) : -1;
    manifest_clear(ret);
    if (!result)
        manifest_move(ret, &found);
    return result;
}

static json_t *descriptors_to_json(const struct descriptor *items, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, descriptor_to_json(&items[i]));
    return list;
}

static int add_config(struct image_query *query, const struct manifest *manifest, struct error *err)
{
    size_t len;
    AUTO_FREE char *bytes = endpoint_read(&query->endpoint, &manifest->config, CONFIG_BYTES_MAX, &query->base, &len, err);
    json_t *config = bytes ? json_parse(bytes, len, &json_limits_config, err) : NULL;
    if (!config)
        return error_wrap(err, "image config");
    const char *os = json_get_string(config, "os"), *architecture = json_get_string(config, "architecture");
    const char *variant = json_get_string(config, "variant");
    AUTO_FREE char *platform = mem_printf("%s/%s%s%s", os ? os : "unknown", architecture ? architecture : "unknown",
                                          variant ? "/" : "", variant ? variant : "");
    json_object_set_new(query->answer.value, "platform", json_string(platform));
    json_object_set_new(query->answer.value, "config", config);
    return 0;
}

static int inspect_run(struct step *step, struct error *err)
{
    struct image_query *query = (struct image_query *)step;
    struct manifest manifest;
    if (resolve(query, &manifest, err))
        return -1;
    AUTO_FREE char *ref = location_format(&query->endpoint.where);
    json_decref(query->answer.value); // of a run that failed half-way
    query->answer.value = json_pack("{s:s, s:s, s:s, s:I}", "ref", ref, "digest", manifest.digest.text, "media_type",
                             manifest.media_type, "size", (json_int_t)manifest.len);
    int result = 0;
    if (manifest.is_index)
        json_object_set_new(query->answer.value, "manifests", descriptors_to_json(manifest.children, manifest.n_children));
    else
        json_object_set_new(query->answer.value, "layers", descriptors_to_json(manifest.layers, manifest.n_layers));
    if (!manifest.is_index && manifest_is_image(&manifest))
        result = add_config(query, &manifest, err);
    json_object_set_new(query->answer.value, "annotations",
                        manifest.annotations ? json_incref(manifest.annotations) : json_object());
    manifest_clear(&manifest);
    return result;
}

static int manifest_run(struct step *step, struct error *err)
{
    struct image_query *query = (struct image_query *)step;
    struct manifest manifest;
    if (resolve(query, &manifest, err))
        return -1;
    query->answer.bytes = mem_take(manifest.bytes);
    query->answer.len = manifest.len;
    query->answer.media_type = mem_strdup(manifest.media_type);
    query->answer.digest = manifest.digest;
    manifest_clear(&manifest);
    return 0;
}

// Of an index without platform, the daemon's own platform is meant.
static int config_run(struct step *step, struct error *err)
{
    struct image_query *query = (struct image_query *)step;
    struct manifest manifest;
    if (!query->has_platform)
        platform_default(&query->platform);
    query->has_platform = true;
    if (resolve(query, &manifest, err))
        return -1;
    query->answer.bytes = endpoint_read(&query->endpoint, &manifest.config, CONFIG_BYTES_MAX, step, &query->answer.len, err);
    query->answer.media_type = mem_strdup(manifest.config.media_type);
    query->answer.digest = manifest.config.digest;
    manifest_clear(&manifest);
    return query->answer.bytes ? 0 : -1;
}

static int tags_run(struct step *step, struct error *err)
{
    struct image_query *query = (struct image_query *)step;
    if (!endpoint_is_registry(&query->endpoint))
        return error_set(err, ERR_INVALID_REQUEST, "tags are listed for repositories of registries only");
    struct registry_scope scope = endpoint_scope(&query->endpoint, step);
    json_t *tags = registry_tags(&scope, err);
    if (!tags)
        return -1;
    query->answer.value = json_pack("{s:s, s:o}", "name", scope.repository, "tags", tags);
    return 0;
}

static const struct step_ops kinds[] = {
    [IMAGE_QUERY_INSPECT] = {inspect_run, NULL, NULL, query_free},
    [IMAGE_QUERY_MANIFEST] = {manifest_run, NULL, NULL, query_free},
    [IMAGE_QUERY_CONFIG] = {config_run, NULL, NULL, query_free},
    [IMAGE_QUERY_TAGS] = {tags_run, NULL, NULL, query_free},
};

struct step *image_query_new(struct image_context *context, enum image_query_kind kind, const char *ref,
                             const char *platform, struct error *err)
{
    struct location where;
    if (target_decode_location(&where, ref, "", context->build_roots, false, err))
        return NULL;
    struct image_query *query = mem_new(struct image_query);
    if (platform && platform_parse(&query->platform, platform, err)) {
        location_clear(&where);
        free(query);
        return NULL;
    }
    query->has_platform = platform != NULL;
    AUTO_FREE char *name = mem_printf("query %s", ref);
    step_init(&query->base, &kinds[kind], name, NULL);
    endpoint_init(&query->endpoint, context, &where, NULL);
    endpoint_gate(&query->endpoint, &query->base);
    location_clear(&where);
    return &query->base;
}
