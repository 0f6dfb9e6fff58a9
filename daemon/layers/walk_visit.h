// SPDX-License-Identifier: Apache-2.0
//
// From a decided name to the item that the visitor sees: opens what must be opened, applies the rules of
// owner, mode and time, and writes the entries of directories that were waiting for their first content. For
// layers/walk only.
#pragma once

#include "layers/walker.h"

// What stands at the walker's path and is no directory.
int walk_visit_file(struct walker *walker, const struct candidate *candidate, struct error *err);
int walk_visit_opaque(struct walker *walker, struct error *err);
// Fills the item of the topmost frame and visits it, or leaves it pending: what the sources, the spec and the
// image below say of the directory (see layers/layer.h); no entry at all where nobody knows. st: of the
// directory on disk, or NULL. gone: the image below has no directory here. ERR_CONFLICT if it has a link.
int walk_visit_directory(struct walker *walker, const struct choice *choice, const struct stat *st, bool gone,
                         struct error *err);
