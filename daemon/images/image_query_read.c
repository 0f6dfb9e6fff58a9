// SPDX-License-Identifier: Apache-2.0
//
// Queries that read documents: manifest, config, tags, referrers, catalog, credentials. Each is one function
// of a worker over an endpoint; none changes anything.
#include "images/image_query_room.h"

#include "base/mem.h"
#include "base/str.h"
#include "credentials/credentials.h"

// The manifest that the reference names; of an index the child for the platform, if one is wanted.
int image_query_resolve(struct image_query *query, struct manifest *ret, struct error *err)
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
    AUTO_FREE char *bytes =
        endpoint_config(&query->endpoint, manifest, &query->base, &len, err);
    json_t *config = bytes ? json_parse(bytes, len, &json_limits_config, err) : NULL;
    if (!config)
        return error_wrap(err, "image config");
    const char *os = json_get_string(config, "os"), *architecture = json_get_string(config, "architecture");
    const char *variant = json_get_string(config, "variant");
    AUTO_FREE char *platform =
        mem_printf("%s/%s%s%s", os ? os : "unknown", architecture ? architecture : "unknown",
                   variant ? "/" : "", variant ? variant : "");
    json_object_set_new(query->answer.value, "platform", json_string(platform));
    json_object_set_new(query->answer.value, "config", config);
    return 0;
}

int image_query_inspect(struct step *step, struct error *err)
{
    struct image_query *query = image_query_of(step);
    struct manifest manifest;
    if (image_query_resolve(query, &manifest, err))
        return -1;
    AUTO_FREE char *ref = location_format(&query->endpoint.where);
    json_decref(query->answer.value); // of a run that failed half-way
    query->answer.value = json_pack("{s:s, s:s, s:s, s:I}", "ref", ref, "digest", manifest.digest.text,
                                    "media_type", manifest.media_type, "size", (json_int_t)manifest.len);
    int result = 0;
    if (manifest.is_index)
        json_object_set_new(query->answer.value, "manifests",
                            descriptors_to_json(manifest.children, manifest.n_children));
    else
        json_object_set_new(query->answer.value, "layers",
                            descriptors_to_json(manifest.layers, manifest.n_layers));
    if (!manifest.is_index && manifest_is_image(&manifest))
        result = add_config(query, &manifest, err);
    json_object_set_new(query->answer.value, "annotations",
                        manifest.annotations ? json_incref(manifest.annotations) : json_object());
    manifest_clear(&manifest);
    return result;
}

int image_query_manifest(struct step *step, struct error *err)
{
    struct image_query *query = image_query_of(step);
    struct manifest manifest;
    if (image_query_resolve(query, &manifest, err))
        return -1;
    query->answer.bytes = mem_take(manifest.bytes);
    query->answer.len = manifest.len;
    query->answer.media_type = mem_strdup(manifest.media_type);
    query->answer.digest = manifest.digest;
    manifest_clear(&manifest);
    return 0;
}

// Of an index without platform, the daemon's own platform is meant.
int image_query_config(struct step *step, struct error *err)
{
    struct image_query *query = image_query_of(step);
    struct manifest manifest;
    if (!query->has_platform)
        platform_default(&query->platform);
    query->has_platform = true;
    if (image_query_resolve(query, &manifest, err))
        return -1;
    query->answer.bytes =
        endpoint_config(&query->endpoint, &manifest, step, &query->answer.len, err);
    query->answer.media_type = mem_strdup(manifest.config.media_type);
    query->answer.digest = manifest.config.digest;
    manifest_clear(&manifest);
    return query->answer.bytes ? 0 : -1;
}

