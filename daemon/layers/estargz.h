// SPDX-License-Identifier: Apache-2.0
//
// The table of contents of an eStargz layer (containerd/stargz-snapshotter, docs/estargz.md): for each entry
// of the tar what it is, and for each non-empty file where in the blob the gzip members of its content begin.
// Filled by the pack as it writes; the offsets are known when all blocks are out.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"
#include "layers/blocks.h"
#include "layers/walk.h"

enum { ESTARGZ_FOOTER = 51, ESTARGZ_ENTRIES_MAX = 1 << 20 };

extern const char ESTARGZ_TOC_NAME[];      // "stargz.index.json"
extern const char ESTARGZ_LANDMARK_NAME[]; // ".no.prefetch.landmark"

struct estargz;

// Borrows an empty file, to keep the table in until it is written.
struct estargz *estargz_new(int spool);
void estargz_free(struct estargz *estargz); // NULL is fine
// An entry was begun; target: of a hard link, else NULL. ERR_TOO_LARGE, ERR_NO_SPACE.
int estargz_add(struct estargz *estargz, const struct walk_item *item, const char *target, struct error *err);
// Content of the last entry, which went into the block of this number.
void estargz_content(struct estargz *estargz, size_t block, const void *bytes, size_t len);
void estargz_content_end(struct estargz *estargz);

typedef int estargz_write(void *context, const char *text, size_t len, struct error *err);
// The table as JSON, piece by piece; the same bytes each time. *ret_len and *ret_digest may be NULL.
int estargz_format(struct estargz *estargz, const struct blocks *blocks, estargz_write *write, void *context,
                   int64_t *ret_len, struct digest *ret_digest, struct error *err);
// The empty member at the end of the blob that says where the member of the table begins.
void estargz_footer(int64_t toc_offset, uint8_t ret[ESTARGZ_FOOTER]);
