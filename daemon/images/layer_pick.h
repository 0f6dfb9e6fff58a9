// SPDX-License-Identifier: Apache-2.0
//
// `remove_layers` of a build job: layers named by digest, by index or by a regular expression over `created_by`. Pure.
#pragma once

#include "base/digest.h"
#include "images/layer_stack.h"
#include "images/pattern.h"

struct layer_pick {
    struct digest digest;    // all-zero: not by digest
    int64_t index;           // -1: not by index; counts from the bottom, as the base has them
    struct pattern created_by;
};

enum { LAYER_PICKS_MAX = 120 };

// array: the member at `pointer`; NULL is fine.
int layer_picks_decode(struct layer_pick **ret, size_t *ret_count, const json_t *array, const char *pointer,
                       struct error *err);
void layer_picks_free(struct layer_pick *picks, size_t count);
// Sets marks[i] for each layer of the stack that a pick names, and hits[k] for each pick that named one.
void layer_picks_mark(const struct layer_pick *picks, size_t count, const struct layer_stack *stack,
                      const struct image_config *config, bool *marks, bool *hits);
// Takes the marked layers out of stack and config alike.
void layer_picks_remove(struct layer_stack *stack, struct image_config *config, const bool *marks);
// A pick that named no layer anywhere: ERR_INVALID_REQUEST with its pointer, naming the layers that there are.
int layer_pick_missing(const struct layer_pick *pick, size_t number, const struct layer_stack *stack,
                       struct error *err);
