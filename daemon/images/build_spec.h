// SPDX-License-Identifier: Apache-2.0
//
// A build job, decoded. Pure; any thread.
#pragma once

#include "images/layer_decode.h"
#include "images/layer_edits.h"
#include "images/target.h"

struct image_context;

enum base_tree { BASE_TREE_KNOWN, BASE_TREE_FETCH, BASE_TREE_IGNORE };

struct build_spec {
    struct location base;
    struct platform *platforms;   // at least one: the daemon's own unless said
    size_t n_platforms;
    bool platforms_given;
    bool as_index;                // several platforms: the result is an index
    struct build_layer *layers;
    size_t n_layers;
    struct targets targets;
    json_t *config;               // for all platforms; or NULL
    const json_t *config_bound;   // platform -> edits that count for it, after those for all; borrowed from the job's JSON; or NULL
    const json_t *config_patch;   // likewise borrowed
    const json_t *annotations;    // likewise
    struct layer_edits edits;     // of the base's layers
    int64_t created_s;
    enum base_tree base_tree;
    bool dry_run;
};

int build_spec_decode(struct build_spec *ret, const json_t *spec, const struct image_context *context,
                      struct error *err);
void build_spec_clear(struct build_spec *spec);
