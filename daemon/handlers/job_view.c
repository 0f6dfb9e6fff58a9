// SPDX-License-Identifier: Apache-2.0
//
// Folds events (api/events.md) into what a terminal shows. Events are the daemon's own, but names in them
// came from outside: they are quoted where they are printed, and nothing here grows without bound.
#include "handlers/job_view.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "handlers/text.h"

enum { TITLE_MAX = 400, NOTE_MAX = 200, NAME_DIGITS = 12 };

static const char *target_text(const json_t *target)
{
    return json_is_string(target) ? json_string_value(target) : json_get_string(target, "ref");
}

static void put_targets(struct strbuf *out, const json_t *targets)
{
    size_t count = json_array_size(targets);
    if (count == 0)
        return;
    strbuf_puts(out, " -> ");
    text_put(out, target_text(json_array_get(targets, 0)), 160);
    if (count > 1)
        strbuf_printf(out, " and %zu more", count - 1);
}

static char *make_title(const json_t *spec)
{
    struct strbuf out = STRBUF_INIT(2 * TITLE_MAX);
    if (!spec)
        return strbuf_take(&out);
    const char *source = json_get_string(spec, "source");
    const char *kind = json_get_string(spec, "kind");
    text_put(&out, kind ? kind : "job", 20);
    if (!source)
        source = json_get_string(spec, "base");
    if (source) {
        strbuf_putc(&out, ' ');
        text_put(&out, source, 160);
    }
    put_targets(&out, json_object_get(spec, "targets"));
    return strbuf_take(&out);
}

void job_view_init(struct job_view *view, const json_t *spec)
{
    *view = (struct job_view){.eta_s = -1, .least_target = INT64_MAX, .most_target = -1};
    view->title = make_title(spec);
}

void job_view_fini(struct job_view *view)
{
    for (size_t i = 0; i < view->n_blobs; i++) {
        free(view->blobs[i].blob);
        free(view->blobs[i].note);
    }
    free(view->blobs);
    free(view->title);
}

bool job_view_many_targets(const struct job_view *view)
{
    return view->most_target > view->least_target;
}

bool view_blob_settled(const struct view_blob *blob)
{
    static const char *const settled[] = {"done", "exists", "mounted", "joined", "failed"};
    for (size_t i = 0; i < sizeof(settled) / sizeof(*settled); i++)
        if (strcmp(blob->state, settled[i]) == 0)
            return true;
    return false;
}

bool view_blob_active(const struct view_blob *blob)
{
    return blob->state[0] && !view_blob_settled(blob);
}

static void copy_short(char *ret, size_t size, const char *text)
{
    AUTO_FREE char *quoted = text ? str_quote(text, size - 1) : NULL;
    if (quoted && strlen(quoted) < size)
        memcpy(ret, quoted, strlen(quoted) + 1);
    else if (quoted)
        snprintf(ret, size, "%.*s", (int)size - 1, text);
}

static void set_name(struct view_blob *blob, const char *digest)
{
    const char *colon = digest ? strchr(digest, ':') : NULL;
    if (colon)
        snprintf(blob->name, sizeof(blob->name), "%.*s", NAME_DIGITS, colon + 1);
    else if (!blob->name[0])
        copy_short(blob->name, sizeof(blob->name), blob->blob);
}

static struct view_blob *add_blob(struct job_view *view, const char *name, int64_t target)
{
    if (view->n_blobs == JOB_VIEW_BLOBS_MAX)
        return NULL;
    if ((view->n_blobs & (view->n_blobs - 1)) == 0) {
        size_t capacity = view->n_blobs ? view->n_blobs * 2 : 1;
        view->blobs = mem_realloc(view->blobs, capacity * sizeof(*view->blobs));
    }
    struct view_blob *blob = &view->blobs[view->n_blobs++];
    *blob = (struct view_blob){.blob = mem_strdup(name), .target = target, .size = -1};
    set_name(blob, strncmp(name, "sha", 3) == 0 ? name : NULL);
    return blob;
}

// A layer is packed before it has a target, then uploaded to each: the row without one becomes the row of the
// first.
static struct view_blob *find_blob(struct job_view *view, const char *name, int64_t target)
{
    struct view_blob *loose = NULL;
    for (size_t i = 0; i < view->n_blobs; i++) {
        struct view_blob *blob = &view->blobs[i];
        if (strcmp(blob->blob, name) != 0)
            continue;
        if (blob->target == target || target < 0)
            return blob;
        if (blob->target < 0)
            loose = blob;
    }
    if (loose)
        loose->target = target;
    return loose;
}

