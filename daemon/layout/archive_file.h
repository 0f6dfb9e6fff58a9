// SPDX-License-Identifier: Apache-2.0
//
// An archive file as its readers want it: opened beneath a root and uncompressed. What is compressed as a
// whole (`docker save | gzip`) is unpacked once into a nameless file, because a compressed stream has no
// places to read from. Blocking.
#pragma once

#include "base/file.h"
#include "layout/tar_index.h"

struct archive_spool {
    int dirfd;         // where to unpack compressed archives; -1: they are refused
    int64_t bytes_max; // of the unpacked archive
    int file;          // an empty file to unpack into, borrowed; 0: one is made in dirfd
};

// The index of the archive at path. spool may be NULL (as dirfd -1). ERR_PATH_NOT_FOUND,
// ERR_REGISTRY_PROTOCOL, ERR_TOO_LARGE.
struct tar_index *archive_file_open(const struct roots *roots, const char *path,
                                    const struct archive_spool *spool, const struct monitor *monitor,
                                    struct error *err);

// A member of an archive into memory, at most max bytes; caller frees. NULL with err.
char *archive_file_read(struct tar_index *tar, const char *name, size_t max, size_t *ret_len, struct error *err);
// A member as the content of a blob; caller closes. name: NULL if there is none for it. ERR_BLOB_UNKNOWN.
struct reader_at *archive_file_blob(struct tar_index *tar, const char *path, const char *name,
                                    const struct digest *digest, struct error *err);
// Puts the archive's path before the error. Returns -1.
int archive_file_wrap(const char *path, struct error *err);
