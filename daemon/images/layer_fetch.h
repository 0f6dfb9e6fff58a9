// SPDX-License-Identifier: Apache-2.0
//
// The bytes of an existing blob for work on this machine: straight from a layout, or from a registry through the local blob store.
// Worker.
#pragma once

#include "images/endpoint.h"

// fresh: what the place has now, although the blob store may have it. Registry blobs were verified when this returns; those of
// layouts are verified by whoever reads them. The reader's close ends all leases.
struct reader_at *layer_fetch(const struct endpoint *from, const struct descriptor *blob, bool fresh, struct step *step,
                              struct error *err);
