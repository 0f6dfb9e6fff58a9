// SPDX-License-Identifier: Apache-2.0
//
// Little changed, little work: after a pack, the digest of the blob and the index of its blocks are noted under the lineage of
// the layer; the next pack of that lineage takes unchanged blocks from there. Worker.
#pragma once

#include "images/images.h"
#include "layers/layer.h"

// What a survey tells of a layer: its files, and how many of them have changed since layer_memory_time.
struct layer_edit {
    int64_t files, changed;
};

struct layer_memory {
    struct digest lineage;
    struct layer_earlier earlier;
    bool edited;       // the layer is hardly what it was: files have come, gone or changed, but not all, as a fresh checkout does
    int64_t files, began_ms;
    void *note;
};

// When the layer of this lineage was packed the last time, Unix time in milliseconds; 0: it is not known.
int64_t layer_memory_time(const struct image_context *context, const struct layer_caller *caller, const struct layer_spec *spec);
// Never fails: what cannot be found again is compressed again. Sets spec->earlier and asks for the new index; both the spec and
// the memory last until layer_memory_close.
void layer_memory_open(struct layer_memory *memory, const struct image_context *context, const struct layer_caller *caller,
                       const struct layer_edit *edit, struct layer_spec *spec);
// Notes what was made.
void layer_memory_keep(const struct layer_memory *memory, const struct image_context *context,
                       const struct layer_result *made);
void layer_memory_close(struct layer_memory *memory);
