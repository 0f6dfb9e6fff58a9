// SPDX-License-Identifier: Apache-2.0
//
// The compression lanes: one thread per core, shared by all packs. A lane takes one block, compresses it, and touches
// nothing else. Blocks of one pack come back in order through its own bounded window, so memory is
// window × block size per pack, whatever the layer's size.
#pragma once

#include <stddef.h>

#include "base/error.h"

struct lanes;

struct lanes *lanes_new(size_t count, struct error *err); // 0: one per core
void lanes_free(struct lanes *lanes);                     // no pack may be left
size_t lanes_count(const struct lanes *lanes);
