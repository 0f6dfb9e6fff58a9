// SPDX-License-Identifier: Apache-2.0
//
// Exactly one reply per request: at once, or later on the loop (the connection is suspended meanwhile). After a reply the
// request must not be touched. Loop only.
#pragma once

#include "http/request.h"

void reply_header(struct request *request, const char *name, const char *value); // before the reply; copies
void reply_json(struct request *request, int status, json_t *take);
void reply_problem(struct request *request, const struct error *err);           // RFC 9457, with instance and request_id
// As reply_problem, with further members (RFC 9457 section 3.2); takes the object, NULL for none.
void reply_problem_with(struct request *request, const struct error *err, json_t *take_members);
void reply_bytes(struct request *request, int status, const char *content_type, const void *bytes, size_t len);
void reply_empty(struct request *request, int status);

struct stream;
struct stream_ops {
    // Up to max bytes into buffer. >0: bytes; 0: nothing now, wait for stream_wake; -1: the end; -2: cut (the connection is
    // closed without the final chunk, so the client sees that it was not complete).
    ssize_t (*read)(void *arg, char *buffer, size_t max);
    // After heartbeat_ms of silence: bytes to send so that a dead client is noticed; 0: none. May be NULL.
    size_t (*heartbeat)(void *arg, char *buffer, size_t max);
    void (*close)(void *arg); // always last, also when the client is gone
};
// Chunked (content_length -1) or sized. The returned stream is valid until ops->close.
struct stream *reply_stream(struct request *request, int status, const char *content_type, int64_t content_length,
                            const struct stream_ops *ops, void *arg);
void stream_wake(struct stream *stream); // there is something to read; cheap, coalesces
