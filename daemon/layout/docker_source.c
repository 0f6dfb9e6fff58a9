// SPDX-License-Identifier: Apache-2.0
//
// docker-archives as sources. The format has no manifests and no digests of what lies in it, so a manifest is
// made up for the image that is asked for: an uncompressed layer has the digest that the config calls its
// diff_id (whoever reads the layer verifies that), a compressed one is hashed.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/table.h"
#include "layout/docker_archive.h"
#include "layout/docker_list.h"
#include "layout/layout_read.h"
#include "oci/image_config.h"

enum { HASH_BLOCK = 256 << 10 };

struct docker_blob {
    struct digest digest; // its text is the key
    char *name;           // of the file in the archive
};

struct docker_source {
    struct image_store base;
    char *path;
    struct tar_index *tar;
    json_t *list;         // manifest.json
    pthread_mutex_t lock; // of what follows; held for look-ups only
    struct table *blobs;  // what the made-up manifests name
    struct manifest *made;
    size_t n_made;
};

static struct docker_source *source_of(struct image_store *store)
{
    return container_of(store, struct docker_source, base);
}

static int refuse_other(const struct docker_source *source, struct error *err)
{
    error_clear(err);
    if (tar_index_size(source->tar, "repositories") >= 0)
        return error_set(err, ERR_MANIFEST_UNSUPPORTED,
                         "it was written by a Docker older than 1.10, which is not supported");
    error_set(err, ERR_REGISTRY_PROTOCOL,
              "it is not a docker-archive: the file " DOCKER_LIST_FILE " is missing");
    if (tar_index_size(source->tar, "oci-layout") >= 0)
        error_hint(err, "It looks like an OCI archive: write oci-archive: in front of the path.");
    return -1;
}

static int load(struct docker_source *source, struct error *err)
{
    size_t len = 0;
    AUTO_FREE char *text = archive_file_read(source->tar, DOCKER_LIST_FILE, json_limits_manifest.bytes, &len, err);
    if (!text)
        return err->code == ERR_PATH_NOT_FOUND ? refuse_other(source, err) : -1;
    source->list = docker_list_parse(text, len, err);
    return source->list ? 0 : -1;
}

static void put_blob(struct docker_source *source, const struct digest *digest, const char *name)
{
    struct docker_blob *blob = mem_new(struct docker_blob);
    *blob = (struct docker_blob){.digest = *digest, .name = mem_strdup(name)};
    struct docker_blob *former = table_put(source->blobs, blob->digest.text, blob);
    if (!former)
        return;
    free(former->name);
    free(former);
}

static int hash_reader(struct reader_at *reader, const struct monitor *monitor, struct digest *ret,
                       struct error *err)
{
    AUTO_FREE char *buffer = mem_alloc(HASH_BLOCK);
    struct hasher *hasher = hasher_new(DIGEST_SHA256);
    ssize_t n = 0;
    for (int64_t offset = 0; offset < reader->size; offset += n) {
        n = monitor_check(monitor, err) < 0 ? -1 : reader_at_read(reader, buffer, HASH_BLOCK, offset, err);
        if (n == 0)
            n = error_set(err, ERR_SOURCE_CHANGED, "the archive became shorter while it was read");
        if (n < 0)
            break;
        hasher_update(hasher, buffer, (size_t)n);
    }
    if (n >= 0)
        hasher_finish(hasher, ret);
    hasher_free(hasher);
    return n < 0 ? -1 : 0;
}

static int sniff(struct reader_at *reader, enum media_compression *ret, struct error *err)
{
    char head[8] = {0};
    if (reader_at_read(reader, head, sizeof head, 0, err) < 0)
        return -1;
    if (memcmp(head, "\x1f\x8b", 2) == 0)
        *ret = MEDIA_COMPRESSION_GZIP;
    else if (memcmp(head, "\x28\xb5\x2f\xfd", 4) == 0)
        *ret = MEDIA_COMPRESSION_ZSTD;
    else if (memcmp(head,
                    "\xfd"
                    "7zXZ",
                    5) == 0 ||
             memcmp(head, "BZh", 3) == 0)
        *ret = MEDIA_COMPRESSION_UNKNOWN;
    else
        *ret = MEDIA_COMPRESSION_NONE;
    return 0;
}

