// SPDX-License-Identifier: Apache-2.0
//
// The tar writer: items of the walk become a pax archive (POSIX.1-2001, extended headers only where ustar cannot say it)
// in the blocks. The door of libarchive for writing. One thread from new to free: it gets a UTF-8 locale meanwhile.
#pragma once

#include "base/error.h"
#include "layers/blocks.h"
#include "layers/walk.h"

struct pack;

struct pack *pack_new(struct blocks *blocks, struct error *err); // borrows blocks
void pack_free(struct pack *pack);                               // NULL is fine
// Writes one entry with its content. ERR_SOURCE_CHANGED if a file is not exactly as long as its state said or was
// touched meanwhile.
int pack_write(struct pack *pack, const struct walk_item *item, struct error *err);
int pack_finish(struct pack *pack, struct error *err); // the end of the archive
int64_t pack_entries(const struct pack *pack);
