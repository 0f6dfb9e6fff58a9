// SPDX-License-Identifier: Apache-2.0
//
// The directory of the blob store: CACHE/blobs/ALGORITHM/HEX, CACHE/tmp, CACHE/quarantine. Calls are single
// system calls or nearly; none locks. A file's access time is set by us alone and means "last used", so the
// order of use survives a restart without an index on disk.
#pragma once

#include "base/digest.h"
#include "base/error.h"

enum { BLOB_NAME_MAX = 160 };

struct blob_files {
    char *directory;
    int root;     // descriptor of CACHE
    int blobs[3]; // by enum digest_algorithm
    int lock;
};

// Makes the directories, empties tmp. ERR_CONFLICT if another daemon uses the directory.
int blob_files_open(struct blob_files *files, const char *directory, struct error *err);
void blob_files_close(struct blob_files *files);
typedef void (*blob_files_fn)(void *arg, const struct digest *digest, int64_t size, int64_t last_used_ms);
int blob_files_scan(struct blob_files *files, blob_files_fn each, void *arg, struct error *err);

// A new temporary file, read and write.
int blob_files_temp(struct blob_files *files, uint64_t number, struct error *err);
void blob_files_temp_remove(struct blob_files *files, uint64_t number);
// Temporary ▸ blob; the name is durable after blob_files_sync.
int blob_files_publish(struct blob_files *files, uint64_t number, const struct digest *digest,
                       struct error *err);
int blob_files_sync(struct blob_files *files, const struct digest *digest, struct error *err);
// Blob ▸ temporary: quick, so it can be done under a lock; removing a large file is not.
void blob_files_retire(struct blob_files *files, const struct digest *digest, uint64_t number);
int blob_files_read(struct blob_files *files, const struct digest *digest, int64_t *ret_size,
                    struct error *err);
void blob_files_touch(struct blob_files *files, const struct digest *digest, int64_t used_ms);
// Puts the blob where a person can look at it, and keeps only the newest few of these.
void blob_files_quarantine(struct blob_files *files, const struct digest *digest, uint64_t number);
void blob_files_quarantine_clear(struct blob_files *files);
// Bytes that may still be written: what is free less a floor that is left to others. INT64_MAX if it cannot
// be told.
int64_t blob_files_room(struct blob_files *files);
