// SPDX-License-Identifier: Apache-2.0
//
// Blobs on their way into a layout directory. Blocking; private to this room.
#pragma once

#include "base/stream.h"

// A sink into the directory: hashes what is written, and finish publishes it under the digest's hex if digest
// and size (-1 unknown) are right. ERR_DIGEST_MISMATCH, as soon as it is known.
struct sink *blob_sink_new(int dirfd, const struct digest *digest, int64_t size, struct error *err);
