// SPDX-License-Identifier: Apache-2.0
//
// The step that asks a repository what refers to some manifests: by the referrers API or its fallback tag (distribution-spec
// "Listing Referrers"), and – as cosign does it – by tags sha256-<hex>.sig, .att and .sbom.
#pragma once

#include "images/endpoint.h"
#include "jobs/job.h"

struct referrers_step {
    struct step base;
    struct endpoint *endpoint;   // borrowed; of a registry
    struct digest *subjects;     // owned
    size_t n_subjects;
    // result
    json_t *descriptors;         // array of those that refer to one of the subjects
    json_t *tags;                // array of texts
    int (*found)(struct referrers_step *step, struct job *job, struct error *err); // loop
    int (*failed)(struct referrers_step *step, struct job *job, const struct error *err);
    void *plan;
};

// Takes the array of subjects.
struct referrers_step *referrers_step_new(struct endpoint *endpoint, struct digest *subjects, size_t n_subjects,
                                          void *plan);
