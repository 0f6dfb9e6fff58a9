// SPDX-License-Identifier: Apache-2.0
//
// The bounded buffer: doubles up to its maximum, then refuses.
#include "base/strbuf.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

// Not realloc(3), which would leave copies of a secret behind where strbuf_wipe cannot reach them.
static void move_to(struct strbuf *buf, size_t capacity)
{
    char *data = mem_alloc(capacity);
    if (buf->data) {
        memcpy(data, buf->data, buf->len + 1);
        explicit_bzero(buf->data, buf->capacity);
        free(buf->data);
    }
    buf->data = data;
    buf->capacity = capacity;
}

// Room for len more bytes and a NUL, or -1.
static int make_room(struct strbuf *buf, size_t len)
{
    if (len > buf->max || buf->len > buf->max - len) {
        buf->overflow = true;
        return -1;
    }
    size_t needed = buf->len + len + 1;
    if (needed <= buf->capacity)
        return 0;
    size_t capacity = buf->capacity ? buf->capacity : 64;
    while (capacity < needed)
        capacity *= 2;
    if (capacity - 1 > buf->max)
        capacity = buf->max + 1;
    move_to(buf, capacity);
    return 0;
}

int strbuf_append(struct strbuf *buf, const void *bytes, size_t len)
{
    if (make_room(buf, len))
        return -1;
    if (len)
        memcpy(buf->data + buf->len, bytes, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
    return 0;
}

int strbuf_puts(struct strbuf *buf, const char *text)
{
    return strbuf_append(buf, text, strlen(text));
}

int strbuf_putc(struct strbuf *buf, char c)
{
    return strbuf_append(buf, &c, 1);
}

int strbuf_printf(struct strbuf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0)
        buf->overflow = true;
    int result = len < 0 ? -1 : make_room(buf, (size_t)len);
    if (!result) {
        vsnprintf(buf->data + buf->len, (size_t)len + 1, format, again);
        buf->len += (size_t)len;
    }
    va_end(again);
    return result;
}

static int is_unreserved(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

int strbuf_put_escaped(struct strbuf *buf, const char *text, const char *keep)
{
    size_t before = buf->len;
    int result = 0;
    for (; *text && !result; text++) {
        unsigned char c = (unsigned char)*text;
        if (is_unreserved(c) || (keep && strchr(keep, c)))
            result = strbuf_putc(buf, (char)c);
        else
            result = strbuf_printf(buf, "%%%02X", c);
    }
    if (result && buf->data) {
        buf->len = before;
        buf->data[before] = '\0';
    }
    return result;
}

void strbuf_consume(struct strbuf *buf, size_t len)
{
    if (len > buf->len)
        len = buf->len;
    if (!len)
        return;
    memmove(buf->data, buf->data + len, buf->len - len + 1);
    buf->len -= len;
}

void strbuf_reset(struct strbuf *buf)
{
    buf->len = 0;
    buf->overflow = false;
    if (buf->data)
        buf->data[0] = '\0';
}

void strbuf_free(struct strbuf *buf)
{
    free(buf->data);
    *buf = STRBUF_INIT(buf->max);
}

void strbuf_wipe(struct strbuf *buf)
{
    if (buf->data)
        explicit_bzero(buf->data, buf->capacity);
    strbuf_free(buf);
}

char *strbuf_take(struct strbuf *buf)
{
    char *text = buf->data ? buf->data : mem_strdup("");
    *buf = STRBUF_INIT(buf->max);
    return text;
}

const char *strbuf_text(const struct strbuf *buf)
{
    return buf->data ? buf->data : "";
}
