// SPDX-License-Identifier: Apache-2.0
//
// Event lines for people. The last line of every finished job is `result: STATE exit=N digest=… ref=…`, which
// scripts read; everything before it is for eyes. Called by render.c with events in order.
#include "handlers/render_text.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "handlers/text.h"

enum { MESSAGE_MAX = 2000, REFS_MAX = 1000 };

void render_text_total(const struct job_view *view, struct strbuf *out)
{
    int64_t saved = view->bytes_skipped + view->bytes_mounted;
    strbuf_puts(out, " total ");
    text_ratio(out, view->bytes_done, view->bytes_total - saved);
    if (saved > 0) {
        strbuf_puts(out, "  saved ");
        text_bytes(out, saved);
    }
    strbuf_printf(out, "  %lld/%lld blobs", (long long)view->blobs_done, (long long)view->blobs_total);
    if (view->rate_bps > 0 && !view->finished) {
        strbuf_puts(out, "  ");
        text_bytes(out, view->rate_bps);
        strbuf_puts(out, "/s");
    }
    if (view->eta_s > 0 && !view->finished) {
        strbuf_puts(out, "  ETA ");
        text_duration(out, view->eta_s * 1000);
    }
}

static void put_blob(const struct job_view *view, const struct view_blob *blob, struct strbuf *out)
{
    strbuf_printf(out, " %-12s %-8s %-11s", blob->name, blob->role[0] ? blob->role : "blob", blob->state);
    if (blob->size >= 0 && strcmp(blob->state, "retry") != 0) {
        strbuf_putc(out, ' ');
        text_bytes(out, blob->size);
    }
    if (blob->target >= 0 && job_view_many_targets(view))
        strbuf_printf(out, " to target %lld", (long long)blob->target + 1);
    if (blob->note && *blob->note)
        strbuf_printf(out, " %s", blob->note);
    strbuf_putc(out, '\n');
}

static void put_member(const json_t *event, const char *label, const char *key, struct strbuf *out)
{
    const char *text = json_get_string(event, key);
    if (!text)
        return;
    strbuf_puts(out, label);
    text_put(out, text, MESSAGE_MAX);
    strbuf_putc(out, '\n');
}

// "host/name:tag@digest" without the tag, which most tools refuse beside a digest. Local forms ("oci:/path:tag@…") stay as
// they are: their names are no tags of a repository. Caller frees.
static char *without_tag(const char *ref)
{
    const char *at = strchr(ref, '@'), *slash = strrchr(ref, '/');
    bool local = str_starts(ref, "oci:/") || str_starts(ref, "oci-archive:/") || str_starts(ref, "docker-archive:/");
    const char *colon = at && slash && !local ? memchr(slash, ':', (size_t)(at - slash)) : NULL;
    return colon ? mem_printf("%.*s%s", (int)(colon - ref), ref, at) : mem_strdup(ref);
}

// An image reference has no white space; one that has is not shown to scripts. Two tags of one repository are one result.
static void put_refs(const json_t *refs, struct strbuf *out)
{
    AUTO_FREE char *before = NULL;
    for (size_t i = 0; i < json_array_size(refs) && i < REFS_MAX; i++) {
        const char *text = json_string_value(json_array_get(refs, i));
        if (!text || strpbrk(text, " \t"))
            continue;
        char *shown = without_tag(text);
        if (!str_equal(shown, before)) {
            strbuf_puts(out, " ref=");
            text_put(out, shown, 512);
        }
        free(before);
        before = shown;
    }
}

static int exit_code(const char *state, const json_t *problem)
{
    if (state && strcmp(state, "succeeded") == 0)
        return 0;
    const char *wire = json_get_string(problem, "code");
    enum error_code code = wire ? error_from_wire(wire) : ERR_NONE;
    int exit = code != ERR_NONE ? error_exit_code(code) : 1;
    return exit > 0 ? exit : 1;
}

static void put_amount(const json_t *stats, const char *key, const char *label, struct strbuf *out)
{
    int64_t bytes = json_get_int(stats, key, 0);
    if (bytes <= 0)
        return;
    strbuf_puts(out, label);
    text_bytes(out, bytes);
    strbuf_putc(out, ',');
}

