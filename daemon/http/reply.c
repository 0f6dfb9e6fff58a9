// SPDX-License-Identifier: Apache-2.0
//
// Builds the reply that server_exchange.c then sends. What must hold: one reply per request, every reply
// carries the security headers, and a handler that answered hears nothing of the request again.
#include "http/reply.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "http/request_state.h"
#include "http/server_exchange.h"

static bool has_header(const struct reply *reply, const char *name)
{
    for (size_t i = 0; i < reply->n_headers; i++)
        if (str_equal_case(reply->headers[i].name, name))
            return true;
    return false;
}

void reply_header(struct request *request, const char *name, const char *value)
{
    struct reply *reply = &request->reply;
    if (reply->n_headers < REPLY_HEADERS_MAX)
        reply->headers[reply->n_headers++] = (struct reply_header){mem_strdup(name), mem_strdup(value)};
}

static void header_default(struct request *request, const char *name, const char *value)
{
    if (!has_header(&request->reply, name))
        reply_header(request, name, value);
}

static void finish(struct request *request, int status, const char *content_type)
{
    if (content_type)
        header_default(request, "Content-Type", content_type);
    header_default(request, "Cache-Control", "no-store");
    header_default(request, "X-Content-Type-Options", "nosniff");
    header_default(request, "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
    header_default(request, "Referrer-Policy", "no-referrer");
    if (request->id[0])
        header_default(request, "X-Request-Id", request->id);
    request->reply.status = status;
    request->reply.ready = true;
    request->gone = NULL;
    server_exchange_replied(request);
}

void reply_bytes(struct request *request, int status, const char *content_type, const void *bytes, size_t len)
{
    request->reply.bytes = len ? mem_dup(bytes, len) : NULL;
    request->reply.len = len;
    finish(request, status, content_type);
}

void reply_empty(struct request *request, int status)
{
    finish(request, status, NULL);
}

static void reply_json_as(struct request *request, int status, const char *content_type, json_t *take)
{
    char *text = json_text(take);
    size_t len = strlen(text);
    json_decref(take);
    text = mem_realloc(text, len + 1);
    text[len] = '\n';
    request->reply.bytes = text;
    request->reply.len = len + 1;
    finish(request, status, content_type);
}

void reply_json(struct request *request, int status, json_t *take)
{
    reply_json_as(request, status, "application/json", take);
}

static void put_retry_after(struct request *request, const struct error *err, int status)
{
    if (err->retry_after_ms < 0 && status != 429 && status != 503)
        return;
    int64_t seconds = err->retry_after_ms > 0 ? (err->retry_after_ms + 999) / 1000 : 1;
    AUTO_FREE char *text = mem_printf("%lld", (long long)seconds);
    header_default(request, "Retry-After", text);
}

void reply_problem_with(struct request *request, const struct error *err, json_t *take_members)
{
    int status = error_http_status(err->code);
    json_t *problem = error_to_json(err, request->path, request->id);
    if (take_members)
        json_object_update_missing(problem, take_members);
    json_decref(take_members);
    put_retry_after(request, err, status);
    reply_json_as(request, status, "application/problem+json", problem);
}

void reply_problem(struct request *request, const struct error *err)
{
    reply_problem_with(request, err, NULL);
}

struct stream *reply_stream(struct request *request, int status, const char *content_type,
                            int64_t content_length, const struct stream_ops *ops, void *arg)
{
    struct stream *stream = stream_new(request, ops, arg, server_exchange_now_ms(request));
    request->reply.stream = stream;
    request->reply.content_length = content_length;
    if (content_length < 0)
        header_default(request, "X-Accel-Buffering", "no");
    finish(request, status, content_type);
    return stream;
}
