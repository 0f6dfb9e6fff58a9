// SPDX-License-Identifier: Apache-2.0
//
// The entries of a tar archive while it is written. Into a file: every blob gets its region when its sink is
// opened (its size is known), so blobs are written in parallel, each at its own place, and nothing is
// spooled. Into a stream: one after the other. Private to this room; any thread unless said.
#pragma once

#include "base/stream.h"

struct archive_regions;

// Into a descriptor that can be written anywhere (out NULL), or in order into a sink. Both stay the caller's.
struct archive_regions *archive_regions_new(int fd, struct sink *out);
void archive_regions_free(struct archive_regions *regions); // sinks are closed before
int64_t archive_regions_size(struct archive_regions *regions,
                             const struct digest *digest); // -1 unless it is complete
// A sink for the entry blobs/ALGORITHM/HEX; finish verifies. A blob that is complete already is verified
// again, not written. A blob that failed may come again, but not in a stream. ERR_INTERNAL: the size is -1 or
// another than before, or the blob has a sink already.
struct sink *archive_regions_blob(struct archive_regions *regions, const struct digest *digest, int64_t size,
                                  struct error *err);
// A whole entry. One worker at a time.
int archive_regions_add(struct archive_regions *regions, const char *name, const void *bytes, size_t len,
                        struct error *err);
// Fails if a blob was begun and is not complete.
int archive_regions_check(struct archive_regions *regions, struct error *err);
// Ends the archive. One worker, after all else.
int archive_regions_finish(struct archive_regions *regions, struct error *err);

enum { ARCHIVE_REGIONS_NAME_MAX = 160 };
void archive_regions_blob_name(const struct digest *digest, char ret[ARCHIVE_REGIONS_NAME_MAX]);
