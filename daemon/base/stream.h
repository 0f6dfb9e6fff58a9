// SPDX-License-Identifier: Apache-2.0
//
// Byte sources and sinks: what layers, blobs, layout and registry have in common and how `images` plugs them
// together. All calls block, on the one worker that holds the object. Errors are sticky, each sink sees to
// that; it publishes nothing unless its `finish` succeeded.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/digest.h"
#include "base/error.h"

// Positional reads of something immutable: a local blob. Safe to use from several threads at once.
struct reader_at {
    const struct reader_at_ops *ops;
    int64_t size;
};
struct reader_at_ops {
    // Up to len bytes at offset; 0 at the end (size, or where the source ends before it), -1 with err. Never
    // short in the middle.
    ssize_t (*read_at)(struct reader_at *reader, void *buffer, size_t len, int64_t offset, struct error *err);
    void (*close)(struct reader_at *reader); // frees, ends the lease
};
ssize_t reader_at_read(struct reader_at *reader, void *buffer, size_t len, int64_t offset, struct error *err);
void reader_at_close(struct reader_at *reader);                   // NULL is fine
struct reader_at *reader_at_bytes(const void *bytes, size_t len); // copies
struct reader_at *reader_at_fd(int fd, int64_t size);             // takes the descriptor

// Where bytes go, in order.
struct sink {
    const struct sink_ops *ops;
};
struct sink_ops {
    int (*write)(struct sink *sink, const void *bytes, size_t len, struct error *err);
    // Verifies and publishes. Called at most once; NULL where there is nothing to publish.
    int (*finish)(struct sink *sink, struct error *err);
    // Ends the sink; without a successful finish nothing stays behind.
    void (*close)(struct sink *sink);
};
int sink_write(struct sink *sink, const void *bytes, size_t len, struct error *err);
int sink_finish(struct sink *sink, struct error *err);
void sink_close(struct sink *sink); // NULL is fine
