// SPDX-License-Identifier: Apache-2.0
//
// The manifests of an image, read one by one in any order: found by digest, put in order, converted. Loop only.
#pragma once

#include "base/table.h"
#include "images/target.h"
#include "oci/manifest.h"

struct manifest_tree {
    struct manifest **items;   // each on its own, so that pointers stay
    size_t count;
    struct table *by_digest;
};

void manifest_tree_init(struct manifest_tree *tree);
void manifest_tree_fini(struct manifest_tree *tree);
// Moves the manifest in; NULL if its digest is there already (it is cleared then).
struct manifest *manifest_tree_add(struct manifest_tree *tree, struct manifest *manifest);
struct manifest *manifest_tree_find(const struct manifest_tree *tree, const struct digest *digest);
// What publish_seal wants: a new array, children before parents, with what the targets' formats ask for converted. Sets
// roots[t] for each target from the one root. Moves the manifests out of the tree.
int manifest_tree_seal(struct manifest_tree *tree, const struct digest *root, const struct targets *targets,
                       struct manifest **ret, size_t *ret_count, size_t *roots, struct error *err);
