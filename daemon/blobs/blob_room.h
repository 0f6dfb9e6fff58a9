// SPDX-License-Identifier: Apache-2.0
//
// The inside of the blob store, shared by its writer and its reader.
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "blobs/blob_files.h"
#include "blobs/blob_index.h"
#include "blobs/blob_store.h"

struct blob_store {
    struct blob_files files;
    int64_t max_bytes;            // < 0: no limit
    _Atomic uint64_t next_number; // of temporary files
    _Atomic int64_t announced;    // bytes that open writers have still to write
    pthread_mutex_t lock;         // leaf
    struct blob_index index;      // under lock, as the counters
    int64_t hits, misses, evictions, quarantined;
};

uint64_t blob_room_number(struct blob_store *store);
// Makes sure that bytes more can be written, evicting if need be. ERR_NO_SPACE.
int blob_room_make(struct blob_store *store, int64_t bytes, struct error *err);
// After the disk said that it is full: frees about that much. False if nothing could be freed.
bool blob_room_free(struct blob_store *store, int64_t bytes);
// Back within the size limit.
void blob_room_trim(struct blob_store *store);
// Publishes a temporary file and takes a lease; the file is removed if the blob is there already.
int blob_room_publish(struct blob_store *store, uint64_t number, const struct digest *digest, int64_t size,
                      struct error *err);
