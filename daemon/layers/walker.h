// SPDX-License-Identifier: Apache-2.0
//
// The state of one walk: the stack of frames and the path. For layers/walk and layers/walk_visit only.
#pragma once

#include <sys/types.h>

#include "layers/choice.h"
#include "layers/ignore.h"
#include "layers/mode.h"
#include "layers/source.h"
#include "layers/walk.h"
#include "layers/xattrs.h"

enum {
    WALKER_OPEN_FRAMES = 48, // deeper frames borrow the descriptor of the last one that keeps its own
    WALKER_FOLLOW_MAX = 40,  // links to directories within each other, as in path_resolution(7)
    WALKER_PATH_ROOM = WALK_PATH_MAX + 16,
    WALKER_SHOWN_ROOM = 2 * WALK_PATH_MAX + 16,
};

// Where names of a frame come from: a path of the spec (node set), or a directory on disk.
struct origin {
    struct tree_node *node;
    const struct layer_entry *entry;
    size_t priority;
    int fd; // of the directory, or of one above it that `rel` counts from
    bool owns_fd;
    size_t rel;   // what is opened beneath fd begins here in the walker's path
    size_t mount; // the path below the entry's `from` begins here in the walker's path
    dev_t dev;
    ino_t ino;
    bool remote;  // its time stamps come from another machine
    int followed; // links followed on the way here; the descriptor of such a directory is always kept
    bool pinned;  // reached through a link itself
    struct ignore *ignore; // owned; NULL without rules
};

// A directory of the image.
struct frame {
    struct origin *origins;
    size_t n_origins;
    struct source_names names; // of all origins, sorted
    size_t next;               // the first name not looked at
    size_t path_len;
    size_t floor;          // what has a lower priority is hidden
    bool pending;          // its own entry is written as soon as something below it is
    bool dependency;       // and all below it: belongs to LAYER_DEPENDENCIES
    bool gone_below;       // nothing of the image below shows through in it
    struct walk_item item; // its own entry
    struct xattrs xattrs;  // of its own entry
};

struct walker {
    const struct layer_spec *spec;
    struct tree *tree;
    const struct roots *roots;
    enum walk_flags flags;
    struct monitor *monitor;
    walk_visit *visit;
    void *context;
    struct mode_rule *modes; // one per entry of the spec
    struct frame *frames;
    size_t n_frames, capacity;
    struct candidates candidates;
    bool dependency; // what is visited now belongs to LAYER_DEPENDENCIES
    char path[WALKER_PATH_ROOM];
    size_t path_len;
    char shown[WALKER_SHOWN_ROOM];
};

int walker_init(struct walker *walker, const struct layer_spec *spec, struct error *err);
void walker_fini(struct walker *walker);
struct frame *walker_top(struct walker *walker); // NULL when the walk is done
// Puts a name behind the path of a frame; ERR_UNSUPPORTED_FILE if that is too long.
int walker_set_name(struct walker *walker, const struct frame *frame, const char *name, struct error *err);
// What the walker's path names, relative to the entry's `from`.
const char *walker_below(const struct walker *walker, const struct origin *origin);
// The path on disk of what the walker's path names; valid until the next call.
const char *walker_show(struct walker *walker, const struct origin *origin);
// A new frame for the directory at the walker's path. The origins are taken over, even on failure; each open
// one of them is listed, together with the children of the nodes. The frame's item is the caller's to fill.
struct frame *walker_push(struct walker *walker, struct origin *origins, size_t n_origins, size_t floor,
                          struct error *err);
void walker_pop(struct walker *walker);
void walker_end_origins(struct origin *origins, size_t n_origins);
