// SPDX-License-Identifier: Apache-2.0
//
// What a spec says about paths of the image, as a tree of names: which entry puts what where, with the number
// of the entry as its priority, because later entries win. Directories that are copied stand here only at
// their target; the walk (layers/walk.h) merges what they hold on disk with what stands here.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "layers/layer.h"
#include "layers/xattrs.h"

enum tree_kind {
    TREE_SOURCE_DIRECTORY, // a copied directory: its contents land here
    TREE_SOURCE_FILE,      // a copied file
    TREE_FILE,             // inline bytes, or a member of a tar
    TREE_SYMLINK,
    TREE_DIRECTORY,
    TREE_DELETE,
    TREE_OPAQUE,
    TREE_SPECIAL, // a device or FIFO of a layer
};

// A member of a tar source; owned by its tree.
struct tree_member {
    uint32_t mode; // with file type
    uint32_t major, minor;
    bool linked; // it stands at several paths: hard links of each other
    int64_t uid, gid, mtime_s;
    int64_t size;
    int64_t offset; // of the content in the spool
    struct xattrs xattrs;
    char target[]; // of a symlink
};

struct tree_op {
    struct tree_op *next; // lower or equal priority
    enum tree_kind kind;
    size_t priority;
    const struct layer_entry *entry;
    const struct tree_member *member; // NULL unless from a tar
    uint64_t dev, ino;                // TREE_SOURCE_*: what stood there when the tree was made
};

struct tree_node {
    struct tree_node *next_sibling;
    struct tree_node *first_child;
    struct tree_op *ops; // highest priority first
    size_t top;          // highest priority below this node; only valid if it has children
    char name[];
};

struct tree;

struct tree *tree_new(void);
void tree_free(struct tree *tree); // NULL is fine
struct tree_node *tree_root(struct tree *tree);
struct tree_node *tree_find(struct tree *tree, const struct tree_node *parent, const char *name); // or NULL
// Adds one operation at an absolute or relative image path (already checked). The returned op is the tree's;
// within one priority a later call replaces the earlier one of the same path.
struct tree_op *tree_add(struct tree *tree, const char *path, enum tree_kind kind, size_t priority,
                         const struct layer_entry *entry);
// Can an operation of this priority not stand at the path, because one of the same priority that is no
// directory stands above it, or, if this is none itself, because others stand below? (Two members of one tar
// that do not fit together.)
bool tree_blocked(struct tree *tree, const char *path, size_t priority, bool directory);
struct tree_node *tree_find_path(struct tree *tree, const char *path); // or NULL
// Memory that lives as long as the tree; zeroed.
void *tree_alloc(struct tree *tree, size_t bytes);
// Where the contents of members lie; borrowed. −1 without tars.
void tree_set_spool(struct tree *tree, int fd);
int tree_spool(const struct tree *tree);
size_t tree_nodes(const struct tree *tree);
