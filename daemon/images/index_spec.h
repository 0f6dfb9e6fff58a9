// SPDX-License-Identifier: Apache-2.0
//
// An index job, decoded: a new index, or one made from another by adding and removing. Pure; any thread.
#pragma once

#include "images/target.h"
#include "oci/platform.h"

struct image_context;

struct index_item {
    struct location where;
    struct platform platform;    // if has_platform: of the entry; of an index: which child
    bool has_platform;
    const json_t *annotations;   // of the entry; borrowed from the job's JSON, or NULL
};

struct index_pick {              // of `remove`: one of the two
    struct digest digest;
    struct platform platform;
};

struct index_spec {
    struct location base;
    bool has_base;
    struct index_item *items;
    size_t n_items;
    struct index_pick *remove;
    size_t n_remove;
    const json_t *annotations;   // borrowed; null unsets one of the base; or NULL
    struct targets targets;
    bool dry_run;
};

enum { INDEX_ITEMS_MAX = 200 };

int index_spec_decode(struct index_spec *ret, const json_t *spec, const struct image_context *context,
                      struct error *err);
void index_spec_clear(struct index_spec *spec);
