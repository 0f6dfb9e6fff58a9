// SPDX-License-Identifier: Apache-2.0
//
// Queries: one-step reads and writes of images for the API, run by engine_query on reserved workers, not
// journalled. A query is made on the loop, runs on a worker, and its answer is read on the loop in the
// finished callback; the engine frees it.
#pragma once

#include "base/digest.h"
#include "base/pipe.h"
#include "jobs/step.h"

struct image_context;

enum image_query_kind {
    IMAGE_QUERY_INSPECT, // value: {ref, digest, media_type, size, platform, config, layers[], annotations};
                         // of an index without platform: manifests[]
    IMAGE_QUERY_MANIFEST,      // bytes of the manifest, exactly
    IMAGE_QUERY_MANIFEST_HEAD, // digest, media_type, size (-1: not told)
    IMAGE_QUERY_MANIFEST_PUT,  // digest, of `bytes`
    IMAGE_QUERY_MANIFEST_DELETE,
    IMAGE_QUERY_CONFIG,    // bytes of the config
    IMAGE_QUERY_TAGS,      // value: {name, tags[]}
    IMAGE_QUERY_REFERRERS, // value: the referrers index
    IMAGE_QUERY_CATALOG,   // value: {repositories[]}; ref is the registry
    IMAGE_QUERY_BLOB,      // bytes into `out`; size, first, length tell what comes
    IMAGE_QUERY_BLOB_HEAD, // digest, size (-1: not told)
    IMAGE_QUERY_BLOB_PUT,  // from `in`; digest, size
    IMAGE_QUERY_BLOB_DELETE,
    IMAGE_QUERY_BLOB_MOUNT,   // digest
    IMAGE_QUERY_ARCHIVE,      // a tar into `out`
    IMAGE_QUERY_CONTEXT_PUT,  // from `in`; ref is the digest; created: it was not known before
    IMAGE_QUERY_CONTEXT_HEAD, // size; ref is the digest
    IMAGE_QUERY_CREDENTIALS,  // value: {registry, source, kind, username?, ok, detail}; ref is the registry
};

// What is asked. Borrowed for the call of image_query_new; the pipes are referenced.
struct image_request {
    enum image_query_kind kind;
    const char *ref;           // any location but scratch, or what the kind says
    const char *platform;      // "linux/amd64" or NULL
    const char *artifact_type; // REFERRERS; or NULL
    const char *from;          // BLOB_MOUNT: a repository of the same registry
    const char *format;        // ARCHIVE: "oci-archive" or "docker-archive"
    const char *media_type;    // MANIFEST_PUT
    const void *bytes;         // MANIFEST_PUT
    size_t len;
    const char *range; // BLOB: the value of Range (RFC 9110 section 14.2) or NULL
    struct pipe *in, *out;
    int64_t uid;          // of the caller: local images are read with his rights; -1: the daemon's own
    int64_t in_bytes;     // length of what comes out of `in`; -1: not known
    int64_t in_bytes_max; // more is refused (ERR_TOO_LARGE); 0: no limit
};

// What a query found: a JSON value, bytes, or facts about what moves through a pipe. Owned by the query. The
// facts of a query with `out` hold as soon as there is something in the pipe, or its end.
struct image_answer {
    json_t *value;
    char *bytes;
    size_t len;
    char *media_type;
    struct digest digest;
    int64_t size;          // of the whole; -1: not known
    int64_t first, length; // BLOB: the part that comes; length -1: all of an unknown size
    bool partial;          // … because it was asked for
    bool created;
};

// NULL with err: reference-invalid, invalid-request, path-not-allowed. A query that reads `in` takes all of
// it, also when it fails, so that the client gets to hear why.
struct step *image_query_new(struct image_context *context, const struct image_request *request,
                             struct error *err);
// The directory beneath the contexts directory that holds uploads under way; removed at start.
#define IMAGE_QUERY_CONTEXT_TEMP "uploads"

// In the finished callback of a query that went well; for one with `out` see above.
const struct image_answer *image_query_answer(const struct step *step);
