// SPDX-License-Identifier: Apache-2.0
//
// Which files of one source are the same file under several names, so that the later names become hard links.
// Only files with more than one link are ever put here.
#pragma once

#include <stdint.h>

enum { LINKS_MAX = 1 << 20 }; // beyond that, further files are stored as files of their own

struct links;

struct links *links_new(void);
void links_free(struct links *links); // NULL is fine
// The path under which this file came before (borrowed, until the next call), or NULL: then it is remembered
// under `path`.
const char *links_meet(struct links *links, const void *source, uint64_t dev, uint64_t ino, const char *path);
