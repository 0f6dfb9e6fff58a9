// SPDX-License-Identifier: Apache-2.0
//
// The window between the tar writer and the sink: tar bytes are cut into blocks, hashed in order (diff_id)
// and compressed on the lanes, and come out in order, hashed again (digest), to the sink. Cuts depend on the
// names and sizes of the entries alone: at an entry whose name says so once the block has its minimum, before
// an entry that would not fit, and every maximum inside a large one. So a change moves the cuts near it only,
// and never do lanes, timing or machine move one. One worker thread.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/monitor.h"
#include "base/stream.h"
#include "layers/lanes.h"
#include "layers/layer.h"

struct blocks;

// Borrows everything until blocks_free. The spec is asked for algorithm, level and the earlier blob.
struct blocks *blocks_new(const struct layer_spec *spec, struct lanes *lanes, struct sink *out,
                          struct monitor *monitor, struct error *err);
// Waits for what the lanes still hold. NULL is fine.
void blocks_free(struct blocks *blocks);

// An entry of entry_bytes (headers not counted) begins here: the place where a block may end.
int blocks_boundary(struct blocks *blocks, const char *path, int64_t entry_bytes, struct error *err);
// Where the next bytes will lie, at least one byte of room. Bytes written there need no copy in
// blocks_append.
uint8_t *blocks_room(struct blocks *blocks, size_t *ret_room, struct error *err);
int blocks_append(struct blocks *blocks, const void *bytes, size_t len, struct error *err);
// Zero bytes, for holes.
int blocks_append_zeros(struct blocks *blocks, int64_t len, struct error *err);
// For eStargz. Ends the present block here.
int blocks_cut(struct blocks *blocks, struct error *err);
size_t
blocks_number(const struct blocks *blocks); // of the block that the next byte goes into, if it has room
// Writes out all blocks; then the blob has blocks_size bytes, and a block begins at blocks_offset.
int blocks_settle(struct blocks *blocks, struct error *err);
int64_t blocks_size(const struct blocks *blocks);
int64_t blocks_offset(const struct blocks *blocks, size_t number);
// After blocks_settle: bytes of the tar and bytes of the blob that the caller made himself; either may be
// none.
int blocks_put(struct blocks *blocks, const void *tar, size_t tar_len, const void *blob, size_t blob_len,
               struct error *err);
// Ends the last block, writes out everything and fills digest, diff_id, sizes and index. Once.
int blocks_finish(struct blocks *blocks, struct layer_result *ret, struct error *err);
