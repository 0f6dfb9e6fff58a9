// SPDX-License-Identifier: Apache-2.0
#include "images/layer_open.h"

#include "base/mem.h"
#include "blobs/blob_store.h"
#include "images/layer_fetch.h"
#include "jobs/step.h"

enum { HASH_BUFFER = 256 << 10 };

// Layers from elsewhere were verified on their way; those of a layout are now.
static int verify(struct reader_at *reader, const struct descriptor *blob, struct monitor *monitor, struct error *err)
{
    struct hasher *hasher = hasher_new(blob->digest.algorithm);
    AUTO_FREE char *bytes = mem_alloc(HASH_BUFFER);
    struct digest digest = {0};
    int64_t offset = 0;
    ssize_t got = 0;
    while (!monitor_check(monitor, err) && (got = reader_at_read(reader, bytes, HASH_BUFFER, offset, err)) > 0) {
        hasher_update(hasher, bytes, (size_t)got);
        offset += got;
    }
    hasher_finish(hasher, &digest);
    hasher_free(hasher);
    if (err->code != ERR_NONE)
        return -1;
    if (digest_equal(&digest, &blob->digest))
        return 0;
    return error_set(err, ERR_DIGEST_MISMATCH, "the content of the layer %s is not what its name says",
                     blob->digest.text);
}

struct reader_at *layer_open(const struct stack_layer *layer, struct blob_store *blobs, struct step *step,
                             struct error *err)
{
    if (!layer->from && !layer->leased_in) {
        error_set(err, ERR_MANIFEST_UNSUPPORTED, "the foreign layer %s lies nowhere that can be read",
                  layer->descriptor.digest.text);
        return NULL;
    }
    if (!layer->from)
        return blob_store_read(blobs, &layer->descriptor.digest, err);
    struct reader_at *reader = layer_fetch(layer->from, &layer->descriptor, false, step, err);
    if (!reader || endpoint_is_registry(layer->from) || !verify(reader, &layer->descriptor, &step->monitor, err))
        return reader;
    reader_at_close(reader);
    return NULL;
}
