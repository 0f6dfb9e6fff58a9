// SPDX-License-Identifier: Apache-2.0
//
// The local content-addressed store under the cache directory: CACHE/blobs/sha256/HEX, CACHE/tmp. temp ▸ verify ▸ fsync ▸
// rename ▸ fsync of the directory; hashed again by whoever reads it out for a push (the transfer checks every byte
// anyway); LRU by size; leases while in use; what is found corrupt is quarantined. A cache may cost time, never
// correctness. Any thread; leaf lock inside.
#pragma once

#include "base/file.h"
#include "base/stream.h"

struct blob_store;

struct blob_store_stats {
    int64_t blobs, bytes, max_bytes, hits, misses, evictions, quarantined;
};

// Scans what is there (the index is always rebuilt), removes temporaries of a former life.
struct blob_store *blob_store_open(const char *cache_directory, int64_t max_bytes, struct error *err);
void blob_store_free(struct blob_store *store);
// A sink for content whose digest is not known yet or is (expected may be NULL). finish verifies, publishes and takes a
// lease that the sink's close does not end: blob_store_release does. ret digest and size are in *ret after finish.
struct blob_writer;
struct blob_writer *blob_store_write(struct blob_store *store, const struct digest *expected, int64_t expected_size,
                                     struct error *err);
struct sink *blob_writer_sink(struct blob_writer *writer);   // borrowed
// For content hashed by the producer already (layer_pack): publishes under that digest without hashing twice.
int blob_writer_publish(struct blob_writer *writer, const struct digest *digest, struct error *err);
const struct digest *blob_writer_digest(const struct blob_writer *writer); // after publishing
int64_t blob_writer_size(const struct blob_writer *writer);
void blob_writer_free(struct blob_writer *writer); // unpublished: nothing stays behind
// Takes a lease. NULL with ERR_NOT_FOUND if it is not there (counts a miss). The reader's close ends its own lease.
struct reader_at *blob_store_read(struct blob_store *store, const struct digest *digest, struct error *err);
// -1 if absent.
int64_t blob_store_size(struct blob_store *store, const struct digest *digest);
bool blob_store_lease(struct blob_store *store, const struct digest *digest);
void blob_store_release(struct blob_store *store, const struct digest *digest);
void blob_store_quarantine(struct blob_store *store, const struct digest *digest, const char *why);
// Evicts unleased blobs, least recently used first, until at most keep_bytes stay or all left are younger than
// older_than_s (0: any age). Returns bytes freed.
int64_t blob_store_prune(struct blob_store *store, int64_t keep_bytes, int64_t older_than_s);
void blob_store_stats(struct blob_store *store, struct blob_store_stats *ret);
json_t *blob_store_list(struct blob_store *store, size_t limit); // [{digest, size, last_used}]
