// SPDX-License-Identifier: Apache-2.0
//
// A local place of images, whichever format it has: layout directory, OCI archive, docker-archive, or an
// archive that streams out. Who copies needs to know no more than this. Blocking: workers only.
//
// Threads: resolve, manifest, blob_size, blob_open and blob_sink from any thread; the other calls by one
// worker at a time. The order for a target is: blobs in any order and in parallel, then manifests (children
// before their index), then tags, then finish. Nothing of an archive exists before finish; a layout directory
// is complete after each tag.
#pragma once

#include "base/file.h"
#include "base/monitor.h"
#include "base/stream.h"
#include "layout/archive_file.h"
#include "oci/location.h"
#include "oci/manifest.h"

struct image_store {
    const struct image_store_ops *ops;
};

// Members that a kind cannot serve are NULL and answered with ERR_INTERNAL.
struct image_store_ops {
    int (*resolve)(struct image_store *store, const char *name, const struct monitor *monitor,
                   struct descriptor *ret, struct error *err);
    int (*manifest)(struct image_store *store, const struct descriptor *descriptor, struct manifest *ret,
                    struct error *err);
    int64_t (*blob_size)(struct image_store *store, const struct digest *digest);
    struct reader_at *(*blob_open)(struct image_store *store, const struct digest *digest, struct error *err);
    struct sink *(*blob_sink)(struct image_store *store, const struct digest *digest, int64_t size,
                              struct error *err);
    int (*put_manifest)(struct image_store *store, const struct manifest *manifest, struct error *err);
    int (*tag)(struct image_store *store, const struct descriptor *manifest, const char *name,
               struct error *err);
    int (*finish)(struct image_store *store, struct error *err);
    void (*close)(struct image_store *store);
};

// Opens what is there, for reading. location must be of a local kind; roots must outlive the store. spool
// (may be NULL): where archives that are compressed as a whole are unpacked. monitor (may be NULL) is looked
// at during this call only.
struct image_store *image_store_open(const struct roots *roots, const struct location *location,
                                     const struct archive_spool *spool, const struct monitor *monitor,
                                     struct error *err);
// Opens a target. A layout directory must be absent, empty or a layout (ERR_CONFLICT); an archive is replaced
// by finish.
struct image_store *image_store_create(const struct roots *roots, const struct location *location,
                                       struct error *err);
// An archive (LOCATION_OCI_ARCHIVE or LOCATION_DOCKER_ARCHIVE) that goes into out while it is made; out stays
// the caller's and is not finished here. One blob at a time, and each only once: after a failure the stream
// cannot be saved.
struct image_store *image_store_stream(enum location_kind kind, struct sink *out, struct error *err);
void image_store_close(
    struct image_store *store); // NULL is fine; an archive that was not finished leaves nothing

// The manifest that a name means; NULL: the only one, else "latest". ERR_IMAGE_NOT_FOUND lists the names
// there are. Of a docker-archive, which has no manifests, one is made up: Docker's, over the files as they
// lie in the archive; compressed layers are hashed for it, while monitor (may be NULL) is looked at. Its
// blobs are known after this call.
int image_store_resolve(struct image_store *store, const char *name, const struct monitor *monitor,
                        struct descriptor *ret, struct error *err);
// Reads and verifies. ERR_IMAGE_NOT_FOUND if it is not there.
int image_store_manifest(struct image_store *store, const struct descriptor *descriptor, struct manifest *ret,
                         struct error *err);
int64_t image_store_blob_size(struct image_store *store, const struct digest *digest); // -1: not there
// ERR_BLOB_UNKNOWN. Whoever consumes the bytes verifies them. Readers may outlive the store.
struct reader_at *image_store_blob_open(struct image_store *store, const struct digest *digest,
                                        struct error *err);
// finish of the sink verifies digest and size. Archives need the size; it may be -1 for a layout directory.
struct sink *image_store_blob_sink(struct image_store *store, const struct digest *digest, int64_t size,
                                   struct error *err);
// Writes a manifest or index. ERR_MANIFEST_UNSUPPORTED if the format cannot hold it: an index or an artifact
// in a docker-archive.
int image_store_put_manifest(struct image_store *store, const struct manifest *manifest, struct error *err);
// name NULL: without a name. Of a docker-archive the name is a reference.
int image_store_tag(struct image_store *store, const struct descriptor *manifest, const char *name,
                    struct error *err);
int image_store_finish(struct image_store *store, struct error *err); // durable afterwards
