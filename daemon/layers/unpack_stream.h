// SPDX-License-Identifier: Apache-2.0
//
// An existing layer blob read as a stream: decompressed, whatever of the usual compressions it has, within
// the limits of unpack.h. Memory does not depend on the layer's size. Workers.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/monitor.h"
#include "base/stream.h"

typedef int unpack_stream_take(void *context, const void *bytes, size_t len, struct error *err);

// Gives the tar's bytes to take, piece by piece. monitor (may be NULL): its current counts them. shown: the
// blob, for problems. ERR_UNSUPPORTED_FILE if it is damaged, ERR_TOO_LARGE beyond the limits, ERR_CANCELLED,
// or what take failed with.
int unpack_stream(struct reader_at *blob, unpack_stream_take *take, void *context, const char *shown,
                  struct monitor *monitor, struct error *err);
// Reads all of it: its diff_id, its size unpacked, and whether every entry of the tar can be read.
struct unpack_facts {
    struct digest diff_id;
    int64_t tar_size;
    int64_t entries;
};
int unpack_check(struct reader_at *blob, const char *shown, struct monitor *monitor, struct unpack_facts *ret,
                 struct error *err);