int image_query_manifest_head(struct step *step, struct error *err)
{
    struct image_query *query = image_query_of(step);
    struct image_answer *answer = &query->answer;
    if (!endpoint_is_registry(&query->endpoint) || query->has_platform) {
        int result = image_query_manifest(step, err);
        answer->size = (int64_t)answer->len;
        return result;
    }
    struct registry_scope scope = image_query_scope(query);
    const char *target = reference_target(&query->endpoint.where.ref);
    int found =
        registry_manifest_head(&scope, target, &answer->digest, &answer->media_type, &answer->size, err);
    if (found < 0)
        return -1;
    AUTO_FREE char *ref = location_format(&query->endpoint.where);
    return found ? 0 : error_set(err, ERR_IMAGE_NOT_FOUND, "there is no %s", ref);
}

int image_query_tags(struct step *step, struct error *err)
{
    struct image_query *query = image_query_of(step);
    struct registry_scope scope = image_query_scope(query);
    json_t *tags = registry_tags(&scope, err);
    if (!tags)
        return -1;
    query->answer.value = json_pack("{s:s, s:o}", "name", scope.repository, "tags", tags);
    return 0;
}

// The digest that the reference means; a tag is looked up.
static int find_digest(struct image_query *query, const struct registry_scope *scope, struct digest *ret,
                       struct error *err)
{
    const struct reference *ref = &query->endpoint.where.ref;
    AUTO_FREE char *media_type = NULL;
    int64_t size;
    *ret = ref->digest;
    if (digest_known(ret))
        return 0;
    int found = registry_manifest_head(scope, reference_target(ref), ret, &media_type, &size, err);
    if (found < 0)
        return -1;
    if (found && digest_known(ret))
        return 0;
    struct manifest manifest; // some registries do not say the digest, or not to HEAD
    if (registry_manifest_pull(scope, reference_target(ref), &manifest, err))
        return -1;
    *ret = manifest.digest;
    manifest_clear(&manifest);
    return 0;
}

int image_query_referrers(struct step *step, struct error *err)
{
    struct image_query *query = image_query_of(step);
    struct registry_scope scope = image_query_scope(query);
    struct digest digest;
    if (find_digest(query, &scope, &digest, err))
        return -1;
    query->answer.value = registry_referrers(&scope, &digest, query->artifact_type, err);
    return query->answer.value ? 0 : -1;
}

int image_query_catalog(struct step *step, struct error *err)
{
    struct image_query *query = image_query_of(step);
    struct registry_scope scope = image_query_scope(query);
    scope.repository = NULL;
    json_t *repositories = registry_catalog(&scope, err);
    if (!repositories)
        return -1;
    query->answer.value = json_pack("{s:o}", "repositories", repositories);
    return 0;
}

static void add_verdict(struct image_query *query, const struct error *why)
{
    json_t *value = query->answer.value;
    json_object_set_new(value, "ok", json_boolean(why == NULL));
    json_object_set_new(value, "detail",
                        json_string(why ? why->detail : "The registry answered to these credentials"));
    if (why)
        json_object_set_new(value, "code", json_string(error_wire(why->code)));
    if (why && why->hint)
        json_object_set_new(value, "hint", json_string(why->hint));
}

// What the registry thinks is the answer, not a failure of the question.
int image_query_credentials(struct step *step, struct error *err)
{
    struct image_query *query = image_query_of(step);
    struct error why = ERROR_INIT;
    AUTO_CREDENTIAL struct credential *credential =
        credentials_find(query->context->credentials, NULL, query->text, NULL, &why);
    query->answer.value = credential
                              ? json_pack("{s:s, s:s, s:s}", "registry", query->text, "source",
                                          credential->source, "kind", credential_kind_name(credential->kind))
                              : json_pack("{s:s, s:n, s:n}", "registry", query->text, "source", "kind");
    if (credential && credential->username)
        json_object_set_new(query->answer.value, "username", json_string(credential->username));
    struct registry_scope scope = image_query_scope(query);
    scope.repository = NULL;
    bool ok = credential && !registry_ping(&scope, &why);
    bool cancelled = why.code == ERR_CANCELLED;
    if (cancelled)
        error_copy(err, &why);
    else
        add_verdict(query, ok ? NULL : &why);
    error_clear(&why);
    return cancelled ? -1 : 0;
}