static void put_stats(const json_t *stats, struct strbuf *out)
{
    if (!json_is_object(stats))
        return;
    strbuf_puts(out, "moved:");
    put_amount(stats, "bytes_sent", " sent ", out);
    put_amount(stats, "bytes_received", " received ", out);
    put_amount(stats, "bytes_mounted", " mounted ", out);
    put_amount(stats, "bytes_skipped", " not sent ", out);
    strbuf_printf(out, " %lld requests, ", (long long)json_get_int(stats, "requests", 0));
    text_duration(out, json_get_int(stats, "duration_ms", 0));
    strbuf_putc(out, '\n');
}

static void put_finished(const json_t *event, struct strbuf *out)
{
    const char *state = json_get_string(event, "state");
    const json_t *problem = json_object_get(event, "error"), *result = json_object_get(event, "result");
    const char *digest = json_get_string(result, "digest");
    put_stats(json_object_get(result, "stats"), out);
    put_member(problem, "error: ", "detail", out);
    put_member(problem, "hint: ", "hint", out);
    strbuf_printf(out, "result: %s exit=%d", state ? state : "failed", exit_code(state, problem));
    if (digest) {
        strbuf_puts(out, " digest=");
        text_put(out, digest, 160);
    }
    put_refs(json_object_get(result, "refs"), out);
    strbuf_putc(out, '\n');
}

static void put_lifecycle(const struct job_view *view, const char *type, const json_t *event,
                          struct strbuf *out)
{
    const char *id = json_get_string(event, "job");
    int64_t attempt = json_get_int(event, "attempt", 1), position = json_get_int(event, "position", 0);
    if (strcmp(type, "job.queued") == 0) {
        strbuf_printf(out, "job %s queued", id ? id : "");
        if (position > 1)
            strbuf_printf(out, " (position %lld)", (long long)position);
        strbuf_putc(out, '\n');
    } else if (strcmp(type, "job.started") == 0) {
        strbuf_puts(out, *view->title ? view->title : "started");
        if (attempt > 1)
            strbuf_printf(out, " (attempt %lld)", (long long)attempt);
        strbuf_putc(out, '\n');
    } else if (strcmp(type, "job.requeued") == 0) {
        strbuf_printf(out, "queued again, attempt %lld: ", (long long)attempt);
        text_put(out, json_get_string(event, "reason"), MESSAGE_MAX);
        strbuf_putc(out, '\n');
    } else if (strcmp(type, "job.cancelling") == 0) {
        strbuf_puts(out, "cancelling\n");
    }
}

static void put_plan(const json_t *event, struct strbuf *out)
{
    int64_t bytes = json_get_int(event, "bytes_total", 0);
    strbuf_printf(out, "plan: %zu blobs", json_array_size(json_object_get(event, "blobs")));
    if (bytes > 0) {
        strbuf_puts(out, json_get_bool(event, "estimated", false) ? ", about " : ", ");
        text_bytes(out, bytes);
    }
    strbuf_putc(out, '\n');
}

void render_text_event(struct job_view *view, const char *type, const json_t *event, const char *prefix,
                       bool bars, struct strbuf *out)
{
    size_t before = out->len;
    const struct view_blob *blob = job_view_apply(view, type, event);
    strbuf_puts(out, prefix);
    size_t empty = out->len;
    if (strcmp(type, "blob.state") == 0 && blob && !bars)
        put_blob(view, blob, out);
    else if (strcmp(type, "retry") == 0 && blob && !bars)
        put_blob(view, blob, out);
    else if (strcmp(type, "warning") == 0)
        put_member(event, "warning: ", "message", out);
    else if (strcmp(type, "log") == 0)
        put_member(event, "", "message", out);
    else if (strcmp(type, "job.plan") == 0 && !bars)
        put_plan(event, out);
    else if (strcmp(type, "job.finished") == 0)
        put_finished(event, out);
    else if (strncmp(type, "job.", 4) == 0)
        put_lifecycle(view, type, event, out);
    if (out->len == empty && out->len > before) { // nothing to say: take the prefix back
        out->len = before;
        out->data[before] = '\0';
    }
}
