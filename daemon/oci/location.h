// SPDX-License-Identifier: Apache-2.0
//
// Where an image is or goes: a registry reference, `scratch`, `oci:/path[:tag]`,
// `oci-archive:/file.tar[:tag]`, `docker-archive:/file.tar[:ref]`. Pure; any thread.
#pragma once

#include "base/error.h"
#include "oci/reference.h"

enum location_kind {
    LOCATION_REGISTRY,
    LOCATION_SCRATCH,
    LOCATION_OCI_LAYOUT,
    LOCATION_OCI_ARCHIVE,
    LOCATION_DOCKER_ARCHIVE,
};

struct location {
    enum location_kind kind;
    struct reference ref; // LOCATION_REGISTRY
    char *path;           // local kinds: absolute, without "..", "//" or trailing slash
    char *name;           // local kinds: the tag or reference behind the path, or NULL
};

int location_parse(struct location *ret, const char *text, struct error *err); // ERR_REFERENCE_INVALID
void location_clear(struct location *location);
void location_copy(struct location *dst, const struct location *src);
char *location_format(const struct location *location); // caller frees
