// SPDX-License-Identifier: Apache-2.0
//
// A blob that the store has is used without asking again: the manifest that names it was read with this job's credentials from
// this very repository.
#include "images/layer_fetch.h"

#include "base/mem.h"
#include "blobs/blob_store.h"
#include "jobs/step.h"
#include "layout/image_store.h"

static int pull(const struct endpoint *from, const struct descriptor *blob, struct step *step, struct error *err)
{
    struct registry_scope scope = endpoint_scope(from, step);
    struct blob_writer *writer = blob_store_write(from->context->blobs, &blob->digest, blob->size, err);
    if (!writer)
        return -1;
    int result = registry_blob_pull(&scope, &blob->digest, blob->size, blob_writer_sink(writer), err);
    if (!result)
        result = sink_finish(blob_writer_sink(writer), err);
    blob_writer_free(writer);
    return result;
}

struct reader_at *layer_fetch(const struct endpoint *from, const struct descriptor *blob, bool fresh, struct step *step,
                              struct error *err)
{
    struct blob_store *blobs = from->context->blobs;
    if (!endpoint_is_registry(from))
        return image_store_blob_open(from->store, &blob->digest, err);
    if (!fresh && blob_store_lease(blobs, &blob->digest)) {
        struct reader_at *reader = blob_store_read(blobs, &blob->digest, err);
        blob_store_release(blobs, &blob->digest);
        return reader;
    }
    if (pull(from, blob, step, err))
        return NULL;
    struct reader_at *reader = blob_store_read(blobs, &blob->digest, err); // with a lease of its own
    blob_store_release(blobs, &blob->digest);
    return reader;
}
