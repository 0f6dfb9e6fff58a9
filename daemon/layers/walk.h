// SPDX-License-Identifier: Apache-2.0
//
// The walk: everything a spec names, merged into one tree of the image and visited in one fixed order – a
// directory before what it holds, names of one directory in byte order, whiteouts of a directory first. Of
// several sources for one path the later entry wins; directories of one path become one. Memory is the names
// of the directories on the way down, so it does not grow with the tree. Used by the pack (which reads the
// files) and by the fingerprint (which does not).
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "base/monitor.h"
#include "layers/layer.h"
#include "layers/tree.h"
#include "layers/xattrs.h"

enum walk_kind { WALK_DIRECTORY, WALK_FILE, WALK_SYMLINK, WALK_WHITEOUT, WALK_OPAQUE, WALK_SPECIAL };

enum { WALK_PATH_MAX = 4096 };

// One thing that goes into the layer. Borrowed by the visitor for the length of its call.
struct walk_item {
    enum walk_kind kind;
    const char *path;                 // in the image, relative: "app/index.js". Of a whiteout: "etc/.wh.motd"
    const struct layer_entry *entry;  // the rules; NULL for a parent that no entry names
    uint32_t mode;                    // permission bits by rule
    int64_t uid, gid, mtime_s;        // by rule
    int64_t size;                     // of a file
    const char *target;               // of a symlink
    const void *data;                 // an inline file's bytes
    const struct tree_member *member; // of a tar, else NULL
    const struct xattrs *xattrs;      // the listed extended attributes that it has (WALK_READ)
    int fd;                // a file on disk, open at its start (WALK_READ), or the spool of a tar; else −1
    const struct stat *st; // of the file on disk; NULL if it is none
    bool dependency;       // belongs to LAYER_DEPENDENCIES
    bool lazy;             // a directory that has an entry only because of what is below it
    bool slow_clock;       // st's time stamps come from another machine
    const char *shown;     // where it came from, for problems
};

enum walk_flags { WALK_READ = 1 }; // open files; else only ask for their state

typedef int walk_visit(void *context, const struct walk_item *item, struct error *err);

// Visits what belongs to spec->part. Blocks. Stops at the first error, of the walk or of the visitor. Looks
// at the monitor between entries.
int walk_run(const struct layer_spec *spec, struct tree *tree, const struct roots *roots,
             enum walk_flags flags, struct monitor *monitor, walk_visit *visit, void *context,
             struct error *err);
