// SPDX-License-Identifier: Apache-2.0
//
// What build.c (the order of a build) and build_assemble.c (configs, manifests, index) share. Private to them.
#pragma once

#include "images/build_spec.h"
#include "images/layer_step.h"
#include "images/publish.h"
#include "oci/image_config.h"

// One platform of the result.
struct build_variant {
    const struct platform *platform;
    struct manifest base;          // of the base image; not set for scratch
    struct image_config config;    // of the base, then edited
    bool resolved;
    char *config_text;             // once assembled
    struct descriptor config_descriptor;
};

struct build_plan {
    struct job *job;
    struct image_context *context;
    struct build_spec spec;
    struct credential_set *auth;
    struct endpoint base;
    struct manifest root;          // an index that the base reference named
    struct publish *publish;
    struct build_variant *variants;
    size_t n_resolved;
    struct layer_work *layers;     // one per member of spec.layers
    size_t n_made;
    bool base_announced, sealed;
};

bool build_layer_applies(const struct build_layer *layer, const struct platform *platform);
// Adds the new layers and configs to the publish plan and seals it.
int build_assemble(struct build_plan *plan, struct error *err);
