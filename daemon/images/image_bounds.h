// SPDX-License-Identifier: Apache-2.0
//
// How much of an image one job takes in, and what of it was seen before: each digest counts once, and what is
// too much is refused before it is fetched. Without these bounds an index of a few kilobytes could name a
// billion ways through a hundred documents, or gigabytes of manifests. Loop only.
#pragma once

#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/table.h"

enum {
    IMAGE_MANIFESTS_MAX = 10000,
    IMAGE_BLOBS_MAX = 10000,
    IMAGE_REFERRERS_DEPTH_MAX = 8,      // a signature of an attestation of an SBOM …
    IMAGE_MANIFEST_BYTES_MAX = 6 << 20, // of all together; they are kept in memory until they are published
};

struct image_bounds {
    struct table *manifests, *blobs; // digest ▸ itself
    int64_t manifest_bytes;
};

void image_bounds_init(struct image_bounds *bounds);
void image_bounds_fini(struct image_bounds *bounds);
// 1: new, and within the bounds. 0: seen before. -1: ERR_TOO_LARGE. size: what its descriptor says, 0 if
// nobody did.
int image_bounds_manifest(struct image_bounds *bounds, const struct digest *digest, int64_t size,
                          struct error *err);
int image_bounds_blob(struct image_bounds *bounds, const struct digest *digest, struct error *err);
