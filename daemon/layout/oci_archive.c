// SPDX-License-Identifier: Apache-2.0
//
// A layout in a tar. As a source its entry documents are read when it is opened, everything else where it
// lies; as a target it adds oci-layout and index.json behind the blobs.
#include "layout/oci_archive.h"

#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "layout/archive_target.h"
#include "layout/layout_index.h"
#include "layout/layout_read.h"

struct oci_source {
    struct image_store base;
    char *path;
    struct tar_index *tar;
    struct manifest index;
};

static struct oci_source *source_of(struct image_store *store)
{
    return container_of(store, struct oci_source, base);
}

// For the documents that make an archive a layout: if one is not there, it is none.
static char *read_part(const struct oci_source *source, const char *name, size_t max, size_t *ret_len,
                       struct error *err)
{
    char *bytes = archive_file_read(source->tar, name, max, ret_len, err);
    if (!bytes && err->code == ERR_PATH_NOT_FOUND) {
        error_clear(err);
        error_set(err, ERR_REGISTRY_PROTOCOL, "it is not an OCI archive: the file %s is missing", name);
        if (tar_index_size(source->tar, "manifest.json") >= 0)
            error_hint(err, "It looks like a docker-archive: write docker-archive: in front of the path.");
    }
    return bytes;
}

static int load(struct oci_source *source, struct error *err)
{
    size_t version_len = 0, index_len = 0;
    AUTO_FREE char *version =
        read_part(source, LAYOUT_VERSION_FILE, LAYOUT_VERSION_BYTES_MAX, &version_len, err);
    if (!version || layout_index_check_version(version, version_len, err) < 0)
        return -1;
    AUTO_FREE char *index = read_part(source, LAYOUT_INDEX_FILE, MANIFEST_BYTES_MAX, &index_len, err);
    if (!index)
        return -1;
    return layout_index_parse(&source->index, index, index_len, err);
}

static int source_resolve(struct image_store *store, const char *name, const struct monitor *monitor,
                          struct descriptor *ret, struct error *err)
{
    (void)monitor;
    struct oci_source *source = source_of(store);
    char blob[ARCHIVE_REGIONS_NAME_MAX];
    struct digest digest;
    size_t len = 0;
    const struct descriptor *found = layout_index_find(&source->index, name, err);
    if (found) {
        descriptor_copy(ret, found);
        return 0;
    }
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    if (!name || digest_parse(&digest, name, &ignored) < 0)
        return archive_file_wrap(source->path, err);
    archive_regions_blob_name(&digest, blob);
    AUTO_FREE char *bytes = archive_file_read(source->tar, blob, MANIFEST_BYTES_MAX, &len, &ignored);
    if (!bytes || layout_read_descriptor(bytes, len, &digest, ret, &ignored) < 0)
        return archive_file_wrap(source->path, err);
    error_clear(err);
    return 0;
}

static int source_manifest(struct image_store *store, const struct descriptor *descriptor,
                           struct manifest *ret, struct error *err)
{
    struct oci_source *source = source_of(store);
    char name[ARCHIVE_REGIONS_NAME_MAX];
    size_t len = 0;
    archive_regions_blob_name(&descriptor->digest, name);
    AUTO_FREE char *bytes = archive_file_read(source->tar, name, MANIFEST_BYTES_MAX, &len, err);
    if (layout_read_manifest(bytes, len, descriptor, ret, err) < 0)
        return archive_file_wrap(source->path, err);
    return 0;
}

static int64_t source_blob_size(struct image_store *store, const struct digest *digest)
{
    char name[ARCHIVE_REGIONS_NAME_MAX];
    archive_regions_blob_name(digest, name);
    return tar_index_size(source_of(store)->tar, name);
}

static struct reader_at *source_blob_open(struct image_store *store, const struct digest *digest,
                                          struct error *err)
{
    struct oci_source *source = source_of(store);
    char name[ARCHIVE_REGIONS_NAME_MAX];
    archive_regions_blob_name(digest, name);
    return archive_file_blob(source->tar, source->path, name, digest, err);
}

static void source_close(struct image_store *store)
{
    struct oci_source *source = source_of(store);
    manifest_clear(&source->index);
    tar_index_close(source->tar);
    free(source->path);
    free(source);
}

struct image_store *oci_archive_open(const struct roots *roots, const char *path,
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
    struct oci_source *source = mem_new(struct oci_source);
    source->base.ops = &ops;
    source->path = mem_strdup(path);
    source->tar = archive_file_open(roots, path, spool, monitor, err);
    if (source->tar && load(source, err) == 0)
        return &source->base;
    if (source->tar)
        archive_file_wrap(source->path, err);
    source_close(&source->base);
    return NULL;
}

static int check_any(const struct manifest *manifest, struct error *err)
{
    (void)manifest;
    (void)err;
    return 0;
}

static char *keep_name(const char *name, struct error *err)
{
    (void)err;
    return mem_strdup(name);
}

// index gives way to the same with one more child.
static int put_child(struct manifest *index, const struct archive_image *image, const char *name,
                     struct error *err)
{
    struct descriptor child;
    descriptor_init(&child, image->manifest.media_type, &image->manifest.digest,
                    (int64_t)image->manifest.len);
    AUTO_FREE char *text = layout_index_put(index, &child, name, err);
    descriptor_clear(&child);
    if (!text)
        return -1;
    manifest_clear(index);
    return layout_index_parse(index, text, strlen(text), err);
}

static int put_image(struct manifest *index, const struct archive_image *image, struct error *err)
{
    if (image->n_names == 0)
        return put_child(index, image, NULL, err);
    for (size_t i = 0; i < image->n_names; i++)
        if (put_child(index, image, image->names[i], err) < 0)
            return -1;
    return 0;
}

static int complete(struct archive_regions *regions, const struct archive_image *images, size_t n,
                    struct error *err)
{
    struct manifest index;
    int result = layout_index_parse(&index, LAYOUT_INDEX_EMPTY, strlen(LAYOUT_INDEX_EMPTY), err);
    for (size_t i = 0; result == 0 && i < n; i++)
        result = put_image(&index, &images[i], err);
    if (result == 0)
        result = archive_regions_add(regions, LAYOUT_VERSION_FILE, LAYOUT_VERSION_TEXT,
                                     strlen(LAYOUT_VERSION_TEXT), err);
    if (result == 0)
        result = archive_regions_add(regions, LAYOUT_INDEX_FILE, index.bytes, index.len, err);
    manifest_clear(&index);
    return result;
}

static const struct archive_format oci_format = {
    .check = check_any,
    .keeps_manifests = true,
    .name = keep_name,
    .complete = complete,
};

struct image_store *oci_archive_create(const struct roots *roots, const char *path, struct error *err)
{
    return archive_target_create(&oci_format, roots, path, err);
}

struct image_store *oci_archive_stream(struct sink *out)
{
    return archive_target_stream(&oci_format, out);
}
