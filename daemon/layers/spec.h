// SPDX-License-Identifier: Apache-2.0
//
// A layer_spec as the room sees it: paths judged, sources looked at, all laid out in one tree.
#pragma once

#include <sys/stat.h>

#include "base/file.h"
#include "base/monitor.h"
#include "layers/layer.h"
#include "layers/tree.h"

// What is read of tar sources.
enum spec_tars {
    SPEC_TARS_SKIP,  // nothing: they are left out
    SPEC_TARS_NAMES, // all but contents
    SPEC_TARS_ALL,
};

// The tree of everything that the spec names, or NULL. Opens each source once to see what it is; errors carry
// the JSON pointer of the entry. spool: see unpack_open_spool, borrowed by the tree; -1 unless SPEC_TARS_ALL.
// Blocks. tree_free.
struct tree *spec_to_tree(const struct layer_spec *spec, const struct roots *roots, enum spec_tars tars,
                          int spool, struct monitor *monitor, struct error *err);
bool spec_entry_is_tar(const struct layer_entry *entry);
bool spec_has_tars(const struct layer_spec *spec);
// What stands for the tar sources in a fingerprint: their digest, or the state of the file. *ret is zeroed
// for a context.
int spec_tar_state(const struct layer_entry *entry, const struct roots *roots, struct stat *ret,
                   struct error *err);
