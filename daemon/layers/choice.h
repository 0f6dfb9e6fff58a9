// SPDX-License-Identifier: Apache-2.0
//
// The merge of one name: of everything that wants to stand at one path of the image, what stands there. Later
// entries win; directories become one as long as nothing else came in between. Pure, used by the walk.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "layers/tree.h"

struct candidate {
    size_t priority;
    uint32_t origin; // of the directory above that offers it
    bool directory;
    bool hidden;              // an excluded directory that may hold something re-included
    uint8_t type;             // DT_* of a name on disk
    int fd;                   // a directory or file reached through a link, already open, else −1
    const struct tree_op *op; // a path that the spec names, else NULL
    struct tree_node *node;   // the node of op, or of an implied directory; NULL for a name on disk
};

struct candidates {
    struct candidate *items;
    size_t n, capacity;
};

struct candidate *candidates_add(struct candidates *all);
void candidates_add_node(struct candidates *all, struct tree_node *node, uint32_t origin, size_t floor);
void candidates_clear(struct candidates *all); // closes descriptors, keeps the memory

struct choice {
    const struct candidate *file; // what stands there if it is no directory (a LAYER_DELETE too), else NULL
    bool directory;
    bool opaque;  // what it holds below this layer is hidden
    bool removed; // and the directory below is, too: something else stood here before, or nothing
    size_t floor; // only candidates of this priority or above live on in the directory
    const struct candidate *attributes; // who says what the directory looks like; NULL: nobody
};

void choice_make(const struct candidates *all, struct choice *ret);
