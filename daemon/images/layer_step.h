// SPDX-License-Identifier: Apache-2.0
//
// Making one layer in two steps: fingerprint ▸ (the loop asks the graph whether this input was packed before) ▸ pack. The
// result lies in the local blob store, leased. With `split`, one layer may become two: then `upper` is the second.
#pragma once

#include "images/images.h"
#include "images/layer_decode.h"
#include "jobs/job.h"
#include "layers/between.h"

struct layer_work {
    struct image_context *context;
    struct layer_spec *spec;       // of what is packed: &whole or &part
    struct layer_spec whole;       // as the job says it, and what lies below; texts are the plan's, readers of contexts its own
    struct between between;
    char *label;                   // `blob` of its events
    struct layer_caller caller;
    int64_t owner_uid; // of the job; -1: by token
    struct digest fingerprint;
    bool stable;
    struct layer_result result;
    bool cached;                   // made before: nothing was packed
    bool leased;
    bool split;                    // `split: "auto"`: dependencies may become a layer of their own
    struct layer_survey survey;
    struct layer_spec part;        // the spec with the part of the survey that is packed; shares all else
    int64_t files, changed;        // of that part
    struct layer_work *upper;      // of a split layer: the application, above this one; owned. Else NULL
    struct layer_work *lower;      // the inverse
    size_t open_parts;
    const struct endpoint *registry; // where the layer goes, if it may go there while it is packed; borrowed, or NULL
    int (*made)(struct layer_work *work, struct job *job, struct error *err); // loop, at the end
    void *plan;
    size_t number;
};

// spec: borrowed, as lower: the specs of the new layers below this one. base: what is known of the image below all of them,
// or NULL. Then the plan fills context, label, split, made, plan, number, registry.
void layer_work_init(struct layer_work *work, const struct layer_spec *spec, const struct layer_below *base,
                     const struct layer_spec *const *lower, size_t n_lower);
// Submits the first step. work stays the plan's and must outlive the job's steps.
void layer_work_start(struct layer_work *work, struct job *job);
// Makes the same blob again, after the cache has lost or damaged it; arg: the work. Worker. ERR_SOURCE_CHANGED if it would be
// another by now.
int layer_work_remake(void *arg, struct step *step, struct error *err);
// Ends the lease, unless layer_work_take_lease gave it away.
void layer_work_clear(struct layer_work *work);
bool layer_work_take_lease(struct layer_work *work);
