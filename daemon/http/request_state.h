// SPDX-License-Identifier: Apache-2.0
//
// Inside the room only: one request and its reply as the room's files share them. server_exchange.c fills a
// request from the library's callbacks and turns a struct reply into bytes on the wire; everybody else here
// works on these plain structures and knows nothing of the library. Loop only.
#pragma once

#include "base/strbuf.h"
#include "http/guard.h"
#include "http/reply.h"
#include "http/router.h"
#include "http/stream.h"

enum {
    REQUEST_PARAMS_MAX = 4,
    REQUEST_QUERY_MAX = 32,
    REQUEST_ID_MAX = 64,
    REPLY_HEADERS_MAX = 12,
};
// A refused body of up to this size is read and dropped so that the client sees the answer instead of a
// reset.
#define REQUEST_DISCARD_MAX ((int64_t)16 << 20)

enum request_stage {
    REQUEST_HEAD,    // the headers are not judged yet
    REQUEST_BODY,    // the body is being collected or streamed
    REQUEST_DISCARD, // refused; what is left of the body is dropped
    REQUEST_HANDLED, // the handler has been called
};

struct query_pair {
    char *name, *value;
};

struct reply_header {
    char *name, *value;
};

struct reply {
    bool ready;
    int status;
    struct reply_header headers[REPLY_HEADERS_MAX];
    size_t n_headers;
    void *bytes; // malloc'd, or NULL
    size_t len;
    struct stream *stream;  // or NULL
    int64_t content_length; // of the stream; -1: chunked
};

struct server_conn;

struct request {
    struct server_conn *conn; // NULL in a test
    enum request_stage stage;
    char *target;      // raw, with query
    char *path;        // raw, without
    const char *query; // into target, or NULL
    char method[16];
    struct http_field *fields; // borrowed texts; room for GUARD_FIELDS_MAX
    size_t n_fields;
    char id[REQUEST_ID_MAX + 1];
    struct request_peer peer;
    const struct route *route;
    char *params[REQUEST_PARAMS_MAX];
    struct query_pair *pairs; // room for REQUEST_QUERY_MAX; NULL without a query
    size_t n_pairs;
    int64_t content_length; // -1: chunked
    int64_t discarded;      // body bytes dropped after a refusal
    struct strbuf body;
    json_t *json;
    struct pipe *pipe;
    bool pipe_ended;
    struct reply reply;
    bool replied; // a reply was given to the library
    void (*gone)(void *arg);
    void *gone_arg;
};

struct request *request_new(const char *target);
void request_free(struct request *request); // closes a stream that was never sent
// Gives back what only the handler needed: a stream may live for days, and there may be very many.
void request_shrink(struct request *request);
// Splits and decodes the query: bad percent-encoding, control bytes, too many parameters are
// ERR_INVALID_REQUEST.
int request_parse_query(struct request *request, struct error *err);
void request_set_id(struct request *request, const char *wanted); // echoes a good one, else makes one
// Fills params from the route's path. The path matches.
void request_set_params(struct request *request, const struct route *route);
// The body is of a type that the route takes (only asked when there is one). ERR_UNSUPPORTED_MEDIA.
int request_check_media(const struct request *request, const struct route *route, struct error *err);
