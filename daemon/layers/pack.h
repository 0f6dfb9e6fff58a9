// SPDX-License-Identifier: Apache-2.0
//
// The tar writer: items of the walk become a pax archive (POSIX.1-2001, extended headers only where ustar
// cannot say it) in the blocks. The door of libarchive for writing. One thread from new to free: it gets a
// UTF-8 locale meanwhile.
#pragma once

#include "base/error.h"
#include "layers/blocks.h"
#include "layers/walk.h"

struct pack;

// Borrows blocks. table: of an eStargz, an empty file that is borrowed to keep its table of contents in; else
// −1.
struct pack *pack_new(struct blocks *blocks, int table, struct error *err);
void pack_free(struct pack *pack); // NULL is fine
// Writes one entry with its content. ERR_SOURCE_CHANGED if a file is not exactly as long as its state said or
// was touched meanwhile.
int pack_write(struct pack *pack, const struct walk_item *item, struct error *err);
// The end of the archive. ret_toc: digest of the table of an eStargz, else left alone.
int pack_finish(struct pack *pack, struct digest *ret_toc, struct error *err);
int64_t pack_entries(const struct pack *pack);
