// SPDX-License-Identifier: Apache-2.0
//
// An image from one media family to the other (Docker schema 2 ↔ OCI): manifests and indexes are written anew, blobs stay what they
// are. Pure.
#pragma once

#include "oci/manifest.h"

// Does the document have to change at all? Artifacts and what is of the family already stay as they are.
bool convert_needed(const struct manifest *m, enum media_family family);
// An image manifest. ERR_MANIFEST_UNSUPPORTED: Docker's format has no media type for one of its layers.
int convert_manifest(struct manifest *ret, const struct manifest *m, enum media_family family, struct error *err);
// An index; children[i] is what became of its child i, or NULL: it stays.
int convert_index(struct manifest *ret, const struct manifest *index, const struct manifest *const *children,
                  enum media_family family, struct error *err);
