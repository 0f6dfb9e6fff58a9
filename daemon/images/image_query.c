// SPDX-License-Identifier: Apache-2.0
//
// Makes and ends queries. What can be judged from the request alone is judged here, on the loop: a reference,
// a platform, a digest where one is needed. Called by handlers; the runs stand in image_query_*.c.
#include "images/image_query.h"

#include <string.h>

#include "base/id.h"
#include "base/mem.h"
#include "base/str.h"
#include "images/image_query_room.h"
#include "images/target.h"

enum names {
    NAMES_IMAGE,
    NAMES_REPOSITORY,
    NAMES_BLOB,
    NAMES_BLOB_OR_REPOSITORY,
    NAMES_REGISTRY,
    NAMES_DIGEST
};

static void query_free(struct step *step)
{
    struct image_query *query = image_query_of(step);
    endpoint_fini(&query->endpoint);
    platform_clear(&query->platform);
    json_decref(query->answer.value);
    free(query->answer.bytes);
    free(query->answer.media_type);
    free(query->text);
    free(query->artifact_type);
    free(query->from);
    free(query->media_type);
    free(query->range);
    free(query->bytes);
    pipe_unref(query->in);
    pipe_unref(query->out);
    free(query);
}

#define KIND(what, names)                                                                                    \
    {                                                                                                        \
        {.run = (what), .free = query_free}, (names)                                                         \
    }

static const struct kind {
    struct step_ops ops;
    enum names names;
} kinds[] = {
    [IMAGE_QUERY_INSPECT] = KIND(image_query_inspect, NAMES_IMAGE),
    [IMAGE_QUERY_MANIFEST] = KIND(image_query_manifest, NAMES_IMAGE),
    [IMAGE_QUERY_MANIFEST_HEAD] = KIND(image_query_manifest_head, NAMES_IMAGE),
    [IMAGE_QUERY_MANIFEST_PUT] = KIND(image_query_manifest_put, NAMES_REPOSITORY),
    [IMAGE_QUERY_MANIFEST_DELETE] = KIND(image_query_manifest_delete, NAMES_REPOSITORY),
    [IMAGE_QUERY_CONFIG] = KIND(image_query_config, NAMES_IMAGE),
    [IMAGE_QUERY_TAGS] = KIND(image_query_tags, NAMES_REPOSITORY),
    [IMAGE_QUERY_REFERRERS] = KIND(image_query_referrers, NAMES_REPOSITORY),
    [IMAGE_QUERY_CATALOG] = KIND(image_query_catalog, NAMES_REGISTRY),
    [IMAGE_QUERY_BLOB] = KIND(image_query_blob_get, NAMES_BLOB),
    [IMAGE_QUERY_BLOB_HEAD] = KIND(image_query_blob_head, NAMES_BLOB),
    [IMAGE_QUERY_BLOB_PUT] = KIND(image_query_blob_put, NAMES_BLOB_OR_REPOSITORY),
    [IMAGE_QUERY_BLOB_DELETE] = KIND(image_query_blob_delete, NAMES_BLOB),
    [IMAGE_QUERY_BLOB_MOUNT] = KIND(image_query_blob_mount, NAMES_BLOB),
    [IMAGE_QUERY_ARCHIVE] = KIND(image_query_archive, NAMES_IMAGE),
    [IMAGE_QUERY_CONTEXT_PUT] = KIND(image_query_context_put, NAMES_DIGEST),
    [IMAGE_QUERY_CONTEXT_HEAD] = KIND(image_query_context_head, NAMES_DIGEST),
    [IMAGE_QUERY_CREDENTIALS] = KIND(image_query_credentials, NAMES_REGISTRY),
};

const struct image_answer *image_query_answer(const struct step *step)
{
    return &((const struct image_query *)step)->answer;
}

struct registry_scope image_query_scope(struct image_query *query)
{
    return endpoint_scope(&query->endpoint, &query->base);
}

int image_query_not_found(struct error *err)
{
    if (err->code == ERR_BLOB_UNKNOWN)
        err->code = ERR_IMAGE_NOT_FOUND;
    return -1;
}

// A registry is named as the first part of a reference is; what would be taken for a name on Docker Hub is
// none.
static int parse_registry(const char *text, struct location *ret, struct error *err)
{
    AUTO_FREE char *probe = mem_printf("%s/x/y", text);
    CLEANUP(error_clear) struct error why = ERROR_INIT;
    if (!strchr(text, '/') && !location_parse(ret, probe, &why)) {
        if (ret->kind == LOCATION_REGISTRY && str_equal(ret->ref.repository, "x/y"))
            return 0;
        location_clear(ret);
    }
    AUTO_FREE char *quoted = str_quote(text, 80);
    error_set(err, ERR_REFERENCE_INVALID, "\"%s\" is not the name of a registry", quoted);
    error_hint(err, "Write a host, with a port if it has one: docker.io, reg.example.com, localhost:5000.");
    return -1;
}

