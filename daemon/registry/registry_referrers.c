// SPDX-License-Identifier: Apache-2.0
//
// Referrers (distribution-spec "Listing Referrers"): by the API, else from the fallback tag sha256-<hex>; and
// keeping that tag for registries without the API. Of two writers of one tag the later would undo the
// earlier, and registries know no conditional PUT, so the tag is read again after writing and written again
// if somebody was faster.
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "registry/registry_pages.h"

enum { REFERRERS_MAX = 10000, UPDATE_ATTEMPTS = 4 };

static json_t *new_index(void)
{
    return json_pack("{s:i, s:s, s:[]}", "schemaVersion", 2, "mediaType", MEDIA_OCI_INDEX, "manifests");
}

struct referrers {
    json_t *index;
    const char *artifact_type;
    struct registry_pages *pages;
};

static bool wanted(const json_t *descriptor, const char *artifact_type)
{
    return !artifact_type || str_equal(json_get_string(descriptor, "artifactType"), artifact_type);
}

static int read_referrers(void *arg, const json_t *root, struct error *err)
{
    struct referrers *referrers = arg;
    const json_t *list = json_object_get(root, "manifests");
    json_t *all = json_object_get(referrers->index, "manifests");
    if (!json_is_object(root) || (list && !json_is_array(list) && !json_is_null(list)))
        return error_set(err, ERR_REGISTRY_PROTOCOL, "The referrers are not an image index");
    size_t i;
    json_t *value;
    json_array_foreach(list, i, value) {
        const char *digest = json_get_string(value, "digest");
        if (!digest || !digest_valid(digest) || !wanted(value, referrers->artifact_type))
            continue;
        if (json_array_size(all) >= REFERRERS_MAX)
            return error_set(err, ERR_TOO_LARGE, "There are more than %d referrers", REFERRERS_MAX);
        json_array_append(all, value);
    }
    return 0;
}

static char *fallback_tag(const struct digest *digest)
{
    char *tag = mem_printf("%s-%.64s", digest_algorithm_name(digest), digest_hex(digest));
    return tag;
}

// From the fallback tag; an absent tag is an empty index.
static int read_fallback(const struct registry_scope *scope, const struct digest *digest,
                         struct referrers *referrers, struct error *err)
{
    AUTO_FREE char *tag = fallback_tag(digest);
    struct manifest manifest = {0};
    if (registry_manifest_pull(scope, tag, &manifest, err) < 0) {
        if (err->upstream.status != 404)
            return -1;
        error_clear(err);
        *err = ERROR_INIT;
        return 0;
    }
    int failed = manifest.is_index ? read_referrers(referrers, manifest.root, err) : 0;
    manifest_clear(&manifest);
    return failed;
}

// 1: the registry has the API. 0: it has not. -1.
static int read_api(const struct registry_scope *scope, const struct digest *digest,
                    struct referrers *referrers, struct error *err)
{
    struct registry_pages pages = {
        .what = "the referrers", .accept = MEDIA_OCI_INDEX, .page = read_referrers, .arg = referrers};
    struct registry_call call;
    if (registry_call_open(&call, scope, CREDENTIAL_PULL, NULL, err) < 0)
        return -1;
    struct http_call http;
    struct http_answer answer = {0};
    registry_call_begin(&call, &http, "GET", "referrers/%s", digest->text);
    if (referrers->artifact_type)
        url_add_query(&http.url, "artifactType", referrers->artifact_type);
    int result = registry_pages_read(&call, &http, &pages, &answer, err);
    if (!result && answer.status == 200)
        result = 1;
    else if (!result && answer.status != 404 && answer.status != 400 && answer.status != 405)
        result = registry_call_fail(&call, "GET", REGISTRY_LISTING, pages.what, &answer, err);
    http_answer_clear(&answer);
    registry_call_close(&call);
    return result;
}

json_t *registry_referrers(const struct registry_scope *scope, const struct digest *digest,
                           const char *artifact_type, struct error *err)
{
    struct referrers referrers = {.index = new_index(), .artifact_type = artifact_type};
    int result = read_api(scope, digest, &referrers, err);
    if (result == 0)
        result = read_fallback(scope, digest, &referrers, err);
    if (result >= 0)
        return referrers.index;
    json_decref(referrers.index);
    return NULL;
}

// --- keeping the fallback tag

static json_t *describe(const struct manifest *manifest)
{
    const char *type = manifest->artifact_type ? manifest->artifact_type : manifest->config.media_type;
    json_t *descriptor = json_pack("{s:s, s:s, s:I}", "mediaType", manifest->media_type, "digest",
                                   manifest->digest.text, "size", (json_int_t)manifest->len);
    if (type)
        json_object_set_new(descriptor, "artifactType", json_string(type));
    if (manifest->annotations)
        json_object_set(descriptor, "annotations", manifest->annotations);
    return descriptor;
}

static bool listed(const json_t *index, const struct digest *digest)
{
    size_t i;
    json_t *value;
    json_array_foreach(json_object_get(index, "manifests"), i, value)
        if (str_equal(json_get_string(value, "digest"), digest->text))
            return true;
    return false;
}

static int write_fallback(const struct registry_scope *scope, const char *tag, json_t *index,
                          struct error *err)
{
    AUTO_FREE char *text = json_text(index);
    struct digest digest;
    digest_of(&digest, DIGEST_SHA256, text, strlen(text));
    return registry_manifest_push(scope, tag, MEDIA_OCI_INDEX, text, strlen(text), &digest, err);
}

// 1: it stands there. 0: it was written. -1.
static int update(const struct registry_scope *scope, const struct manifest *manifest, struct error *err)
{
    AUTO_JSON json_t *index = new_index();
    struct referrers referrers = {.index = index};
    AUTO_FREE char *tag = fallback_tag(&manifest->subject.digest);
    if (read_fallback(scope, &manifest->subject.digest, &referrers, err) < 0)
        return -1;
    if (listed(index, &manifest->digest))
        return 1;
    json_array_append_new(json_object_get(index, "manifests"), describe(manifest));
    return write_fallback(scope, tag, index, err);
}

int registry_referrers_add(const struct registry_scope *scope, const struct manifest *manifest,
                           struct error *err)
{
    if (!manifest->has_subject)
        return 0;
    AUTO_JSON json_t *index = new_index();
    struct referrers referrers = {.index = index};
    int result = read_api(scope, &manifest->subject.digest, &referrers, err);
    if (result != 0)
        return result < 0 ? -1 : 0;
    for (int i = 0; i < UPDATE_ATTEMPTS; i++) {
        result = update(scope, manifest, err);
        if (result != 0)
            return result < 0 ? -1 : 0;
    }
    return error_set(err, ERR_REGISTRY_ERROR,
                     "The referrers of %s are being changed by somebody else all the time",
                     manifest->subject.digest.text);
}
