// SPDX-License-Identifier: Apache-2.0
//
// Chooses the implementation of a local place and passes calls on; and the layout directory as one of them.
#include "layout/image_store.h"

#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "layout/docker_archive.h"
#include "layout/oci_archive.h"
#include "layout/oci_layout.h"

struct layout_store {
    struct image_store base;
    struct oci_layout *layout;
};

static struct oci_layout *layout_of(struct image_store *store)
{
    return container_of(store, struct layout_store, base)->layout;
}

static int layout_store_resolve(struct image_store *store, const char *name, const struct monitor *monitor,
                                struct descriptor *ret, struct error *err)
{
    (void)monitor;
    return oci_layout_resolve(layout_of(store), name, ret, err);
}

static int layout_store_manifest(struct image_store *store, const struct descriptor *descriptor,
                                 struct manifest *ret, struct error *err)
{
    return oci_layout_manifest(layout_of(store), descriptor, ret, err);
}

static int64_t layout_store_blob_size(struct image_store *store, const struct digest *digest)
{
    return oci_layout_blob_size(layout_of(store), digest);
}

static struct reader_at *layout_store_blob_open(struct image_store *store, const struct digest *digest,
                                                struct error *err)
{
    return oci_layout_blob_open(layout_of(store), digest, err);
}

static struct sink *layout_store_blob_sink(struct image_store *store, const struct digest *digest,
                                           int64_t size, struct error *err)
{
    return oci_layout_blob_sink(layout_of(store), digest, size, err);
}

static int layout_store_put_manifest(struct image_store *store, const struct manifest *manifest,
                                     struct error *err)
{
    struct sink *sink =
        oci_layout_blob_sink(layout_of(store), &manifest->digest, (int64_t)manifest->len, err);
    if (!sink)
        return -1;
    int result = sink_write(sink, manifest->bytes, manifest->len, err);
    if (result == 0)
        result = sink_finish(sink, err);
    sink_close(sink);
    return result;
}

static int layout_store_tag(struct image_store *store, const struct descriptor *manifest, const char *name,
                            struct error *err)
{
    return oci_layout_tag(layout_of(store), manifest, name, err);
}

static int layout_store_finish(struct image_store *store, struct error *err)
{
    (void)store;
    (void)err;
    return 0;
}

static void layout_store_close(struct image_store *store)
{
    oci_layout_close(layout_of(store));
    free(container_of(store, struct layout_store, base));
}

static struct image_store *layout_store_new(struct oci_layout *layout)
{
    static const struct image_store_ops ops = {
        .resolve = layout_store_resolve,
        .manifest = layout_store_manifest,
        .blob_size = layout_store_blob_size,
        .blob_open = layout_store_blob_open,
        .blob_sink = layout_store_blob_sink,
        .put_manifest = layout_store_put_manifest,
        .tag = layout_store_tag,
        .finish = layout_store_finish,
        .close = layout_store_close,
    };
    if (!layout)
        return NULL;
    struct layout_store *store = mem_new(struct layout_store);
    *store = (struct layout_store){.base = {.ops = &ops}, .layout = layout};
    return &store->base;
}

static struct image_store *refuse_kind(struct error *err)
{
    error_set(err, ERR_INTERNAL, "a registry or scratch was used as a local place of images");
    return NULL;
}

struct image_store *image_store_open(const struct roots *roots, const struct location *location,
                                     const struct archive_spool *spool, const struct monitor *monitor,
                                     struct error *err)
{
    switch (location->kind) {
    case LOCATION_OCI_LAYOUT:
        return layout_store_new(oci_layout_open(roots, location->path, err));
    case LOCATION_OCI_ARCHIVE:
        return oci_archive_open(roots, location->path, spool, monitor, err);
    case LOCATION_DOCKER_ARCHIVE:
        return docker_archive_open(roots, location->path, spool, monitor, err);
    default:
        return refuse_kind(err);
    }
}

struct image_store *image_store_create(const struct roots *roots, const struct location *location,
                                       struct error *err)
{
    switch (location->kind) {
    case LOCATION_OCI_LAYOUT:
        return layout_store_new(oci_layout_create(roots, location->path, err));
    case LOCATION_OCI_ARCHIVE:
        return oci_archive_create(roots, location->path, err);
    case LOCATION_DOCKER_ARCHIVE:
        return docker_archive_create(roots, location->path, err);
    default:
        return refuse_kind(err);
    }
}

struct image_store *image_store_stream(enum location_kind kind, struct sink *out, struct error *err)
{
    switch (kind) {
    case LOCATION_OCI_ARCHIVE:
        return oci_archive_stream(out);
    case LOCATION_DOCKER_ARCHIVE:
        return docker_archive_stream(out);
    default:
        return refuse_kind(err);
    }
}

void image_store_close(struct image_store *store)
{
    if (store)
        store->ops->close(store);
}

static int refuse_call(struct error *err)
{
    return error_set(err, ERR_INTERNAL, "a local place of images was used in the wrong direction");
}

int image_store_resolve(struct image_store *store, const char *name, const struct monitor *monitor,
                        struct descriptor *ret, struct error *err)
{
    return store->ops->resolve ? store->ops->resolve(store, name, monitor, ret, err) : refuse_call(err);
}

int image_store_manifest(struct image_store *store, const struct descriptor *descriptor, struct manifest *ret,
                         struct error *err)
{
    return store->ops->manifest ? store->ops->manifest(store, descriptor, ret, err) : refuse_call(err);
}

int64_t image_store_blob_size(struct image_store *store, const struct digest *digest)
{
    return store->ops->blob_size(store, digest);
}

struct reader_at *image_store_blob_open(struct image_store *store, const struct digest *digest,
                                        struct error *err)
{
    if (store->ops->blob_open)
        return store->ops->blob_open(store, digest, err);
    refuse_call(err);
    return NULL;
}

struct sink *image_store_blob_sink(struct image_store *store, const struct digest *digest, int64_t size,
                                   struct error *err)
{
    if (store->ops->blob_sink)
        return store->ops->blob_sink(store, digest, size, err);
    refuse_call(err);
    return NULL;
}

int image_store_put_manifest(struct image_store *store, const struct manifest *manifest, struct error *err)
{
    return store->ops->put_manifest ? store->ops->put_manifest(store, manifest, err) : refuse_call(err);
}

int image_store_tag(struct image_store *store, const struct descriptor *manifest, const char *name,
                    struct error *err)
{
    return store->ops->tag ? store->ops->tag(store, manifest, name, err) : refuse_call(err);
}

int image_store_finish(struct image_store *store, struct error *err)
{
    return store->ops->finish ? store->ops->finish(store, err) : refuse_call(err);
}
