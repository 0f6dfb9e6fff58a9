// SPDX-License-Identifier: Apache-2.0
//
// What is known below one layer of a build where other new layers lie between it and the image that was looked at: what
// those may have changed is not known any more. Judged from their entries alone, so that all layers can be packed at once.
#pragma once

#include "layers/layer.h"

struct between {
    struct layer_below view; // for layer_spec.below
    const struct layer_below *base;
    const struct layer_spec *const *lower;
    size_t n_lower;
};

// Borrows everything. lower: the layers between, in any order; NULL in it: one of unknown contents.
void between_init(struct between *between, const struct layer_below *base, const struct layer_spec *const *lower,
                  size_t n_lower);
