// SPDX-License-Identifier: Apache-2.0
//
// Bars on a terminal: the cursor goes up over what was drawn, each line is overwritten and cleared to its
// end, what is left below is erased. Only a screenful is drawn: active blobs first, the settled ones counted.
// Called by render.c.
#include "handlers/render_text.h"

#include <string.h>

#include "base/mem.h"
#include "handlers/text.h"

enum { ROWS_MAX = 12, BAR_MIN = 10, BAR_MAX = 30, FIXED_COLUMNS = 64 };

static void put_bar(struct strbuf *out, const struct view_blob *blob, int width)
{
    bool moved = strcmp(blob->state, "done") == 0 || !view_blob_settled(blob);
    int full = 0;
    if (moved && blob->size > 0)
        full =
            blob->current >= blob->size ? width : (int)((double)blob->current / (double)blob->size * width);
    strbuf_putc(out, '[');
    for (int i = 0; i < width; i++)
        strbuf_putc(out, !moved ? '-' : i < full ? '=' : i == full && full > 0 ? '>' : ' ');
    strbuf_puts(out, "]  ");
}

static void put_amount(struct strbuf *out, const struct view_blob *blob)
{
    if (view_blob_active(blob) && blob->current > 0 && blob->size > 0)
        text_ratio(out, blob->current, blob->size);
    else if (blob->size >= 0 || blob->current > 0)
        text_bytes(out, blob->size >= 0 ? blob->size : blob->current);
    if (blob->rate_bps > 0) {
        strbuf_puts(out, "  ");
        text_bytes(out, blob->rate_bps);
        strbuf_puts(out, "/s");
    }
    if (blob->note && *blob->note)
        strbuf_printf(out, "  %s", blob->note);
}

static void put_row(struct strbuf *out, const struct job_view *view, const struct view_blob *blob, int cols)
{
    struct strbuf line = STRBUF_INIT(4096);
    int width = cols - FIXED_COLUMNS;
    width = width < BAR_MIN ? BAR_MIN : width > BAR_MAX ? BAR_MAX : width;
    strbuf_printf(&line, " %-12s %-7s %-11s ", blob->name, blob->role[0] ? blob->role : "blob",
                  blob->state[0] ? blob->state : "waiting");
    if (strcmp(blob->state, "retry") == 0)
        strbuf_puts(&line, blob->note ? blob->note : "");
    else {
        put_bar(&line, blob, width);
        put_amount(&line, blob);
    }
    if (blob->target >= 0 && job_view_many_targets(view))
        strbuf_printf(&line, "  target %lld", (long long)blob->target + 1);
    text_line(out, strbuf_text(&line), cols - 1, "\x1b[K\n");
    strbuf_free(&line);
}

// Draws up to `room` blobs for which the question is answered as wanted; returns how many.
static int put_rows(struct strbuf *out, const struct job_view *view, int cols, int room,
                    bool (*question)(const struct view_blob *), bool wanted)
{
    int rows = 0;
    for (size_t i = 0; i < view->n_blobs && rows < room; i++) {
        if (question(&view->blobs[i]) != wanted)
            continue;
        put_row(out, view, &view->blobs[i], cols);
        rows++;
    }
    return rows;
}

static bool is_waiting(const struct view_blob *blob)
{
    return !blob->state[0];
}

static int put_blobs(struct strbuf *out, const struct job_view *view, int cols)
{
    if (view->n_blobs <= ROWS_MAX) {
        for (size_t i = 0; i < view->n_blobs; i++)
            put_row(out, view, &view->blobs[i], cols);
        return (int)view->n_blobs;
    }
    int rows = put_rows(out, view, cols, ROWS_MAX, view_blob_active, true);
    rows += put_rows(out, view, cols, ROWS_MAX - rows, is_waiting, true);
    rows += put_rows(out, view, cols, ROWS_MAX - rows, view_blob_settled, true);
    AUTO_FREE char *line = mem_printf(" and %zu more", view->n_blobs - (size_t)rows);
    text_line(out, line, cols - 1, "\x1b[K\n");
    return rows + 1;
}

void render_bars(const struct job_view *view, int cols, int *lines, struct strbuf *out)
{
    struct strbuf total = STRBUF_INIT(1024);
    if (*lines > 0)
        strbuf_printf(out, "\x1b[%dA\r", *lines);
    *lines = 0;
    if (view->started && view->n_blobs > 0) {
        *lines = put_blobs(out, view, cols) + 1;
        render_text_total(view, &total);
        text_line(out, strbuf_text(&total), cols - 1, "\x1b[K\n");
    }
    strbuf_puts(out, "\x1b[J");
    strbuf_free(&total);
}
