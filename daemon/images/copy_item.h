// SPDX-License-Identifier: Apache-2.0
//
// One image or index copied from one place to others: all that a plain copy job does, and one item of a batch. Reads the source's
// manifests – the root, then children level by level, each digest once, then what refers to them – adds every blob they name to
// the publish plan and seals it when the last manifest is in. Loop only.
#pragma once

#include "images/copy_spec.h"
#include "images/image_bounds.h"
#include "images/manifest_tree.h"
#include "images/publish.h"

struct referring_tag {
    char *tag;
    struct digest digest;
};

struct copy_item {
    struct job *job;
    const struct copy_spec *spec;  // borrowed
    struct targets targets;        // borrowed from whoever made the item
    struct endpoint source;
    struct publish *publish;
    struct manifest_tree tree;
    struct digest root;
    char *pin;                     // the digest that the source resolved to, for a later attempt
    size_t open;                   // reading steps under way
    struct image_bounds bounds;    // manifests that were asked for, blobs that were added
    size_t n_referred;             // manifests of the tree whose referrers were asked for
    int n_rounds;                  // that found something
    struct referring_tag *tags;    // cosign's
    size_t n_tags;
    bool sealed;
    bool in_batch;                 // failures stay in the item
    bool failed;
    struct error error;            // of a failed item
};

struct copy_item_options {
    struct job *job;
    struct image_context *context;
    const struct copy_spec *spec;
    const struct location *source;
    const struct targets *targets; // must outlive the item
    const json_t *auth;
    struct credential_set *auth_set;
    bool in_batch;
};

struct copy_item *copy_item_new(const struct copy_item_options *options);
void copy_item_free(struct copy_item *item);
void copy_item_start(struct copy_item *item);
int copy_item_advance(struct copy_item *item, struct error *err);
// Nothing is under way any more, for good or ill.
bool copy_item_done(const struct copy_item *item);
