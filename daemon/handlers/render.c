// SPDX-License-Identifier: Apache-2.0
//
// One event source, five encodings. JSON lines are passed on as they were made; only text and bars read them
// again. Called by event_stream.c in the order of the events.
#include "handlers/render.h"

#include <string.h>

#include "base/mem.h"
#include "handlers/render_text.h"
#include "handlers/text.h"

enum { ALL_JOBS_BLOBS_MAX = 512 };

struct render {
    enum render_kind kind;
    int cols;
    bool all_jobs;
    bool begun;   // SSE: retry was told; array: the bracket is open
    bool changed; // bars: something to draw
    int lines;    // bars: drawn and still standing
    struct job_view view;
};

struct render *render_new(enum render_kind kind, int cols, bool all_jobs, const json_t *spec)
{
    struct render *render = mem_new(struct render);
    render->kind = kind;
    render->cols = cols;
    render->all_jobs = all_jobs;
    if (kind == RENDER_TEXT || kind == RENDER_BARS)
        job_view_init(&render->view, spec);
    return render;
}

void render_free(struct render *render)
{
    if (!render)
        return;
    job_view_fini(&render->view);
    free(render);
}

const char *render_content_type(enum render_kind kind)
{
    switch (kind) {
    case RENDER_SSE:
        return "text/event-stream";
    case RENDER_ARRAY:
        return "application/json";
    case RENDER_TEXT:
    case RENDER_BARS:
        return "text/plain; charset=utf-8";
    default:
        return "application/x-ndjson";
    }
}

static void put_sse(struct render *render, const struct event *event, struct strbuf *out)
{
    int64_t id = render->all_jobs ? event->cursor : event->seq;
    if (!render->begun)
        strbuf_puts(out, "retry: 2000\n\n");
    render->begun = true;
    if (event->seq > 0)
        strbuf_printf(out, "id: %lld\n", (long long)id);
    strbuf_puts(out, "data: ");
    strbuf_append(out, event->line, event->len);
    strbuf_puts(out, "\n\n");
}

static void put_element(struct render *render, const struct event *event, struct strbuf *out)
{
    strbuf_puts(out, render->begun ? ",\n" : "[");
    render->begun = true;
    strbuf_append(out, event->line, event->len);
}

static bool changes_bars(const char *type)
{
    return strncmp(type, "blob.", 5) == 0 || strcmp(type, "progress") == 0 || strcmp(type, "job.plan") == 0;
}

// Of all jobs there is no picture to keep, only the names of blobs; they start anew before they become many.
static void forget_old_blobs(struct render *render)
{
    if (!render->all_jobs || render->view.n_blobs < ALL_JOBS_BLOBS_MAX)
        return;
    job_view_fini(&render->view);
    job_view_init(&render->view, NULL);
}

// Bars are erased before a line that stays, and drawn again below it.
static void put_text(struct render *render, struct event *event, struct strbuf *out)
{
    if (strncmp(event->type, "step.", 5) == 0) // said by the states of blobs
        return;
    const json_t *members = event_members(event);
    const char *job = json_get_string(members, "job");
    AUTO_FREE char *prefix = render->all_jobs && job ? mem_printf("%s ", job) : mem_strdup("");
    struct strbuf line = STRBUF_INIT(out->max);
    bool bars = render->kind == RENDER_BARS;
    forget_old_blobs(render);
    render_text_event(&render->view, event->type, members, prefix, bars, &line);
    if (bars && render->view.finished && render->view.started && line.len > 0) {
        render_bars(&render->view, render->cols, &render->lines, out);
        render->lines = 0; // the last picture stays
        render->changed = false;
    } else if (bars && line.len > 0 && render->lines > 0) {
        strbuf_printf(out, "\x1b[%dA\r\x1b[J", render->lines);
        render->lines = 0;
    }
    if (bars && (changes_bars(event->type) || line.len > 0))
        render->changed = !render->view.finished;
    strbuf_append(out, strbuf_text(&line), line.len);
    strbuf_free(&line);
}

void render_event(struct render *render, struct event *event, struct strbuf *out)
{
    switch (render->kind) {
    case RENDER_SSE:
        put_sse(render, event, out);
        break;
    case RENDER_ARRAY:
        put_element(render, event, out);
        break;
    case RENDER_TEXT:
    case RENDER_BARS:
        put_text(render, event, out);
        break;
    default:
        strbuf_append(out, event->line, event->len);
        strbuf_putc(out, '\n');
    }
}

void render_pause(struct render *render, struct strbuf *out)
{
    if (render->kind != RENDER_BARS || !render->changed || !render->view.started)
        return;
    render_bars(&render->view, render->cols, &render->lines, out);
    render->changed = false;
}

void render_heartbeat(struct render *render, struct event *event, struct strbuf *out)
{
    if (render->kind == RENDER_ARRAY) {
        strbuf_putc(out, '\n');
    } else if (render->kind == RENDER_BARS) {
        render->changed = true;
        render_pause(render, out);
        if (out->len == 0)
            strbuf_puts(out, "\r");
    } else if (render->kind == RENDER_TEXT && render->all_jobs) {
        strbuf_puts(out, "\n");
    } else if (render->kind == RENDER_TEXT) {
        if (render->view.bytes_total > 0)
            render_text_total(&render->view, out);
        else
            strbuf_puts(out, "waiting");
        strbuf_putc(out, '\n');
    } else {
        render_event(render, event, out);
    }
}

void render_end(struct render *render, struct strbuf *out)
{
    if (render->kind == RENDER_ARRAY)
        strbuf_puts(out, render->begun ? "]\n" : "[]\n");
    else if (render->kind == RENDER_BARS && !render->view.finished)
        render_pause(render, out);
}
