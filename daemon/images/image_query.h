// SPDX-License-Identifier: Apache-2.0
//
// Queries: one-step reads and writes of images for the API, run by engine_query on reserved workers, not journalled. A query
// is made on the loop, runs on a worker, and its answer is read on the loop in the finished callback; the engine frees it.
#pragma once

#include "base/digest.h"
#include "jobs/step.h"

struct image_context;

enum image_query_kind {
    IMAGE_QUERY_INSPECT,   // value: {ref, digest, media_type, size, platform, config, layers[], annotations}; of an index
                           // without platform: manifests[]
    IMAGE_QUERY_MANIFEST,  // bytes of the manifest, exactly
    IMAGE_QUERY_CONFIG,    // bytes of the config
    IMAGE_QUERY_TAGS,      // value: {name, tags[]}
};

// What a query found: a JSON value or bytes. Owned by the query.
struct image_answer {
    json_t *value;
    char *bytes;
    size_t len;
    char *media_type;
    struct digest digest;
};

// ref: any location but scratch. platform: "linux/amd64" or NULL. NULL with err (reference-invalid, path-not-allowed).
struct step *image_query_new(struct image_context *context, enum image_query_kind kind, const char *ref,
                             const char *platform, struct error *err);
// For the finished callback of a query that went well.
const struct image_answer *image_query_answer(const struct step *step);
