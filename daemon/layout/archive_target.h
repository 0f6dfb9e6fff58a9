// SPDX-License-Identifier: Apache-2.0
//
// A tar archive of blobs while it is written, for both archive formats. Into a file: every blob gets its place when its sink is
// opened (its size is known), so blobs are written in parallel and nothing is spooled; the file appears by rename in finish. Into
// a stream: one blob after the other. Private to this room.
#pragma once

#include "layout/image_store.h"

struct archive_target;

// An image that was tagged.
struct archive_image {
    struct manifest manifest;
    char **names;
    size_t n_names;
};

// What a format adds.
struct archive_format {
    // Judges a manifest before it is taken.
    int (*check)(const struct manifest *manifest, struct error *err);
    bool keeps_manifests; // as blobs
    // Checks or converts a name that is not NULL; caller frees.
    char *(*name)(const char *name, struct error *err);
    // Adds the files that make the archive one of its format.
    int (*complete)(struct archive_target *target, const struct archive_image *images, size_t n, struct error *err);
};

struct image_store *archive_target_create(const struct archive_format *format, const struct roots *roots,
                                          const char *path, struct error *err);
struct image_store *archive_target_stream(const struct archive_format *format, struct sink *out);

// For complete:
int archive_target_add(struct archive_target *target, const char *name, const void *bytes, size_t len,
                       struct error *err);
bool archive_target_has(struct archive_target *target, const struct digest *digest);

enum { ARCHIVE_BLOB_NAME_MAX = 160 };
void archive_target_blob_name(const struct digest *digest, char ret[ARCHIVE_BLOB_NAME_MAX]);
