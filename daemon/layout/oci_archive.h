// SPDX-License-Identifier: Apache-2.0
//
// OCI archives: an OCI image layout in one tar file (OCI image-spec image-layout.md), as source, target and
// stream. The meaning of the calls is that of layout/image_store.h.
#pragma once

#include "layout/image_store.h"

struct image_store *oci_archive_open(const struct roots *roots, const char *path,
                                     const struct archive_spool *spool, const struct monitor *monitor,
                                     struct error *err);
struct image_store *oci_archive_create(const struct roots *roots, const char *path, struct error *err);
struct image_store *oci_archive_stream(struct sink *out);
