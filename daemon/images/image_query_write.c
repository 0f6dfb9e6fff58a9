// SPDX-License-Identifier: Apache-2.0
//
// Queries that change a registry by one small request: push and delete a manifest, delete or mount a blob.
// Blobs that are pushed are image_query_blob.c.
#include "images/image_query_room.h"

#include "base/mem.h"
#include "base/str.h"

// A fault in what the caller sent is the caller's, not a registry's.
static int parse_body(const struct image_query *query, struct manifest *ret, struct error *err)
{
    const struct digest *named = &query->endpoint.where.ref.digest;
    if (manifest_parse(ret, query->bytes, query->len, query->media_type, err)) {
        if (err->code == ERR_REGISTRY_PROTOCOL)
            err->code = ERR_INVALID_REQUEST;
        return error_wrap(err, "The body is no manifest");
    }
    struct digest digest = ret->digest;
    if (digest_known(named))
        digest_of(&digest, named->algorithm, query->bytes, query->len);
    if (digest_known(named) && !digest_equal(named, &digest)) {
        manifest_clear(ret);
        return error_set(err, ERR_INVALID_REQUEST, "The body has the digest %s, but the reference names %s",
                         digest.text, named->text);
    }
    ret->digest = digest;
    return 0;
}

int image_query_manifest_put(struct step *step, struct error *err)
{
    struct image_query *query = image_query_of(step);
    struct registry_scope scope = image_query_scope(query);
    struct manifest manifest;
    if (parse_body(query, &manifest, err))
        return -1;
    int result =
        registry_manifest_push(&scope, reference_target(&query->endpoint.where.ref), manifest.media_type,
                               manifest.bytes, manifest.len, &manifest.digest, err);
    if (!result)
        result = registry_referrers_add(&scope, &manifest, err);
    query->answer.digest = manifest.digest;
    manifest_clear(&manifest);
    return result;
}

int image_query_manifest_delete(struct step *step, struct error *err)
{
    struct image_query *query = image_query_of(step);
    struct registry_scope scope = image_query_scope(query);
    return registry_manifest_delete(&scope, reference_target(&query->endpoint.where.ref), err);
}

int image_query_blob_delete(struct step *step, struct error *err)
{
    struct image_query *query = image_query_of(step);
    struct registry_scope scope = image_query_scope(query);
    int result = registry_blob_delete(&scope, &query->endpoint.where.ref.digest, err);
    return result ? image_query_not_found(err) : 0;
}

int image_query_blob_mount(struct step *step, struct error *err)
{
    struct image_query *query = image_query_of(step);
    struct registry_scope scope = image_query_scope(query);
    const struct reference *ref = &query->endpoint.where.ref;
    int mounted = registry_blob_mount(&scope, &ref->digest, query->from, err);
    query->answer.digest = ref->digest;
    if (mounted)
        return mounted < 0 ? -1 : 0;
    error_set(err, ERR_MOUNT_REFUSED, "%s did not mount %s from %s into %s", ref->registry, ref->digest.text,
              query->from, ref->repository);
    error_hint(err,
               "The blob must be in that repository, and the credentials must be allowed to read there.");
    return -1;
}