static struct view_blob *blob_of(struct job_view *view, const json_t *members)
{
    const char *name = json_get_string(members, "blob");
    int64_t target = json_get_int(members, "target", -1);
    if (!name)
        return NULL;
    if (target > view->most_target)
        view->most_target = target;
    if (target >= 0 && target < view->least_target)
        view->least_target = target;
    struct view_blob *blob = find_blob(view, name, target);
    return blob ? blob : add_blob(view, name, target);
}

static void set_note(struct view_blob *blob, struct strbuf *text)
{
    free(blob->note);
    blob->note = strbuf_take(text);
}

static void apply_plan(struct job_view *view, const json_t *event)
{
    size_t i;
    json_t *member;
    view->bytes_total = json_get_int(event, "bytes_total", view->bytes_total);
    json_array_foreach(json_object_get(event, "blobs"), i, member) {
        struct view_blob *blob = blob_of(view, member);
        if (!blob)
            return;
        set_name(blob, json_get_string(member, "digest"));
        blob->size = json_get_int(member, "size", blob->size);
        copy_short(blob->role, sizeof(blob->role), json_get_string(member, "role"));
    }
    view->blobs_total = (int64_t)i > view->blobs_total ? (int64_t)i : view->blobs_total;
}

static struct view_blob *apply_state(struct job_view *view, const json_t *event)
{
    struct view_blob *blob = blob_of(view, event);
    if (!blob)
        return NULL;
    const char *from = json_get_string(event, "from"), *why = json_get_string(event, "why");
    struct strbuf note = STRBUF_INIT(NOTE_MAX * 2);
    set_name(blob, json_get_string(event, "digest"));
    blob->size = json_get_int(event, "size", blob->size);
    copy_short(blob->state, sizeof(blob->state), json_get_string(event, "state"));
    if (from || why) {
        strbuf_puts(&note, from ? "(from " : "(");
        text_put(&note, from ? from : why, NOTE_MAX);
        strbuf_putc(&note, ')');
    }
    set_note(blob, &note);
    blob->rate_bps = 0;
    if (view_blob_settled(blob) && blob->size >= 0)
        blob->current = blob->size;
    return blob;
}

static struct view_blob *apply_blob_progress(struct job_view *view, const json_t *event)
{
    struct view_blob *blob = blob_of(view, event);
    if (!blob)
        return NULL;
    const char *phase = json_get_string(event, "phase");
    if (phase)
        copy_short(blob->state, sizeof(blob->state), phase);
    blob->current = json_get_int(event, "current", blob->current);
    blob->size = json_get_int(event, "total", blob->size);
    blob->rate_bps = json_get_int(event, "rate_bps", 0);
    return blob;
}

static void apply_progress(struct job_view *view, const json_t *event)
{
    view->bytes_total = json_get_int(event, "bytes_total", view->bytes_total);
    view->bytes_done = json_get_int(event, "bytes_done", view->bytes_done);
    view->bytes_skipped = json_get_int(event, "bytes_skipped", view->bytes_skipped);
    view->bytes_mounted = json_get_int(event, "bytes_mounted", view->bytes_mounted);
    view->blobs_total = json_get_int(event, "blobs_total", view->blobs_total);
    view->blobs_done = json_get_int(event, "blobs_done", view->blobs_done);
    view->rate_bps = json_get_int(event, "rate_bps", view->rate_bps);
    view->eta_s = json_get_int(event, "eta_s", -1);
}

static struct view_blob *apply_retry(struct job_view *view, const json_t *event)
{
    struct view_blob *blob = blob_of(view, event);
    if (!blob)
        return NULL;
    struct strbuf note = STRBUF_INIT(NOTE_MAX * 2);
    strbuf_printf(&note, "%lld/%lld in ", (long long)json_get_int(event, "attempt", 0),
                  (long long)json_get_int(event, "max", 0));
    text_duration(&note, json_get_int(event, "delay_ms", 0));
    strbuf_puts(&note, ": ");
    text_put(&note, json_get_string(json_object_get(event, "problem"), "detail"), NOTE_MAX);
    set_note(blob, &note);
    snprintf(blob->state, sizeof(blob->state), "retry");
    return blob;
}

struct view_blob *job_view_apply(struct job_view *view, const char *type, const json_t *event)
{
    if (strcmp(type, "blob.state") == 0)
        return apply_state(view, event);
    if (strcmp(type, "blob.progress") == 0)
        return apply_blob_progress(view, event);
    if (strcmp(type, "retry") == 0)
        return apply_retry(view, event);
    if (strcmp(type, "progress") == 0)
        apply_progress(view, event);
    else if (strcmp(type, "job.plan") == 0)
        apply_plan(view, event);
    else if (strcmp(type, "job.started") == 0)
        view->started = true;
    else if (strcmp(type, "job.finished") == 0)
        view->finished = true;
    return NULL;
}
