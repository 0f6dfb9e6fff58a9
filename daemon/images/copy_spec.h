// SPDX-License-Identifier: Apache-2.0
//
// A copy job, decoded. Pure; any thread.
#pragma once

#include "images/tag_filter.h"
#include "images/target.h"
#include "oci/platform.h"

struct image_context;

struct copy_spec {
    struct location source;
    struct targets targets;
    struct platform *platforms; // empty: everything, byte for byte
    size_t n_platforms;
    bool sparse;                // with platforms: the old index bytes, not all children
    bool force;
    bool referrers;             // take signatures, attestations, SBOMs along
    bool foreign;               // fetch the bytes of foreign layers, too
    bool dry_run;
    bool batch;                 // `tags`: source and targets are repositories
    struct tag_filter tags;
    bool prune;                 // remove tags of the targets that the source lacks …
    struct pattern_list protect; // … but not these
};

int copy_spec_decode(struct copy_spec *ret, const json_t *spec, const struct image_context *context, struct error *err);
void copy_spec_clear(struct copy_spec *spec);
