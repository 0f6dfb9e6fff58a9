// SPDX-License-Identifier: Apache-2.0
//
// One request as a handler sees it, after the guard let it in: who asks, which route, decoded parameters, the whole body
// (or the body as a stream). Loop only. A request lives until its reply was sent or its client is gone.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "base/pipe.h"

struct request;

enum right { RIGHT_NONE, RIGHT_READ, RIGHT_SUBMIT, RIGHT_ADMIN };

struct request_peer {
    bool unix_socket;
    int64_t uid, gid, pid;   // unix socket (SO_PEERCRED); -1 over TCP
    enum right right;        // the highest this peer has
};

const struct request_peer *request_peer(const struct request *request);
const char *request_id(const struct request *request);          // also sent as X-Request-Id
const char *request_method(const struct request *request);
const char *request_path(const struct request *request);        // raw, without query
const char *request_param(const struct request *request, const char *name);  // {name} of the route; never NULL for its own
const char *request_query(const struct request *request, const char *name);  // percent-decoded, NULL if absent
// Refuses any query parameter that is not in the NULL-terminated list: ERR_INVALID_REQUEST naming it.
int request_check_query(const struct request *request, const char *const *allowed, struct error *err);
int request_query_int(const struct request *request, const char *name, int64_t min, int64_t max, int64_t fallback,
                      int64_t *ret, struct error *err);
const char *request_header(const struct request *request, const char *name); // NULL if absent
const void *request_body(const struct request *request, size_t *ret_len);
// The body as JSON under json_limits_request; borrowed, parsed once; NULL with err.
const json_t *request_json(struct request *request, struct error *err);
// Does Accept prefer this media type among the offered (NULL-terminated)? Returns the index, -1 if none is acceptable.
int request_accepts(const struct request *request, const char *const *offered);
// Routes with BODY_STREAM: the body's bytes arrive in this pipe (worker's side reads); back-pressure by suspension. New reference.
struct pipe *request_body_pipe(struct request *request);
int64_t request_content_length(const struct request *request); // -1: chunked
// Called once when the client is gone before a reply was complete (found out by heartbeat or close). Set before replying later.
void request_on_gone(struct request *request, void (*gone)(void *arg), void *arg);
