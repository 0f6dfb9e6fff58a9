// SPDX-License-Identifier: Apache-2.0
//
// The upload of one blob to one target in chunks: each is a request of its own, so a broken connection costs
// one chunk at most, and less where the registry says how far it got. Of this room only.
#pragma once

#include "registry/blob_push.h"
#include "registry/upload.h"

enum { CHUNK_FLOOR_BYTES = 4 << 20, CHUNK_CEILING_BYTES = 90 * 1000 * 1000 };

struct blob_chunks {
    struct blob_push *push;
    int target;            // index
    struct upload *upload; // open; may have some bytes already
    // out
    bool source_failed; // the error is the source's
    bool session_good;  // after a failure: the session could go on another time
};

// 0: the blob is there. -1.
int blob_chunks_run(struct blob_chunks *chunks, struct error *err);
// What to send at most in one request to this host, after a body of `refused` bytes was too large; false:
// nothing smaller makes sense, and err, which is the refusal, gets a hint that names the limit. Remembered for
// the host.
bool blob_chunks_shrink(const struct upload *upload, int64_t refused, struct error *err);
