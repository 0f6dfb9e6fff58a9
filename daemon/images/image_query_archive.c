// SPDX-License-Identifier: Apache-2.0
//
// The query that streams an image as a tar: manifests are read first, then each blob goes once from where it
// is into the archive, which flows out as it is made. Nothing is kept on the way.
#include "images/image_query_room.h"

#include "base/mem.h"
#include "base/str.h"
#include "images/query_pipe.h"
#include "layout/image_store.h"

enum { COPY_BYTES = 128 << 10 };

static int copy_local(const struct image_query *query, const struct descriptor *blob, struct sink *sink,
                      struct error *err)
{
    struct reader_at *reader = image_store_blob_open(query->endpoint.store, &blob->digest, err);
    if (!reader)
        return -1;
    AUTO_FREE char *buffer = mem_alloc(COPY_BYTES);
    int64_t at = 0;
    ssize_t got;
    while ((got = reader_at_read(reader, buffer, COPY_BYTES, at, err)) > 0 &&
           !sink_write(sink, buffer, (size_t)got, err))
        at += got;
    reader_at_close(reader);
    return got == 0 ? 0 : -1;
}

static int add_blob(struct image_query *query, struct image_store *archive, const struct descriptor *blob,
                    struct error *err)
{
    if (image_store_blob_size(archive, &blob->digest) >= 0 ||
        (media_type_is_foreign_layer(blob->media_type) && blob->urls))
        return 0;
    struct sink *sink = image_store_blob_sink(archive, &blob->digest, blob->size, err);
    if (!sink)
        return -1;
    struct registry_scope scope = image_query_scope(query);
    int result = endpoint_is_registry(&query->endpoint)
                     ? registry_blob_pull(&scope, &blob->digest, blob->size, sink, err)
                     : copy_local(query, blob, sink, err);
    if (!result)
        result = sink_finish(sink, err);
    sink_close(sink);
    return result;
}

static int add_image(struct image_query *query, struct image_store *archive, const struct manifest *manifest,
                     struct error *err)
{
    if (digest_known(&manifest->config.digest) && add_blob(query, archive, &manifest->config, err))
        return -1;
    for (size_t i = 0; i < manifest->n_layers; i++)
        if (add_blob(query, archive, &manifest->layers[i], err))
            return -1;
    return image_store_put_manifest(archive, manifest, err);
}

// depth bounds the recursion: indexes may hold indexes.
static int add_any(struct image_query *query, struct image_store *archive, const struct manifest *manifest,
                   int depth, struct error *err)
{
    if (!manifest->is_index)
        return add_image(query, archive, manifest, err);
    if (depth == 0)
        return error_set(err, ERR_MANIFEST_UNSUPPORTED, "indexes are nested more than %d deep",
                         MANIFEST_DEPTH_MAX);
    for (size_t i = 0; i < manifest->n_children; i++) {
        struct manifest child;
        if (endpoint_manifest(&query->endpoint, NULL, &manifest->children[i], &query->base, &child, err))
            return -1;
        int result = add_any(query, archive, &child, depth - 1, err);
        manifest_clear(&child);
        if (result)
            return -1;
    }
    return image_store_put_manifest(archive, manifest, err);
}

// The name under which the image stands in the archive; NULL: none that would fit. Caller frees.
static char *name_in_archive(const struct image_query *query)
{
    const struct location *where = &query->endpoint.where;
    bool docker = query->format == LOCATION_DOCKER_ARCHIVE;
    if (where->kind != LOCATION_REGISTRY) // a reference is kept as one, a tag as a tag
        return docker == (where->kind == LOCATION_DOCKER_ARCHIVE) ? mem_strdup_null(where->name) : NULL;
    const char *tag = reference_tag(&where->ref);
    if (!tag || !docker)
        return mem_strdup_null(tag);
    return mem_printf("%s/%s:%s", where->ref.registry, where->ref.repository, tag);
}

static int write_archive(struct image_query *query, struct image_store *archive,
                         const struct manifest *manifest, struct error *err)
{
    AUTO_FREE char *name = name_in_archive(query);
    struct descriptor descriptor;
    if (add_any(query, archive, manifest, MANIFEST_DEPTH_MAX, err))
        return -1;
    descriptor_init(&descriptor, manifest->media_type, &manifest->digest, (int64_t)manifest->len);
    int result = image_store_tag(archive, &descriptor, name, err);
    descriptor_clear(&descriptor);
    return result ? -1 : image_store_finish(archive, err);
}

// A docker-archive holds one image: of an index, the one for the daemon's own platform unless another is
// named.
int image_query_archive(struct step *step, struct error *err)
{
    struct image_query *query = image_query_of(step);
    struct query_pipe_sink out;
    struct manifest manifest;
    if (query->format == LOCATION_DOCKER_ARCHIVE && !query->has_platform) {
        platform_default(&query->platform);
        query->has_platform = true;
    }
    if (image_query_resolve(query, &manifest, err))
        return -1;
    query_pipe_sink_init(&out, query->out, &step->monitor);
    query->answer.digest = manifest.digest;
    struct image_store *archive = image_store_stream(query->format, &out.base, err);
    int result = archive ? write_archive(query, archive, &manifest, err) : -1;
    image_store_close(archive);
    manifest_clear(&manifest);
    if (!result)
        pipe_end(query->out);
    return result;
}
