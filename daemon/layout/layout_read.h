// SPDX-License-Identifier: Apache-2.0
//
// Reading the small documents of layout directories and archives: whole, with a maximum, and verified.
// Private to this room.
#pragma once

#include "base/stream.h"
#include "oci/descriptor.h"
#include "oci/manifest.h"

// The whole content of at most max bytes, NUL-terminated. name is for texts. ERR_TOO_LARGE. Caller frees.
char *layout_read_all(struct reader_at *reader, const char *name, size_t max, size_t *ret_len,
                      struct error *err);
// Verifies the bytes of a manifest against its descriptor and parses them. bytes NULL: err says why they could not be
// read; a file that is not there becomes ERR_IMAGE_NOT_FOUND.
int layout_read_manifest(const char *bytes, size_t len, const struct descriptor *descriptor,
                         struct manifest *ret, struct error *err);
// The descriptor of a manifest that is known by its digest only.
int layout_read_descriptor(const char *bytes, size_t len, const struct digest *digest, struct descriptor *ret,
                           struct error *err);
