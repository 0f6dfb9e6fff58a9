// SPDX-License-Identifier: Apache-2.0
//
// What the blob store has, in memory: entries by digest, leases, and the unleased ones in order of last use.
// No files, no lock: blob_store holds its own around every call. Rebuilt from the directory at each start.
#pragma once

#include "base/digest.h"
#include "base/list.h"
#include "base/table.h"

#include <stdint.h>

struct blob_entry {
    struct list by_use; // linked only while present and without a lease
    struct digest digest;
    int64_t size;
    int64_t last_used_ms; // wall clock
    int64_t written_ms;   // last_used_ms as the file has it
    unsigned leases;
    bool present; // false: the file has gone, the entry only counts leases that are still out
};

struct blob_index {
    struct table *entries;
    struct list by_use;   // oldest first
    int64_t blobs, bytes; // of what is present
};

void blob_index_init(struct blob_index *index);
void blob_index_fini(struct blob_index *index);
struct blob_entry *blob_index_find(const struct blob_index *index,
                                   const struct digest *digest); // present, or NULL
// Makes the entry, or makes it present again; the size is the new one.
struct blob_entry *blob_index_add(struct blob_index *index, const struct digest *digest, int64_t size,
                                  int64_t last_used_ms);
void blob_index_forget(struct blob_index *index, struct blob_entry *entry); // the file has gone
void blob_index_use(struct blob_index *index, struct blob_entry *entry, int64_t now_ms);
void blob_index_lease(struct blob_index *index, struct blob_entry *entry);
void blob_index_release(struct blob_index *index, const struct digest *digest);
struct blob_entry *blob_index_oldest(const struct blob_index *index); // that may be evicted, or NULL
// All that are present, newest use first; *ret is malloc'd.
size_t blob_index_sorted(const struct blob_index *index, struct blob_entry ***ret);
