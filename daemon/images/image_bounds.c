// SPDX-License-Identifier: Apache-2.0
#include "images/image_bounds.h"

#include <stdlib.h>

#include "base/mem.h"

void image_bounds_init(struct image_bounds *bounds)
{
    *bounds = (struct image_bounds){.manifests = table_new(), .blobs = table_new()};
}

static void free_set(struct table *set)
{
    size_t position = 0;
    for (void *key; set && (key = table_next(set, &position));)
        free(key);
    table_free(set);
}

void image_bounds_fini(struct image_bounds *bounds)
{
    free_set(bounds->manifests);
    free_set(bounds->blobs);
    *bounds = (struct image_bounds){0};
}

static bool add(struct table *set, const struct digest *digest)
{
    if (table_find(set, digest->text))
        return false;
    char *key = mem_strdup(digest->text);
    table_put(set, key, key);
    return true;
}

int image_bounds_manifest(struct image_bounds *bounds, const struct digest *digest, int64_t size,
                          struct error *err)
{
    if (!add(bounds->manifests, digest))
        return 0;
    if (table_count(bounds->manifests) > IMAGE_MANIFESTS_MAX)
        return error_set(err, ERR_TOO_LARGE,
                         "the image has more than %d manifests, with all that refers to it",
                         IMAGE_MANIFESTS_MAX);
    if (size > IMAGE_MANIFEST_BYTES_MAX || (bounds->manifest_bytes += size) > IMAGE_MANIFEST_BYTES_MAX)
        return error_set(err, ERR_TOO_LARGE, "the manifests of the image have more than %d MiB together",
                         IMAGE_MANIFEST_BYTES_MAX >> 20);
    return 1;
}

int image_bounds_blob(struct image_bounds *bounds, const struct digest *digest, struct error *err)
{
    if (!add(bounds->blobs, digest))
        return 0;
    if (table_count(bounds->blobs) > IMAGE_BLOBS_MAX)
        return error_set(err, ERR_TOO_LARGE, "the image has more than %d blobs", IMAGE_BLOBS_MAX);
    return 1;
}
