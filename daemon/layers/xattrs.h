// SPDX-License-Identifier: Apache-2.0
//
// Extended attributes of one file: those that an entry lists and the file has.
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "layers/layer.h"

enum { XATTRS_VALUE_MAX = 64 << 10 };

struct xattr {
    char *name;
    void *value;
    size_t len;
};

struct xattrs {
    struct xattr *items;
    size_t n;
};

// Reads the listed ones of an open file. A file system without attributes has none.
int xattrs_read(struct xattrs *ret, const struct layer_entry *entry, int fd, const char *shown,
                struct error *err);
void xattrs_add(struct xattrs *xattrs, const char *name, const void *value, size_t len); // copies
void xattrs_clear(struct xattrs *xattrs);
