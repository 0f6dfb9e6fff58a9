// SPDX-License-Identifier: Apache-2.0
//
// The local content-addressed store under the cache directory: CACHE/blobs/sha256/HEX, CACHE/tmp. temp ▸
// verify ▸ fsync ▸ rename ▸ fsync of the directory; hashed again by whoever reads it out for a push (the
// transfer checks every byte anyway); LRU by size; leases while in use; what is found corrupt is quarantined.
// A cache may cost time, never correctness. Any thread; leaf lock inside. Calls that read, write or remove
// files (open, write, read, their sinks and readers, quarantine, trim, prune) belong on a worker; size,
// lease, release, stats and list are quick.
#pragma once

#include "base/file.h"
#include "base/stream.h"

struct blob_store;

struct blob_store_stats {
    int64_t blobs, bytes, max_bytes, hits, misses, evictions, quarantined;
};

// Scans what is there (the index is always rebuilt), removes temporaries of a former life. max_bytes < 0: no
// limit; 0: nothing stays once its lease has ended. ERR_CONFLICT if another daemon uses the directory.
struct blob_store *blob_store_open(const char *cache_directory, int64_t max_bytes, struct error *err);
void blob_store_free(struct blob_store *store); // no writer and no reader may be left
// A sink for content whose digest is known (expected) or not yet (NULL), as its size (-1). finish verifies,
// publishes and takes a lease that the sink's close does not end: blob_store_release does. Digest and size
// can be asked for after it. ERR_NO_SPACE if the content cannot fit (a floor is left free on the disk;
// unleased blobs are evicted first), ERR_DIGEST_MISMATCH if it is not what was expected, at the first byte
// too many. A blob that is there already is success. One thread at a time.
struct blob_writer;
struct blob_writer *blob_store_write(struct blob_store *store, const struct digest *expected,
                                     int64_t expected_size, struct error *err);
struct sink *
blob_writer_sink(struct blob_writer *writer); // borrowed; its close does nothing, blob_writer_free ends it
// In place of the sink's finish, for content hashed by the producer already (layer_pack): publishes under
// that digest without hashing twice (with expected NULL), and takes the lease.
int blob_writer_publish(struct blob_writer *writer, const struct digest *digest, struct error *err);
// Reads what was written so far, and goes on doing so after the writer has ended; size is INT64_MAX. Safe beside
// a write. NULL: no descriptor is left.
struct reader_at *blob_writer_read(const struct blob_writer *writer, struct error *err);
const struct digest *blob_writer_digest(const struct blob_writer *writer); // after publishing
int64_t blob_writer_size(const struct blob_writer *writer);
void blob_writer_free(struct blob_writer *writer); // unpublished: nothing stays behind
// Takes a lease. NULL with ERR_NOT_FOUND if it is not there (counts a miss). The reader's close ends its own
// lease.
struct reader_at *blob_store_read(struct blob_store *store, const struct digest *digest, struct error *err);
// -1 if absent.
int64_t blob_store_size(struct blob_store *store, const struct digest *digest);
bool blob_store_lease(struct blob_store *store, const struct digest *digest); // false: it is not there
// Removes nothing: a store that is over its limit is trimmed by the next write or reader's close, or by
// blob_store_trim.
void blob_store_release(struct blob_store *store, const struct digest *digest);
void blob_store_trim(struct blob_store *store);
// Hashes the blob. 0: its bytes are right; -1: ERR_DIGEST_MISMATCH, and it went into quarantine, or
// ERR_NOT_FOUND. For a push from here that was found to send wrong bytes: was it us? Worker.
int blob_store_verify(struct blob_store *store, const struct digest *digest, struct error *err);
// The bytes were found wrong by whoever hashed them: out of the store, kept aside for a person (the newest
// few).
void blob_store_quarantine(struct blob_store *store, const struct digest *digest, const char *why);
// Evicts unleased blobs, least recently used first, until at most keep_bytes stay or all left are younger
// than older_than_s (0: any age). Returns bytes freed.
int64_t blob_store_prune(struct blob_store *store, int64_t keep_bytes, int64_t older_than_s);
void blob_store_stats(struct blob_store *store, struct blob_store_stats *ret);
json_t *blob_store_list(struct blob_store *store,
                        size_t limit); // [{digest, size, last_used}], newest use first
