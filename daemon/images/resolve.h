// SPDX-License-Identifier: Apache-2.0
//
// The step that reads one manifest – and, where wanted, its config – from an endpoint. What it found belongs to the step until
// the plan takes it in `found`.
#pragma once

#include "images/endpoint.h"
#include "jobs/job.h"

struct resolve_step {
    struct step base;
    struct endpoint *endpoint;      // borrowed
    struct descriptor expected;     // size and digest to check, if has_expected
    bool has_expected;
    bool want_config;               // of an image manifest
    bool artifacts_too;             // with want_config: a manifest that is no image is fine, and has none
    char *reference;                // a tag other than the one that the location names; owned, or NULL
    size_t number;                  // the plan's own
    // result
    struct manifest manifest;
    char *config;
    size_t config_len;
    int (*found)(struct resolve_step *step, struct job *job, struct error *err); // loop
    // Loop, after the last failed run: 0 if the plan goes on. May be NULL.
    int (*failed)(struct resolve_step *step, struct job *job, const struct error *err);
    void *plan;
};

// expected: NULL for what the endpoint's location names.
struct resolve_step *resolve_step_new(struct endpoint *endpoint, const struct descriptor *expected, bool want_config,
                                      int (*found)(struct resolve_step *step, struct job *job, struct error *err),
                                      void *plan);
