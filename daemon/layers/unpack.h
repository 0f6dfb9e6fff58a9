// SPDX-License-Identifier: Apache-2.0
//
// Tars as sources: a stream of any usual compression is read once, member by member; contents go to a spool,
// an unlinked file, names and attributes to the tree, where they are merged like everything else. The door of
// libarchive for reading. Nothing that is read can name a path outside of `to`: names are checked, links are
// text, hard links must lead to an earlier file of the same tar. What is unpacked has a limit.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/monitor.h"
#include "layers/tree.h"

enum { UNPACK_MEMBERS_MAX = 1 << 20 };
#define UNPACK_BYTES_MAX ((int64_t)256 << 30) // of one tar, unpacked
#define UNPACK_RATIO_MAX 256                  // unpacked ÷ read …
#define UNPACK_RATIO_FREE ((int64_t)512 << 20) // … beyond this much

// Where the bytes come from; 0 at the end, −1 with err.
typedef ssize_t unpack_read(void *context, void *buffer, size_t len, struct error *err);

// An unlinked file for tree_set_spool, in this directory (0: $TMPDIR or /var/tmp). To be opened with the
// daemon's own rights.
int unpack_open_spool(int dirfd, struct error *err);
// Adds the members beneath entry->to with the given priority. names_only: contents are passed over and
// nothing is spooled; else the tree has a spool. shown: the tar, for problems. ERR_UNSUPPORTED_FILE names the
// member at fault, ERR_TOO_LARGE, ERR_NO_SPACE, ERR_CANCELLED.
int unpack_add(struct tree *tree, const struct layer_entry *entry, size_t priority, unpack_read *read,
               void *context, bool names_only, const char *shown, struct monitor *monitor, struct error *err);