static int check_registry_location(const struct location *where, enum names names, struct error *err)
{
    if (where->kind != LOCATION_REGISTRY)
        return error_set(err, ERR_INVALID_REQUEST,
                         "the query parameter ref must name a repository of a registry here");
    if (names == NAMES_BLOB && !digest_known(&where->ref.digest))
        return error_set(err, ERR_REFERENCE_INVALID,
                         "a blob is named by its digest: ?ref=registry/name@sha256:...");
    if (names != NAMES_REPOSITORY && where->ref.tag)
        return error_set(err, ERR_REFERENCE_INVALID, "a blob has no tag: ?ref=registry/name@sha256:...");
    return 0;
}

static int parse_where(const struct image_context *context, const struct image_request *request,
                       struct location *ret, struct error *err)
{
    enum names names = kinds[request->kind].names;
    if (names == NAMES_REGISTRY)
        return parse_registry(request->ref, ret, err);
    if (target_decode_location(ret, request->ref, "", context->build_roots, false, err))
        return -1;
    if (names == NAMES_IMAGE || !check_registry_location(ret, names, err))
        return 0;
    location_clear(ret);
    return -1;
}

// "registry/name" of the same registry is understood, too.
static int take_from(struct image_query *query, const char *from, struct error *err)
{
    const struct reference *ref = &query->endpoint.where.ref;
    size_t host_len = strlen(ref->registry);
    if (str_starts(from, ref->registry) && from[host_len] == '/')
        from += host_len + 1;
    if (!reference_repository_valid(from)) {
        AUTO_FREE char *quoted = str_quote(from, 80);
        return error_set(err, ERR_REFERENCE_INVALID, "from=\"%s\" is not the name of a repository", quoted);
    }
    query->from = mem_strdup(from);
    return 0;
}

static int take_format(struct image_query *query, const char *format, struct error *err)
{
    if (str_equal(format, "oci-archive"))
        query->format = LOCATION_OCI_ARCHIVE;
    else if (str_equal(format, "docker-archive"))
        query->format = LOCATION_DOCKER_ARCHIVE;
    else
        return error_set(err, ERR_INVALID_REQUEST,
                         "the query parameter format must be oci-archive or docker-archive");
    return 0;
}

static int take_members(struct image_query *query, const struct image_request *request, struct error *err)
{
    query->has_platform = request->platform != NULL;
    query->artifact_type = mem_strdup_null(request->artifact_type);
    query->media_type = mem_strdup_null(request->media_type);
    query->range = mem_strdup_null(request->range);
    query->bytes = mem_dup(request->len ? request->bytes : "", request->len);
    query->len = request->len;
    query->in_bytes = request->in_bytes;
    query->in_bytes_max = request->in_bytes_max;
    if (request->platform && platform_parse(&query->platform, request->platform, err))
        return -1;
    if (request->from && take_from(query, request->from, err))
        return -1;
    return request->kind == IMAGE_QUERY_ARCHIVE ? take_format(query, request->format, err) : 0;
}

static int take_where(struct image_query *query, const struct image_request *request, struct error *err)
{
    struct location where;
    if (kinds[request->kind].names == NAMES_DIGEST) {
        query->text = mem_alloc(ID_LEN + 1);
        id_new(query->text);
        query->endpoint.uid = request->uid;
        return digest_parse(&query->digest, request->ref, err);
    }
    if (parse_where(query->context, request, &where, err))
        return -1;
    if (kinds[request->kind].names == NAMES_REGISTRY)
        query->text = mem_strdup(where.ref.registry);
    endpoint_init(&query->endpoint, query->context, &where, NULL);
    query->endpoint.uid = request->uid;
    endpoint_gate(&query->endpoint, &query->base);
    location_clear(&where);
    return 0;
}

struct step *image_query_new(struct image_context *context, const struct image_request *request,
                             struct error *err)
{
    struct image_query *query = mem_new(struct image_query);
    AUTO_FREE char *name = mem_printf("query %s", request->ref);
    step_init(&query->base, &kinds[request->kind].ops, name, NULL);
    query->context = context;
    query->answer.size = query->answer.length = -1;
    query->in = request->in ? pipe_ref(request->in) : NULL;
    query->out = request->out ? pipe_ref(request->out) : NULL;
    if (!take_where(query, request, err) && !take_members(query, request, err))
        return &query->base;
    step_free(&query->base);
    return NULL;
}
