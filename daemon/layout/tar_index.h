// SPDX-License-Identifier: Apache-2.0
//
// An uncompressed tar archive as a directory of byte ranges: read once for the places of its files,
// afterwards any file is read from where it lies, nothing is extracted. Links inside the archive are followed
// by name only. After it was opened an index does not change: any thread may use it.
#pragma once

#include "base/monitor.h"
#include "base/stream.h"

struct tar_index;

// Takes the descriptor of a regular file, also on failure. Errors: ERR_REGISTRY_PROTOCOL (not a tar, cut
// short, a name twice), ERR_TOO_LARGE (more than 100,000 entries), ERR_CANCELLED.
struct tar_index *tar_index_open(int fd, const struct monitor *monitor, struct error *err);
void tar_index_close(struct tar_index *index); // NULL is fine; readers live on
// Size of a regular file (also through links), or -1.
int64_t tar_index_size(const struct tar_index *index, const char *name);
// ERR_PATH_NOT_FOUND names the file.
struct reader_at *tar_index_reader(const struct tar_index *index, const char *name, struct error *err);
