// SPDX-License-Identifier: Apache-2.0
//
// Events as lines for people (render_text_event) and as bars for a terminal (render_bars). Used by render.c.
#pragma once

#include "base/strbuf.h"
#include "handlers/job_view.h"

// The line that an event is worth, if any. prefix: "" or the job's id and a space. bars: states are drawn
// elsewhere, so only what must not be lost (warnings, retries, the end) becomes a line.
void render_text_event(struct job_view *view, const char *type, const json_t *event, const char *prefix,
                       bool bars, struct strbuf *out);
void render_text_total(const struct job_view *view,
                       struct strbuf *out); // " total 12.1/25.9 MB …", no line end
// Draws the bars, after moving up over *lines that were drawn before; *lines is what stands there now.
void render_bars(const struct job_view *view, int cols, int *lines, struct strbuf *out);
