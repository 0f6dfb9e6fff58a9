// SPDX-License-Identifier: Apache-2.0
//
// What is packed goes to the cache, and at the same time to the registry that the job publishes to, if that may be
// (registry/blob_ahead.h). Where an earlier build of the same sources left its layer, not before this one is known to differ
// from it, or likely to because some of its files were touched but not all: until then it may well be the same, and there
// already. Worker.
#pragma once

#include "base/stream.h"
#include "images/endpoint.h"

struct blob_ahead;
struct blob_writer;
struct layer_memory;
struct step;
struct upload_entry;

struct layer_ahead {
    struct sink sink;          // to pack to; finish and close are not for it
    struct blob_writer *writer;
    struct registry_scope scope;
    struct step *step;
    struct upload_entry *entry; // where the session is journalled
    bool wanted;               // not begun, and may be
    bool has_earlier, differs;
    struct blob_ahead *ahead;
};

// entry: borrowed, or NULL: to the cache alone; named when the layer is packed. Tells the memory whom to tell that the layer
// differs. All is borrowed until layer_ahead_close.
void layer_ahead_open(struct layer_ahead *ahead, const struct endpoint *to, struct upload_entry *entry, struct step *step,
                      struct layer_memory *memory, struct blob_writer *writer);
// Leaves the upload's session, if there is one, in the journal. failed: there is nothing that it could be good for.
void layer_ahead_close(struct layer_ahead *ahead, bool failed);
