// SPDX-License-Identifier: Apache-2.0
//
// The layers of one platform of a result, bottom first: what each is and where its bytes lie. Edits keep it in step with the
// image config: layer n of the stack is diff_id n. Loop only.
#pragma once

#include "images/endpoint.h"
#include "oci/image_config.h"

struct blob_store;
struct layer_work;

struct stack_layer {
    struct descriptor descriptor;
    struct digest diff_id;
    struct endpoint *from;   // borrowed; NULL: the local blob store has it, or (foreign layers) nobody needs it
    struct blob_store *leased_in; // where the stack holds a lease of it; or NULL
    struct layer_work *work; // how this job made it, borrowed; or NULL
    bool of_base;            // came with the base, not made by this job
    const char *how_made;    // "built" or "cached"; NULL: taken as it is
    char *label;             // `blob` of its events
};

struct layer_stack {
    struct stack_layer *items;
    size_t count;
};

enum { STACK_LAYERS_MAX = 1000 };

// Copies the descriptor. Returns the new layer, borrowed until the next change.
struct stack_layer *layer_stack_append(struct layer_stack *stack, const struct descriptor *descriptor,
                                       const struct digest *diff_id, struct endpoint *from);
// All layers of an image; diff_ids from its config.
int layer_stack_append_image(struct layer_stack *stack, const struct manifest *manifest,
                             const struct image_config *config, struct endpoint *from, struct error *err);
// Takes layers [first, first + count) out.
void layer_stack_remove(struct layer_stack *stack, size_t first, size_t count);
void layer_stack_clear(struct layer_stack *stack);
