// SPDX-License-Identifier: Apache-2.0
//
// What the files of a build share: build.c (the order), build_below.c (what lies below new layers),
// build_layers.c (what the layers of each platform are),
// build_assemble.c (configs, manifests, index). Private to them.
#pragma once

#include "images/base_tree.h"
#include "images/blob_find.h"
#include "images/build_spec.h"
#include "images/layer_stack.h"
#include "images/layer_step.h"
#include "images/publish.h"
#include "images/rebase.h"
#include "images/reshape.h"

// One platform of the result.
struct build_variant {
    const struct platform *platform;
    struct image_config config;    // of the base, then edited
    struct layer_stack stack;
    struct below *below;           // what is known of the image below the new layers; NULL: nothing
    struct layer_work *works;      // its new layers, by number: a row of the plan's works
    struct reshape reshape;        // flatten, then recompress
    const struct digest *base_digest; // of the manifest that it stands on, for its annotation; NULL: scratch
    char *config_text;             // once assembled
    struct descriptor config_descriptor;
};

// A layer that the job names by digest: where it was found.
struct found_blob {
    struct endpoint *place;        // NULL: nowhere, which is fine for a foreign layer
    int64_t size;
};

enum build_stage { BUILD_BASE, BUILD_REBASE, BUILD_BELOW, BUILD_LAYERS, BUILD_FLATTEN, BUILD_RECOMPRESS, BUILD_SEALED };

struct build_plan {
    struct job *job;
    struct image_context *context;
    struct build_spec spec;
    struct credential_set *auth;
    struct endpoint base;
    struct platform_set base_set;  // not of scratch
    struct rebase rebase;
    struct publish *publish;
    struct build_variant *variants;
    struct layer_work *works;      // rows of one per member of spec.layers that is to be packed; see build_begin_layers
    const struct layer_spec **lower; // the specs of spec.layers, NULL for blobs
    size_t n_examining;            // steps that look at the base
    struct found_blob *found;      // one per member of spec.layers that is a blob
    size_t n_begun, n_made;        // of both
    bool looking;                  // for blobs
    enum build_stage stage;
};

bool build_layer_applies(const struct build_layer *layer, const struct platform *platform);
// The order of layers: base ▸ rebase and removal ▸ new layers.
int build_take_base(struct build_plan *plan, struct error *err);
int build_edit_base(struct build_plan *plan, struct error *err);
// Does what the new layers become depend on the base? Else they are packed beside everything that is done with it.
bool build_needs_below(const struct build_plan *plan);
void build_examine_base(struct build_plan *plan); // done when n_examining is 0
// Platforms with the same below share a row of works.
void build_begin_layers(struct build_plan *plan);
void build_look_for_blobs(struct build_plan *plan); // once destinations are open and the base is known
int build_add_layers(struct build_plan *plan, struct error *err);
// Hands the blobs of the layers that are known now to the publish plan.
void build_announce(struct build_plan *plan, bool exact);
// flatten and recompress: once the layers are complete.
void build_begin_flatten(struct build_plan *plan);
void build_begin_recompress(struct build_plan *plan);
bool build_reshaped(const struct build_plan *plan);
// Makes configs, manifests and index and seals the publish plan.
int build_assemble(struct build_plan *plan, struct error *err);