// Fills a layer's descriptor, in Docker's family where that has a type for it.
static int describe_layer(struct descriptor *ret, struct reader_at *reader, const struct digest *diff_id,
                          const struct monitor *monitor, struct error *err)
{
    enum media_compression compression;
    struct digest digest = *diff_id;
    if (sniff(reader, &compression, err) < 0)
        return -1;
    if (compression == MEDIA_COMPRESSION_UNKNOWN)
        return error_set(err, ERR_MANIFEST_UNSUPPORTED,
                         "a layer is compressed with xz or bzip2, which images cannot have");
    if (compression != MEDIA_COMPRESSION_NONE && hash_reader(reader, monitor, &digest, err) < 0)
        return -1;
    const char *type = media_type_layer(MEDIA_FAMILY_DOCKER, compression);
    descriptor_init(ret, type ? type : media_type_layer(MEDIA_FAMILY_OCI, compression), &digest,
                    reader->size);
    return 0;
}

// A manifest in the making. The names are borrowed from manifest.json.
struct draft {
    struct descriptor config;
    const char *config_name;
    struct descriptor layers[DOCKER_LIST_LAYERS_MAX];
    const char *names[DOCKER_LIST_LAYERS_MAX];
    size_t n_layers;
};

static int draft_layer(struct docker_source *source, struct draft *draft, const char *name,
                       const struct digest *diff_id, const struct monitor *monitor, struct error *err)
{
    struct reader_at *reader = tar_index_reader(source->tar, name, err);
    if (!reader)
        return -1;
    struct descriptor *layer = &draft->layers[draft->n_layers];
    int result = describe_layer(layer, reader, diff_id, monitor, err);
    reader_at_close(reader);
    if (result < 0)
        return error_wrap(err, "layer %zu", draft->n_layers);
    draft->names[draft->n_layers++] = name;
    return 0;
}

static int draft_layers(struct docker_source *source, struct draft *draft, const json_t *entry,
                        const struct image_config *config, const struct monitor *monitor, struct error *err)
{
    const json_t *layers = json_object_get(entry, "Layers");
    size_t i;
    json_t *name;
    if (json_array_size(layers) != image_config_layers(config))
        return error_set(err, ERR_REGISTRY_PROTOCOL, "the image has %zu layers and %zu diff_ids",
                         json_array_size(layers), image_config_layers(config));
    json_array_foreach(layers, i, name)
    {
        struct digest diff_id;
        if (image_config_diff_id(config, i, &diff_id, err) < 0 ||
            draft_layer(source, draft, json_string_value(name), &diff_id, monitor, err) < 0)
            return -1;
    }
    return 0;
}

static int draft_image(struct docker_source *source, struct draft *draft, const json_t *entry,
                       const struct monitor *monitor, struct error *err)
{
    struct image_config config;
    struct digest digest;
    size_t len = 0;
    const char *name = json_get_string(entry, "Config");
    AUTO_FREE char *bytes = archive_file_read(source->tar, name, json_limits_config.bytes, &len, err);
    if (!bytes || image_config_parse(&config, bytes, len, err) < 0)
        return -1;
    digest_of(&digest, DIGEST_SHA256, bytes, len);
    descriptor_init(&draft->config, MEDIA_DOCKER_CONFIG, &digest, (int64_t)len);
    draft->config_name = name;
    int result = draft_layers(source, draft, entry, &config, monitor, err);
    image_config_clear(&config);
    return result;
}

static void retype(struct descriptor *d, enum media_family family)
{
    char *type = mem_strdup(media_type_convert(d->media_type, family));
    free(d->media_type);
    d->media_type = type;
}

// One family for the whole image: OCI's if a layer has a type that only OCI knows.
static int build(struct draft *draft, struct manifest *ret, struct error *err)
{
    enum media_family family = MEDIA_FAMILY_DOCKER;
    for (size_t i = 0; i < draft->n_layers; i++)
        if (media_type_family(draft->layers[i].media_type) == MEDIA_FAMILY_OCI)
            family = MEDIA_FAMILY_OCI;
    retype(&draft->config, family);
    for (size_t i = 0; i < draft->n_layers; i++)
        retype(&draft->layers[i], family);
    return manifest_build(ret, family, &draft->config, draft->layers, draft->n_layers, NULL, err);
}

static void keep(struct docker_source *source, const struct draft *draft, struct manifest *made)
{
    pthread_mutex_lock(&source->lock);
    put_blob(source, &draft->config.digest, draft->config_name);
    for (size_t i = 0; i < draft->n_layers; i++)
        put_blob(source, &draft->layers[i].digest, draft->names[i]);
    source->made = mem_realloc(source->made, (source->n_made + 1) * sizeof *source->made);
    manifest_move(&source->made[source->n_made++], made);
    pthread_mutex_unlock(&source->lock);
}

