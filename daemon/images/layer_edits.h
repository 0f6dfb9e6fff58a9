// SPDX-License-Identifier: Apache-2.0
//
// What a build job does to layers that are there already: remove_layers, rebase, flatten, recompress. Decoded; pure.
#pragma once

#include "base/file.h"
#include "images/layer_pick.h"
#include "layers/layer.h"
#include "oci/location.h"

enum flatten { FLATTEN_NONE, FLATTEN_ABOVE_BASE, FLATTEN_ALL };

struct layer_edits {
    struct layer_pick *remove;
    size_t n_remove;
    bool rebase;
    struct location from, onto;    // of the rebase; each only if has_…: else the base annotations tell
    bool has_from, has_onto;
    enum flatten flatten;
    bool recompress;
    enum layer_algorithm algorithm; // of recompress, and of the layer that flatten makes
    int level;
};

// Reads the members from a build job's reader. Local paths must lie under a build root.
void layer_edits_decode(struct layer_edits *ret, struct json_reader *r, const struct roots *build_roots);
void layer_edits_clear(struct layer_edits *edits);
