// SPDX-License-Identifier: Apache-2.0
//
// The bytes of a layer of a stack, wherever they lie, verified. Worker.
#pragma once

#include "images/layer_stack.h"

struct step;

// ERR_MANIFEST_UNSUPPORTED for a foreign layer that lies nowhere, ERR_DIGEST_MISMATCH; else as layer_fetch. The reader's
// close ends all leases.
struct reader_at *layer_open(const struct stack_layer *layer, struct blob_store *blobs, struct step *step,
                             struct error *err);
