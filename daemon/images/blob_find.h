// SPDX-License-Identifier: Apache-2.0
//
// The step that looks for an existing blob – a layer that a job names by digest – in the places where it may lie, one after
// the other, and learns its size.
#pragma once

#include "images/endpoint.h"
#include "jobs/job.h"

struct blob_find {
    struct step base;
    struct digest digest;
    int64_t size;                // wanted; -1: any. Then what it is
    struct endpoint **places;    // owned array of borrowed endpoints, open
    size_t n_places;
    struct endpoint *found;      // result; NULL: nowhere
    size_t number;               // the plan's own
    int (*done)(struct blob_find *find, struct job *job, struct error *err); // loop
    void *plan;
};

struct blob_find *blob_find_new(const struct digest *digest, int64_t size, struct endpoint **places, size_t n_places,
                                int (*done)(struct blob_find *find, struct job *job, struct error *err), void *plan);
