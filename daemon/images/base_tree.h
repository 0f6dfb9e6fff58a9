// SPDX-License-Identifier: Apache-2.0
//
// `base_tree` of a build: what the directories and links of the image below the new layers are. Read once for each chain of
// layers and noted, so that the next build on the same base needs no blob.
#pragma once

#include "images/build_spec.h"
#include "images/layer_stack.h"
#include "jobs/job.h"
#include "layers/below.h"

struct base_tree_step {
    struct step base;
    struct image_context *context;
    const struct layer_stack *stack; // borrowed; nobody changes it before done
    enum base_tree how;              // KNOWN: from notes and the blob store; FETCH: from where the layers are
    struct below *below;             // result; NULL: not known, with KNOWN only
    size_t number;                   // the plan's own
    int (*done)(struct base_tree_step *step, struct job *job, struct error *err); // loop; may take the result
    void *plan;
};

struct base_tree_step *base_tree_step_new(struct image_context *context, const struct layer_stack *stack,
                                          enum base_tree how,
                                          int (*done)(struct base_tree_step *, struct job *, struct error *), void *plan);
