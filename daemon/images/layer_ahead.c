// SPDX-License-Identifier: Apache-2.0
//
// The bytes are read back from the cache's file, so a registry that is slow takes nobody's memory and holds nothing up.
#include "images/layer_ahead.h"

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "blobs/blob_store.h"
#include "images/layer_memory.h"
#include "images/upload_journal.h"
#include "jobs/step.h"
#include "registry/blob_ahead.h"

static void opened(void *arg, const char *session)
{
    upload_journal_note(((struct layer_ahead *)arg)->entry, session);
}

static void begin(struct layer_ahead *self)
{
    CLEANUP(error_clear) struct error why = ERROR_INIT;
    self->wanted = false;
    struct reader_at *made = blob_writer_read(self->writer, &why);
    if (made)
        self->ahead = blob_ahead_start(&self->scope, made, opened, self);
    else
        log_debug("a layer is not sent while it is made: %s", why.detail);
}

static int ahead_write(struct sink *sink, const void *bytes, size_t len, struct error *err)
{
    struct layer_ahead *self = container_of(sink, struct layer_ahead, sink);
    if (sink_write(blob_writer_sink(self->writer), bytes, len, err) < 0)
        return -1;
    int64_t size = blob_writer_size(self->writer);
    if (self->wanted && size >= BLOB_AHEAD_FLOOR_BYTES && (self->differs || !self->has_earlier))
        begin(self);
    if (self->ahead)
        blob_ahead_offer(self->ahead, size);
    return 0;
}

void layer_ahead_open(struct layer_ahead *ahead, const struct endpoint *to, struct upload_entry *entry, struct step *step,
                      struct layer_memory *memory, struct blob_writer *writer)
{
    static const struct sink_ops ops = {.write = ahead_write};
    *ahead = (struct layer_ahead){.sink.ops = &ops, .writer = writer, .step = step, .entry = entry};
    ahead->has_earlier = memory->earlier.blob;
    ahead->differs = memory->edited;
    memory->earlier.differs = &ahead->differs;
    if (!entry)
        return;
    ahead->scope = endpoint_scope(to, step);
    ahead->wanted = blob_ahead_allowed(&ahead->scope, ahead->has_earlier);
}

void layer_ahead_close(struct layer_ahead *ahead, bool failed)
{
    if (!ahead->ahead)
        return;
    struct hasher *hasher;
    int64_t hashed = 0;
    AUTO_FREE char *session = blob_ahead_end(ahead->ahead, failed, &ahead->step->monitor, &hasher, &hashed);
    upload_journal_note(ahead->entry, session);
    upload_journal_keep_hash(ahead->entry, hasher, hashed);
}
