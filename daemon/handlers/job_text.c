// SPDX-License-Identifier: Apache-2.0
//
// Tables and sheets from the JSON of the API. Called by job_list and job_get.
#include "handlers/job_text.h"

#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "handlers/render_text.h"
#include "handlers/text.h"

enum { TEXT_BYTES_MAX = 8 << 20 };

bool job_text_wanted(const struct request *request)
{
    static const char *const offered[] = {"application/json", "text/plain", NULL};
    return request_accepts(request, offered) == 1;
}

static void put_percent(struct strbuf *out, const json_t *job)
{
    const json_t *progress = json_object_get(job, "progress");
    int64_t total = json_get_int(progress, "bytes_total", 0);
    int64_t done = json_get_int(progress, "bytes_done", 0) + json_get_int(progress, "bytes_skipped", 0) +
                   json_get_int(progress, "bytes_mounted", 0);
    const char *state = json_get_string(job, "state");
    if (state && strcmp(state, "running") == 0 && total > 0)
        strbuf_printf(out, "%3lld%%", (long long)(done < total ? done * 100 / total : 100));
    else
        strbuf_puts(out, "    ");
}

static void put_title(struct strbuf *out, const json_t *job)
{
    struct job_view view;
    job_view_init(&view, json_object_get(job, "spec"));
    strbuf_puts(out, *view.title ? view.title : "job");
    job_view_fini(&view);
}

char *job_text_table(const json_t *list)
{
    struct strbuf out = STRBUF_INIT(TEXT_BYTES_MAX);
    size_t i;
    json_t *job;
    strbuf_puts(&out, "JOB                        STATE      DONE  CREATED                   WHAT\n");
    json_array_foreach(json_object_get(list, "items"), i, job) {
        const char *id = json_get_string(job, "id"), *state = json_get_string(job, "state");
        const char *created = json_get_string(job, "created_at");
        strbuf_printf(&out, "%-26s %-10s ", id ? id : "", state ? state : "");
        put_percent(&out, job);
        strbuf_printf(&out, "  %-24s  ", created ? created : "");
        put_title(&out, job);
        strbuf_putc(&out, '\n');
    }
    const char *next = json_get_string(list, "next");
    if (next)
        strbuf_printf(&out, "more: cursor=%s\n", next);
    return strbuf_take(&out);
}

static void put_field(struct strbuf *out, const char *label, const json_t *object, const char *key)
{
    const char *text = json_get_string(object, key);
    if (!text)
        return;
    strbuf_printf(out, "%-10s ", label);
    text_put(out, text, 2000);
    strbuf_putc(out, '\n');
}

static void put_refs(struct strbuf *out, const json_t *result)
{
    size_t i;
    json_t *ref;
    json_array_foreach(json_object_get(result, "refs"), i, ref) {
        strbuf_puts(out, "ref        ");
        text_put(out, json_string_value(ref), 512);
        strbuf_putc(out, '\n');
    }
}

static void put_amounts(struct strbuf *out, const json_t *progress)
{
    struct job_view view = {.eta_s = -1, .finished = true};
    if (!json_is_object(progress))
        return;
    view.bytes_total = json_get_int(progress, "bytes_total", 0);
    view.bytes_done = json_get_int(progress, "bytes_done", 0);
    view.bytes_skipped = json_get_int(progress, "bytes_skipped", 0);
    view.bytes_mounted = json_get_int(progress, "bytes_mounted", 0);
    view.blobs_total = json_get_int(progress, "blobs_total", 0);
    view.blobs_done = json_get_int(progress, "blobs_done", 0);
    strbuf_puts(out, "progress  ");
    render_text_total(&view, out);
    strbuf_putc(out, '\n');
}

char *job_text_one(const json_t *job)
{
    struct strbuf out = STRBUF_INIT(TEXT_BYTES_MAX);
    const json_t *error = json_object_get(job, "error"), *result = json_object_get(job, "result");
    put_field(&out, "job", job, "id");
    strbuf_puts(&out, "what       ");
    put_title(&out, job);
    strbuf_putc(&out, '\n');
    put_field(&out, "state", job, "state");
    put_field(&out, "created", job, "created_at");
    put_field(&out, "started", job, "started_at");
    put_field(&out, "finished", job, "finished_at");
    put_amounts(&out, json_object_get(job, "progress"));
    put_field(&out, "digest", result, "digest");
    put_refs(&out, result);
    put_field(&out, "error", error, "detail");
    put_field(&out, "code", error, "code");
    put_field(&out, "hint", error, "hint");
    return strbuf_take(&out);
}
