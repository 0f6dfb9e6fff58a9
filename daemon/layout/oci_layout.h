// SPDX-License-Identifier: Apache-2.0
//
// OCI image layout directories (OCI image-spec image-layout.md), read and written. Writers of this process
// are serialised per directory and all writers by flock(2) on the layout's `.dray.lock`; index.json is
// replaced atomically, last. Blocking: workers only. A layout is opened for one job; its calls are made by
// one worker at a time unless said. The roots must outlive it.
#pragma once

#include "base/file.h"
#include "base/stream.h"
#include "oci/descriptor.h"
#include "oci/manifest.h"

struct oci_layout;

// Opens an existing layout beneath a root. ERR_PATH_NOT_FOUND, ERR_REGISTRY_PROTOCOL (not a layout).
struct oci_layout *oci_layout_open(const struct roots *roots, const char *path, struct error *err);
// Opens for writing: the directory must be absent (its parent not), empty, or a layout; anything else is
// ERR_CONFLICT. It is made, and made a layout, when the first blob or tag goes into it.
struct oci_layout *oci_layout_create(const struct roots *roots, const char *path, struct error *err);
void oci_layout_close(struct oci_layout *layout); // NULL is fine

// The manifest that a tag names (annotation org.opencontainers.image.ref.name); tag NULL: the only one, else
// "latest". A name of the form sha256:… finds by digest. ERR_IMAGE_NOT_FOUND lists the tags there are.
int oci_layout_resolve(struct oci_layout *layout, const char *tag, struct descriptor *ret, struct error *err);
// Reads and verifies a manifest blob (any thread).
int oci_layout_manifest(struct oci_layout *layout, const struct descriptor *descriptor, struct manifest *ret,
                        struct error *err);
// Any thread. Size on disk, or -1 if it is not there.
int64_t oci_layout_blob_size(struct oci_layout *layout, const struct digest *digest);
// Any thread. Verified against the digest by whoever consumes it, not here.
struct reader_at *oci_layout_blob_open(struct oci_layout *layout, const struct digest *digest,
                                       struct error *err);
// Any thread. A sink whose finish verifies digest and size (-1 unknown), fsyncs and publishes. EEXIST is
// success.
struct sink *oci_layout_blob_sink(struct oci_layout *layout, const struct digest *digest, int64_t size,
                                  struct error *err);
// Points tag (or, if NULL, nothing but the digest) at the manifest in index.json; same tag elsewhere is
// moved. Durable.
int oci_layout_tag(struct oci_layout *layout, const struct descriptor *manifest, const char *tag,
                   struct error *err);
