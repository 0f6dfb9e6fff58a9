// SPDX-License-Identifier: Apache-2.0
//
// Between an event_reader and a streamed reply. What must hold: the reader is closed exactly once, also when
// the client leaves while it is being opened; a follower that ends without job.finished because the daemon
// stops is cut, not completed, so that the client knows to resume; a stream that sleeps holds no buffer.
#include "handlers/event_stream.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "handlers/answer.h"

// Rendered ahead at most this much (one event may be larger); an event never exceeds the other.
enum { AHEAD_BYTES = 8 * 1024, EVENT_BYTES_MAX = 64 << 20 };

struct event_stream {
    struct app *app;
    struct request *request; // while opening
    struct event_stream_form form;
    struct event_reader *reader;
    struct stream *stream;
    struct render *render;
    struct event *first; // taken before the reply, to see whether there is anything
    struct strbuf out;
    size_t sent;
    bool finished, ended;
};

// --- what is asked for

static int read_text_form(const struct request *request, struct event_stream_form *form, struct error *err)
{
    int64_t tty, cols;
    if (request_query_int(request, "tty", 0, 1, 0, &tty, err) != 0 ||
        request_query_int(request, "cols", 1, 10000, RENDER_COLS_DEFAULT, &cols, err) != 0)
        return -1;
    form->cols = cols > RENDER_COLS_MAX ? RENDER_COLS_MAX : (int)cols;
    if (form->kind == RENDER_TEXT && tty && form->cols >= RENDER_COLS_MIN)
        form->kind = RENDER_BARS;
    return 0;
}

static enum render_kind kind_wanted(const struct request *request)
{
    static const char *const offered[] = {"application/x-ndjson", "application/jsonl", "text/event-stream",
                                          "text/plain",           "application/json",  NULL};
    static const enum render_kind kinds[] = {RENDER_NDJSON, RENDER_NDJSON, RENDER_SSE, RENDER_TEXT,
                                             RENDER_ARRAY};
    int choice = request_accepts(request, offered);
    return choice < 0 ? RENDER_NDJSON : kinds[choice];
}

static int read_position(const struct request *request, const char *name, int64_t fallback, int64_t *ret,
                         struct error *err)
{
    const char *last = request_header(request, "Last-Event-ID");
    if (!last || *last == '\0')
        return request_query_int(request, name, 0, INT64_MAX, fallback, ret, err);
    if (str_to_int64(last, 0, INT64_MAX, ret))
        return 0;
    return error_set(err, ERR_INVALID_REQUEST, "Last-Event-ID must be the id of an event of this stream");
}

int event_stream_form_of_job(const struct request *request, struct event_stream_form *ret, struct error *err)
{
    static const char *const allowed[] = {"since", "follow", "tty", "cols", NULL};
    int64_t follow;
    *ret = (struct event_stream_form){.kind = kind_wanted(request), .status = 200};
    if (request_check_query(request, allowed, err) != 0 || read_text_form(request, ret, err) != 0 ||
        request_query_int(request, "follow", 0, 1, 1, &follow, err) != 0 ||
        read_position(request, "since", 0, &ret->since, err) != 0)
        return -1;
    ret->follow = follow && ret->kind != RENDER_ARRAY;
    return 0;
}

int event_stream_form_of_all(const struct request *request, struct event_stream_form *ret, struct error *err)
{
    static const char *const allowed[] = {"after", NULL};
    *ret = (struct event_stream_form){.kind = kind_wanted(request), .status = 200};
    if (request_check_query(request, allowed, err) != 0 ||
        read_position(request, "after", -1, &ret->after, err) != 0)
        return -1;
    ret->follow = ret->kind != RENDER_ARRAY;
    return 0;
}

int event_stream_form_of_submit(const struct request *request, struct event_stream_form *ret,
                                struct error *err)
{
    static const char *const allowed[] = {"tty", "cols", NULL};
    static const char *const offered[] = {"application/json",  "application/x-ndjson", "application/jsonl",
                                          "text/event-stream", "text/plain",           NULL};
    static const enum render_kind kinds[] = {RENDER_NONE, RENDER_NDJSON, RENDER_NDJSON, RENDER_SSE,
                                             RENDER_TEXT};
    int choice = request_accepts(request, offered);
    *ret = (struct event_stream_form){
        .kind = choice < 0 ? RENDER_NONE : kinds[choice], .status = 202, .follow = true};
    if (request_check_query(request, allowed, err) != 0)
        return -1;
    return read_text_form(request, ret, err);
}

// --- the stream

static struct event *take_next(struct event_stream *s, enum event_next *ret)
{
    struct event *event = s->first;
    s->first = NULL;
    *ret = event ? EVENT_NEXT_EVENT : event_reader_next(s->reader, &event);
    return *ret == EVENT_NEXT_EVENT ? event : NULL;
}

