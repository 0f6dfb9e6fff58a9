// SPDX-License-Identifier: Apache-2.0
//
// Events as an answer: one event source, its encodings chosen by Accept. Used by GET …/events, GET /v1/events
// and by POST /v1/jobs when the answer is the stream of the new job. Loop only.
#pragma once

#include "handlers/app.h"
#include "handlers/render.h"

struct event_stream_form {
    enum render_kind kind;
    int cols;        // RENDER_BARS
    const char *job; // NULL: all jobs
    int64_t since;   // job: kept events above
    int64_t after;   // all jobs: cursor above; -1 from now
    bool follow;
    int status;
};

// What the request asks for: Accept, tty, cols, follow, and where to go on (Last-Event-ID wins over
// `since`/`after`, because a browser that reconnects repeats the query). Checks the query.
int event_stream_form_of_job(const struct request *request, struct event_stream_form *ret, struct error *err);
int event_stream_form_of_all(const struct request *request, struct event_stream_form *ret, struct error *err);
// For POST: kind is RENDER_NONE unless Accept prefers a stream to application/json.
int event_stream_form_of_submit(const struct request *request, struct event_stream_form *ret,
                                struct error *err);
// Opens a reader and replies with the stream, or with the problem (not found, expired with oldest_seq).
void event_stream_reply(struct request *request, struct app *app, const struct event_stream_form *form);
