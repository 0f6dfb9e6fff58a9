// SPDX-License-Identifier: Apache-2.0
//
// What the daemon remembers about blobs that is too large for a fact: one file per note in a directory of the daemon's own
// state, bounded in number and bytes, the least recently used out first. A note saves work and is never relied on: one that is
// lost, damaged or cannot be written costs time only. Any thread; the calls read and write files, so they belong on a worker.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct notes;

enum { NOTE_BYTES_MAX = 16 << 20 }; // of one; larger ones are not kept

struct notes_limits {
    size_t count;
    int64_t bytes;
};

// Makes the directory if need be, 0700. One process at a time uses it.
struct notes *notes_open(const char *directory, struct notes_limits limits, struct error *err);
void notes_free(struct notes *notes); // NULL is fine
// Takes the place of an earlier note of that key, which is any text.
void notes_put(struct notes *notes, const char *key, const void *bytes, size_t len);
// The bytes as they were put, NUL-terminated; caller frees. NULL: there is no such note, or it is damaged.
void *notes_get(struct notes *notes, const char *key, size_t *ret_len);
