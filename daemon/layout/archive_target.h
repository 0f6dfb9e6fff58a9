// SPDX-License-Identifier: Apache-2.0
//
// A tar archive of blobs as a target, for both archive formats. The file appears by rename in finish. Private
// to this room.
#pragma once

#include "layout/archive_regions.h"
#include "layout/image_store.h"

// A manifest that was tagged.
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
    // The name as it is kept, or NULL if it is none for this format; caller frees.
    char *(*name)(const char *name, struct error *err);
    // Adds the files that make the archive one of its format.
    int (*complete)(struct archive_regions *regions, const struct archive_image *images, size_t n,
                    struct error *err);
};

struct image_store *archive_target_create(const struct archive_format *format, const struct roots *roots,
                                          const char *path, struct error *err);
struct image_store *archive_target_stream(const struct archive_format *format, struct sink *out);
