// SPDX-License-Identifier: Apache-2.0
//
// The step that checks one blob where it lies: that it is there and has its size; deep: its digest, and of a layer that it
// unpacks to its diff_id and every entry can be read. What it finds wrong is a result, not a failure of the step.
#pragma once

#include "images/endpoint.h"
#include "jobs/job.h"

struct check_step {
    struct step base;
    struct endpoint *endpoint;   // borrowed
    struct descriptor blob;
    struct digest diff_id;       // of a layer, if known: to be compared
    bool is_layer, deep;
    struct error finding;        // result; ERR_NONE: all is well
    void (*checked)(struct check_step *step, struct job *job); // loop
    void *plan;
};

struct check_step *check_step_new(struct endpoint *endpoint, const struct descriptor *blob, bool deep,
                                  void (*checked)(struct check_step *step, struct job *job), void *plan);
