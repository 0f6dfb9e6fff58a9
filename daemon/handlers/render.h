// SPDX-License-Identifier: Apache-2.0
//
// One event after the other into bytes: a line of JSON, a server-sent event, an element of an array, lines
// for people, or bars that redraw themselves on a terminal. A renderer belongs to one stream. Loop only.
#pragma once

#include "base/strbuf.h"
#include "jobs/event_log.h"

enum render_kind { RENDER_NONE, RENDER_NDJSON, RENDER_SSE, RENDER_ARRAY, RENDER_TEXT, RENDER_BARS };

enum { RENDER_COLS_MIN = 60, RENDER_COLS_MAX = 400, RENDER_COLS_DEFAULT = 80 };

struct render;

// all_jobs: ids are cursors, lines of text name their job. spec: of the one job, may be NULL; borrowed for
// the call.
struct render *render_new(enum render_kind kind, int cols, bool all_jobs, const json_t *spec);
void render_free(struct render *render);
const char *render_content_type(enum render_kind kind);
void render_event(struct render *render, struct event *event, struct strbuf *out);
// Before the stream goes to sleep: what is drawn only once for many events (bars).
void render_pause(struct render *render, struct strbuf *out);
// After a silence. event is a heartbeat made by the reader.
void render_heartbeat(struct render *render, struct event *event, struct strbuf *out);
void render_end(struct render *render, struct strbuf *out);
