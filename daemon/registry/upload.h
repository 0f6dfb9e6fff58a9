// SPDX-License-Identifier: Apache-2.0
//
// One upload session of a blob at a registry (OCI distribution-spec "Pushing Blobs"): opened by POST – with a
// mount, which is probe and upload start in one –, closed by PUT, filled by PATCH where chunks are used,
// asked for its offset, cancelled by DELETE. Of this room only; one worker; borrows its registry_call.
#pragma once

#include "registry/registry_call.h"

struct upload {
    struct registry_call *call;
    bool open;
    struct url location; // where the next request goes
    bool credentials;    // may ours be sent there?
    bool private_allowed;
    int64_t offset;    // bytes that the registry has acknowledged
    int64_t reach;     // no byte at or beyond this was sent in this session
    int64_t chunk_min; // OCI-Chunk-Min-Length, 0: none said
};

// POST; with a digest and `from` (may be the repository itself) as a mount. 1: mounted, there is no session.
// 0: a session is open. -1: refused or failed.
int upload_start(struct upload *upload, struct registry_call *call, const struct digest *mount,
                 const char *from, struct error *err);
// Was a failed mount only refused, so that a plain upload may succeed?
bool upload_refused_mount(const struct error *err);
// A session that an earlier run of a blob of `size` bytes left: location as upload_location_text gave it,
// acknowledged up to `offset` then; the registry is asked how far it is now. 0 it goes on, 1 it is gone, -1.
int upload_resume(struct upload *upload, struct registry_call *call, const char *location, int64_t offset,
                  int64_t size, struct error *err);
char *upload_location_text(
    const struct upload *upload);         // caller frees; may hold a secret of the registry: not for logs
void upload_clear(struct upload *upload); // ends it here only
// Ends it there, too, as well as that goes; never fails.
void upload_cancel(struct upload *upload);

// The closing PUT: the whole blob (transfer gives the body) or the rest of it.
void upload_begin_put(const struct upload *upload, const struct digest *digest, struct http_call *ret);
// What the answer to the closing PUT means. 0: the blob is there. -1: the session is over.
int upload_judge_put(struct upload *upload, const struct digest *digest, const struct http_answer *answer,
                     struct error *err);
// Is this failure of a PUT or PATCH the loss of the session, so that a new one from the start may succeed?
bool upload_lost(const struct error *err);
// … or that its offset is another than ours?
bool upload_misplaced(const struct error *err);
// … or the size of the request's body?
bool upload_too_large(const struct error *err);
// … or that the registry knows no PATCH?
bool upload_no_chunks(const struct error *err);
// A blob of no bytes: POST was done, PUT with an empty body.
int upload_empty(struct upload *upload, const struct digest *digest, struct error *err);

// upload_chunk.c: the request that carries bytes [offset, end): a PATCH, or with `digest` the closing PUT.
void upload_begin_chunk(const struct upload *upload, int64_t end, const struct digest *digest,
                        struct http_call *ret);
// What the answer to a PATCH means. 0: offset is `end` now, -1.
int upload_judge_chunk(struct upload *upload, int64_t end, const struct http_answer *answer,
                       struct error *err);
// Asks the registry how far it got. 0: offset is set (one that does not say leaves it), 1: the session is
// gone, or is not ours: it has bytes that were never sent. -1.
int upload_ask_offset(struct upload *upload, struct error *err);
// Takes a Location of an answer to the session; a missing one leaves the old.
int upload_adopt(struct upload *upload, const struct http_answer *answer, struct error *err);
// The bytes that the Range header of an answer acknowledges; 0 if there is none that can be read.
int64_t upload_acknowledged(const struct http_answer *answer);
// One request to the session.
int upload_perform(struct upload *upload, const struct http_call *http, struct http_answer *ret,
                   struct error *err);
void upload_begin(const struct upload *upload, struct http_call *http, const char *method);

// registry_blob.c, for this room: with a call that is open already.
int registry_call_blob_head(struct registry_call *call, const struct digest *digest, int64_t *ret_size,
                            struct error *err);
struct transfer;
int registry_call_blob_open(struct registry_call *call, const struct digest *digest,
                            struct transfer *transfer, struct error *err);