// Renders until there is enough, or nothing more for now.
static void fill(struct event_stream *s)
{
    enum event_next next = EVENT_NEXT_EVENT;
    while (!s->ended && s->out.len < AHEAD_BYTES) {
        struct event *event = take_next(s, &next);
        if (next == EVENT_NEXT_WAIT) {
            render_pause(s->render, &s->out);
            return;
        }
        if (next == EVENT_NEXT_END) {
            s->ended = true;
            render_end(s->render, &s->out);
            return;
        }
        s->finished = s->finished || strcmp(event->type, "job.finished") == 0;
        render_event(s->render, event, &s->out);
        event_unref(event);
    }
}

// The engine ends readers when it stops: a client that follows must not take that for the end of the job.
static bool was_cut(const struct event_stream *s)
{
    struct engine_stats stats;
    if (!s->form.follow || s->finished)
        return false;
    engine_stats(s->app->engine, &stats);
    return stats.draining || !s->form.job;
}

static ssize_t stream_read(void *arg, char *buffer, size_t max)
{
    struct event_stream *s = arg;
    if (s->sent == s->out.len) {
        strbuf_free(&s->out);
        s->sent = 0;
        fill(s);
    }
    if (s->out.overflow)
        return -2;
    size_t len = s->out.len - s->sent;
    if (len == 0)
        return !s->ended ? 0 : was_cut(s) ? -2 : -1;
    len = len < max ? len : max;
    memcpy(buffer, s->out.data + s->sent, len);
    s->sent += len;
    if (s->sent == s->out.len) {
        strbuf_free(&s->out);
        s->sent = 0;
    }
    return (ssize_t)len;
}

static size_t stream_heartbeat(void *arg, char *buffer, size_t max)
{
    struct event_stream *s = arg;
    struct event *event = event_reader_heartbeat(s->reader);
    render_heartbeat(s->render, event, &s->out);
    event_unref(event);
    ssize_t len = s->out.len > 0 ? stream_read(s, buffer, max) : 0;
    return len > 0 ? (size_t)len : 0;
}

static void stream_close(void *arg)
{
    struct event_stream *s = arg;
    if (s->reader)
        event_reader_close(s->reader);
    event_unref(s->first);
    render_free(s->render);
    strbuf_free(&s->out);
    free((char *)s->form.job);
    free(s);
}

static void wake(void *arg)
{
    struct event_stream *s = arg;
    if (s->stream)
        stream_wake(s->stream);
}

// --- opening

static void refuse(struct event_stream *s, const struct error *err, int64_t oldest_seq)
{
    json_t *more =
        err->code == ERR_EVENTS_EXPIRED ? json_pack("{s:I}", "oldest_seq", (json_int_t)oldest_seq) : NULL;
    reply_problem_with(s->request, err, more);
}

// A browser that asks again for a log it has read to the end is told to stop (HTML, server-sent events,
// status 204).
static bool nothing_left(struct event_stream *s)
{
    enum event_next next;
    if (s->form.kind != RENDER_SSE || s->form.status != 200)
        return false;
    s->first = take_next(s, &next);
    return next == EVENT_NEXT_END;
}

static void opened(void *arg, struct event_reader *reader, const struct error *err, int64_t oldest_seq)
{
    static const struct stream_ops ops = {stream_read, stream_heartbeat, stream_close};
    struct event_stream *s = arg;
    s->reader = reader;
    if (s->request)
        request_on_gone(s->request, NULL, NULL);
    if (!s->request) {
        stream_close(s);
    } else if (err) {
        refuse(s, err, oldest_seq);
        stream_close(s);
    } else if (nothing_left(s)) {
        reply_empty(s->request, 204);
        stream_close(s);
    } else {
        s->render = render_new(s->form.kind, s->form.cols, !s->form.job, event_reader_spec(reader));
        s->stream = reply_stream(s->request, s->form.status, render_content_type(s->form.kind), -1, &ops, s);
        s->request = NULL;
    }
}

static void gone_while_opening(void *arg)
{
    ((struct event_stream *)arg)->request = NULL;
}

void event_stream_reply(struct request *request, struct app *app, const struct event_stream_form *form)
{
    struct event_stream *s = mem_new(struct event_stream);
    struct engine_caller caller = answer_caller(request);
    s->app = app;
    s->request = request;
    s->form = *form;
    s->form.job = mem_strdup_null(form->job);
    s->out = STRBUF_INIT(EVENT_BYTES_MAX);
    request_on_gone(request, gone_while_opening, s);
    struct event_reader_options options = {
        .job = s->form.job,
        .since = form->since,
        .after = form->after,
        .follow = form->follow,
        .wake = wake,
        .arg = s,
    };
    event_reader_open(app->engine, &options, &caller, opened, s);
}
