// SPDX-License-Identifier: Apache-2.0
//
// A layer_spec as the room sees it: paths judged, sources looked at, all laid out in one tree.
#pragma once

#include <sys/stat.h>

#include "base/file.h"
#include "base/monitor.h"
#include "layers/layer.h"
#include "layers/tree.h"

// The tree of everything that the spec names, or NULL. Opens each source once to see what it is; errors carry
// the JSON pointer of the entry. Blocks. tree_free.
enum spec_tars {
    SPEC_TARS_SKIP,
    SPEC_TARS_NAMES,
    SPEC_TARS_ALL
}; // of tar sources: nothing, all but contents, all
struct tree *spec_to_tree(const struct layer_spec *spec, const struct roots *roots, enum spec_tars tars,
                          struct monitor *monitor, struct error *err);
bool spec_entry_is_tar(const struct layer_entry *entry);
bool spec_has_tars(const struct layer_spec *spec);
// What stands for the tar sources in a fingerprint: their digest, or the state of the file. *ret is zeroed
// for a context.
int spec_tar_state(const struct layer_entry *entry, const struct roots *roots, struct stat *ret,
                   struct error *err);
