// SPDX-License-Identifier: Apache-2.0
//
// Removing tags of the targets that the source lacks, after all that it has was copied. Protected tags stay, and so do those
// that only carry what refers to an image. Loop only.
#pragma once

#include "images/copy_item.h"

struct prune;

// source_tags: all tags of the source. Submits one step for each target.
struct prune *prune_start(const struct copy_item_options *options, const json_t *source_tags);
bool prune_complete(const struct prune *prune);
size_t prune_failures(const struct prune *prune);
json_t *prune_rows(const struct prune *prune); // [{ref, state, error}], new reference
void prune_free(struct prune *prune);          // NULL is fine