static int make_manifest(struct docker_source *source, const json_t *entry, const struct monitor *monitor,
                         struct descriptor *ret, struct error *err)
{
    struct draft *draft = mem_new(struct draft);
    struct manifest made;
    int result = draft_image(source, draft, entry, monitor, err);
    if (result == 0)
        result = build(draft, &made, err);
    if (result == 0) {
        descriptor_init(ret, made.media_type, &made.digest, (int64_t)made.len);
        keep(source, draft, &made);
    }
    for (size_t i = 0; i < draft->n_layers; i++)
        descriptor_clear(&draft->layers[i]);
    descriptor_clear(&draft->config);
    free(draft);
    return result;
}

static int source_resolve(struct image_store *store, const char *name, const struct monitor *monitor,
                          struct descriptor *ret, struct error *err)
{
    struct docker_source *source = source_of(store);
    const json_t *entry = docker_list_find(source->list, name, err);
    if (!entry || make_manifest(source, entry, monitor, ret, err) < 0)
        return archive_file_wrap(source->path, err);
    return 0;
}

// A parsed copy of the made-up manifest, or 1 if there is none of that digest.
static int find_made(struct docker_source *source, const struct descriptor *descriptor, struct manifest *ret,
                     struct error *err)
{
    int result = 1;
    pthread_mutex_lock(&source->lock);
    for (size_t i = 0; i < source->n_made && result == 1; i++) {
        const struct manifest *made = &source->made[i];
        if (digest_equal(&made->digest, &descriptor->digest))
            result = layout_read_manifest(made->bytes, made->len, descriptor, ret, err);
    }
    pthread_mutex_unlock(&source->lock);
    return result;
}

static int source_manifest(struct image_store *store, const struct descriptor *descriptor,
                           struct manifest *ret, struct error *err)
{
    struct docker_source *source = source_of(store);
    int result = find_made(source, descriptor, ret, err);
    if (result == 1)
        result = error_set(err, ERR_IMAGE_NOT_FOUND, "there is no manifest %s in a docker-archive",
                           descriptor->digest.text);
    return result < 0 ? archive_file_wrap(source->path, err) : 0;
}

// The blob's file in the archive (caller frees), or NULL.
static char *blob_name(struct docker_source *source, const struct digest *digest)
{
    pthread_mutex_lock(&source->lock);
    const struct docker_blob *blob = table_find(source->blobs, digest->text);
    char *name = mem_strdup_null(blob ? blob->name : NULL);
    pthread_mutex_unlock(&source->lock);
    return name;
}

static int64_t source_blob_size(struct image_store *store, const struct digest *digest)
{
    AUTO_FREE char *name = blob_name(source_of(store), digest);
    return name ? tar_index_size(source_of(store)->tar, name) : -1;
}

static struct reader_at *source_blob_open(struct image_store *store, const struct digest *digest,
                                          struct error *err)
{
    struct docker_source *source = source_of(store);
    AUTO_FREE char *name = blob_name(source, digest);
    return archive_file_blob(source->tar, source->path, name, digest, err);
}

static void source_close(struct image_store *store)
{
    struct docker_source *source = source_of(store);
    size_t position = 0;
    for (struct docker_blob *blob; (blob = table_next(source->blobs, &position));) {
        free(blob->name);
        free(blob);
    }
    table_free(source->blobs);
    for (size_t i = 0; i < source->n_made; i++)
        manifest_clear(&source->made[i]);
    free(source->made);
    json_decref(source->list);
    tar_index_close(source->tar);
    pthread_mutex_destroy(&source->lock);
    free(source->path);
    free(source);
}

struct image_store *docker_archive_open(const struct roots *roots, const char *path,
                                        const struct archive_spool *spool, const struct monitor *monitor,
                                        struct error *err)
{
    static const struct image_store_ops ops = {
        .resolve = source_resolve,
        .manifest = source_manifest,
        .blob_size = source_blob_size,
        .blob_open = source_blob_open,
        .close = source_close,
    };
    struct docker_source *source = mem_new(struct docker_source);
    source->base.ops = &ops;
    source->path = mem_strdup(path);
    source->blobs = table_new();
    pthread_mutex_init(&source->lock, NULL);
    source->tar = archive_file_open(roots, path, spool, monitor, err);
    if (source->tar && load(source, err) == 0)
        return &source->base;
    if (source->tar)
        archive_file_wrap(source->path, err);
    source_close(&source->base);
    return NULL;
}
