// SPDX-License-Identifier: Apache-2.0
//
// A layer_spec as the room sees it: paths judged, sources looked at, all laid out in one tree.
#pragma once

#include "base/file.h"
#include "layers/layer.h"
#include "layers/tree.h"

// The tree of everything that the spec names, or NULL. Opens each source once to see what it is; errors carry the JSON
// pointer of the entry. tree_free.
struct tree *spec_to_tree(const struct layer_spec *spec, const struct roots *roots, struct error *err);
