// SPDX-License-Identifier: Apache-2.0
//
// A check job, decoded. Pure; any thread.
#pragma once

#include "images/target.h"
#include "oci/platform.h"

struct image_context;

struct check_spec {
    struct location source;
    struct platform *platforms; // empty: all
    size_t n_platforms;
    bool deep;                  // read every byte, not only ask for sizes
};

int check_spec_decode(struct check_spec *ret, const json_t *spec, const struct image_context *context,
                      struct error *err);
void check_spec_clear(struct check_spec *spec);
