// SPDX-License-Identifier: Apache-2.0
//
// Pieces of text for people: sizes, times, cut and quoted words. Everything that came from outside goes
// through text_put, so that no control sequence reaches a terminal.
#pragma once

#include <stdint.h>

#include "base/strbuf.h"

void text_bytes(struct strbuf *out, int64_t bytes);               // "20.4 MB"
void text_ratio(struct strbuf *out, int64_t done, int64_t total); // "12.1/20.4 MB"
void text_duration(struct strbuf *out, int64_t ms);               // "3 s", "2 min 5 s"
void text_put(struct strbuf *out, const char *text, size_t max);  // quoted, cut to max bytes
// Appends one line cut to cols columns (code points), with the line end given.
void text_line(struct strbuf *out, const char *line, int cols, const char *end);
