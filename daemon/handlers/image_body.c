// SPDX-License-Identifier: Apache-2.0
//
// A struct body has two lives that end in any order: the query on its worker (until finished) and the reply
// (until the stream is closed, or the client has left before). Whoever is last frees it. A client that leaves
// cuts the pipe, which frees the worker.
#include "handlers/image_body.h"

#include "base/mem.h"
#include "handlers/answer.h"

enum { PIPE_BYTES = 256 << 10 };

struct body {
    struct request *request; // until the reply has begun; NULL too when the client has left before
    struct stream *stream;   // since then, until it is closed
    struct pipe *pipe;
    struct step *step; // until finished
    const char *content_type;
    bool ranges;
};

static void free_if_over(struct body *body)
{
    if (body->request || body->stream || body->step)
        return;
    pipe_detach(body->pipe);
    pipe_unref(body->pipe);
    free(body);
}

// Nobody is left to read.
static void abandon(struct body *body)
{
    CLEANUP(error_clear) struct error why = ERROR_INIT;
    error_set(&why, ERR_CANCELLED, "the client has left");
    if (body->step) {
        atomic_store(&body->step->monitor.cancelled, true);
        pipe_cut(body->pipe, &why);
    }
    free_if_over(body);
}

static ssize_t body_read(void *arg, char *buffer, size_t max)
{
    struct body *body = arg;
    CLEANUP(error_clear) struct error why = ERROR_INIT;
    ssize_t got = pipe_poll(body->pipe, buffer, max);
    return got >= 0 ? got : pipe_failed(body->pipe, &why) ? -2 : -1;
}

static void body_close(void *arg)
{
    struct body *body = arg;
    body->stream = NULL;
    abandon(body);
}

static void body_gone(void *arg)
{
    struct body *body = arg;
    body->request = NULL;
    abandon(body);
}

static void put_range(struct request *request, const struct image_answer *facts)
{
    reply_header(request, "Accept-Ranges", "bytes");
    if (!facts->partial)
        return;
    AUTO_FREE char *text = mem_printf("bytes %lld-%lld/%lld", (long long)facts->first,
                                      (long long)(facts->first + facts->length - 1), (long long)facts->size);
    reply_header(request, "Content-Range", text);
}

static void begin(struct body *body)
{
    static const struct stream_ops ops = {.read = body_read, .close = body_close};
    struct request *request = body->request;
    const struct image_answer *facts = image_query_answer(body->step);
    body->request = NULL;
    request_on_gone(request, NULL, NULL);
    reply_header(request, "Docker-Content-Digest", facts->digest.text);
    if (body->ranges) {
        AUTO_FREE char *tag = mem_printf("\"%s\"", facts->digest.text);
        reply_header(request, "ETag", tag);
        put_range(request, facts);
    }
    body->stream =
        reply_stream(request, facts->partial ? 206 : 200, body->content_type, facts->length, &ops, body);
}

// There is something in the pipe, or its end; or it was cut, and `finished` will say why.
static void body_ready(void *arg)
{
    struct body *body = arg;
    CLEANUP(error_clear) struct error why = ERROR_INIT;
    if (body->stream)
        stream_wake(body->stream);
    else if (body->request && !pipe_failed(body->pipe, &why))
        begin(body);
}

static void refuse(struct body *body, const struct error *err)
{
    struct request *request = body->request;
    body->request = NULL;
    request_on_gone(request, NULL, NULL);
    if (err->code == ERR_RANGE) {
        AUTO_FREE char *text = mem_printf("bytes */%lld", (long long)image_query_answer(body->step)->size);
        reply_header(request, "Content-Range", text);
    }
    reply_problem(request, err);
}

static void body_finished(void *arg, struct step *step, const struct error *err)
{
    struct body *body = arg;
    (void)step;
    if (body->request && err)
        refuse(body, err);
    else if (body->request)
        begin(body);
    else if (err)
        pipe_cut(body->pipe, err); // wakes the stream, which then ends without its last chunk
    body->step = NULL;
    free_if_over(body);
}

void image_body_send(struct request *request, struct app *app, struct image_request *ask,
                     const char *content_type, bool ranges)
{
    struct error err = ERROR_INIT;
    struct body *body = mem_new(struct body);
    body->pipe = pipe_new(PIPE_BYTES, app->stall_ms, app->mailbox, body_ready, body);
    body->content_type = content_type;
    body->ranges = ranges;
    ask->out = body->pipe;
    ask->uid = request_peer(request)->uid;
    body->step = image_query_new(app->images, ask, &err);
    if (!body->step) {
        free_if_over(body);
        answer_refuse(request, &err);
        return;
    }
    body->request = request;
    request_on_gone(request, body_gone, body);
    stream_slots_query(&app->streams, body->step, body_finished, body);
}
