// SPDX-License-Identifier: Apache-2.0
//
// One member of a tar or of an existing layer: judged by its name and kind, and put into the tree. For
// layers/unpack only.
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <stdint.h>

#include "layers/unpack.h"

struct unpack {
    struct tree *tree;
    const struct layer_entry *entry;
    size_t priority;
    unpack_read *read;
    void *context;
    const char *shown;
    bool names_only;
    struct monitor *monitor;
    struct error *err;
    struct archive *archive;
    char *buffer;
    int spool;
    int64_t spool_end;
    int64_t bytes_read, bytes_made;
    size_t members;
};

int unpack_member_add(struct unpack *unpack, struct archive_entry *member);
// Of unpack.c: the content of the present member goes to the end of the spool.
int unpack_content(struct unpack *unpack, int64_t size);
