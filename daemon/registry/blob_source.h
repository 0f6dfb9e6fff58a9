// SPDX-License-Identifier: Apache-2.0
//
// Where the bytes of a blob_push come from: a local reader, the URLs of a foreign layer, a mirror, the
// registry itself – the first that answers. Of this room only.
#pragma once

#include "registry/blob_push.h"
#include "registry/registry_call.h"

struct transfer;

struct blob_source {
    struct registry_call call; // whoever serves the transfer: must stay open until that is over
    bool call_open;
};

// Bytes first … end - 1 only; hasher: as transfer_set_part.
struct blob_part {
    int64_t first;
    int64_t end;
    const struct hasher *hasher;
};

// A transfer whose source is open and to which targets can be added. NULL: ERR_BLOB_UNKNOWN, …
// part: NULL for the whole blob.
struct transfer *blob_source_open(struct blob_source *source, const struct blob_push *push,
                                  const struct blob_part *part, struct error *err);
void blob_source_close(struct blob_source *source); // after transfer_free
