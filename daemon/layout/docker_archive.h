// SPDX-License-Identifier: Apache-2.0
//
// docker-archives: what `docker save` writes and `docker load` reads (Docker Image Specification v1.2,
// "Combined Image JSON + Filesystem Changeset Format"), as source, target and stream. The meaning of the
// calls is that of layout/image_store.h.
#pragma once

#include "layout/image_store.h"

struct image_store *docker_archive_open(const struct roots *roots, const char *path,
                                        const struct archive_spool *spool, const struct monitor *monitor,
                                        struct error *err);
struct image_store *docker_archive_create(const struct roots *roots, const char *path, struct error *err);
struct image_store *docker_archive_stream(struct sink *out);
