// SPDX-License-Identifier: Apache-2.0
//
// A growing text or byte buffer that is born with its maximum, so that nothing from outside can grow memory.
// An append beyond the maximum sets `overflow`, changes nothing and is answered with -1; check it at the end
// or at each call. `data` is always NUL-terminated once anything was appended (strbuf_text gives "" before).
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct strbuf {
    char *data;
    size_t len;
    size_t capacity;
    size_t max;
    bool overflow;
};

#define STRBUF_INIT(max_bytes) ((struct strbuf){.max = (max_bytes)})

int strbuf_append(struct strbuf *buf, const void *bytes, size_t len);
int strbuf_puts(struct strbuf *buf, const char *text);
int strbuf_putc(struct strbuf *buf, char c);
int strbuf_printf(struct strbuf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Percent-encodes all but RFC 3986 unreserved characters and those in `keep`.
int strbuf_put_escaped(struct strbuf *buf, const char *text, const char *keep);
void strbuf_consume(struct strbuf *buf, size_t len); // drops bytes from the front
void strbuf_reset(struct strbuf *buf);               // empty, keeps the memory
void strbuf_free(struct strbuf *buf);                // ends it; may be used again
void strbuf_wipe(struct strbuf *buf);                // overwrites, then frees: for secrets
char *strbuf_take(struct strbuf *buf);               // moves the text out (never NULL), leaves it empty
const char *strbuf_text(const struct strbuf *buf);
