// SPDX-License-Identifier: Apache-2.0
//
// HTTP values: header lists, calls, answers. Pure; used by all of net and by those who build calls.
#include "net/http.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

void http_headers_add(struct http_headers *headers, const char *name, const char *value)
{
    if ((headers->count & (headers->count - 1)) == 0) { // full at 0, 1, 2, 4, 8 …
        size_t capacity = headers->count ? 2 * headers->count : 1;
        headers->items = mem_realloc(headers->items, capacity * sizeof *headers->items);
    }
    headers->items[headers->count++] = (struct http_header){mem_strdup(name), mem_strdup(value)};
}

const char *http_headers_find(const struct http_headers *headers, const char *name)
{
    size_t index = 0;
    return http_headers_next(headers, name, &index);
}

const char *http_headers_next(const struct http_headers *headers, const char *name, size_t *index)
{
    for (size_t i = *index; i < headers->count; i++)
        if (str_equal_case(headers->items[i].name, name)) {
            *index = i;
            return headers->items[i].value;
        }
    return NULL;
}

void http_headers_clear(struct http_headers *headers)
{
    for (size_t i = 0; i < headers->count; i++) {
        free(headers->items[i].name);
        free(headers->items[i].value);
    }
    free(headers->items);
    *headers = (struct http_headers){0};
}

void http_call_clear(struct http_call *call)
{
    url_clear(&call->url);
    http_headers_clear(&call->headers);
}

void http_call_copy(struct http_call *dst, const struct http_call *src)
{
    *dst = *src;
    dst->headers = (struct http_headers){0};
    url_copy(&dst->url, &src->url);
    for (size_t i = 0; i < src->headers.count; i++)
        http_headers_add(&dst->headers, src->headers.items[i].name, src->headers.items[i].value);
}

void http_answer_clear(struct http_answer *answer)
{
    http_headers_clear(&answer->headers);
    free(answer->body);
    url_clear(&answer->url);
    *answer = (struct http_answer){.retry_after_ms = -1};
}

char *http_answer_media_type(const struct http_answer *answer)
{
    const char *value = http_headers_find(&answer->headers, "content-type");
    if (!value)
        return NULL;
    value += strspn(value, " \t");
    char *type = mem_strndup(value, strcspn(value, "; \t,"));
    str_lower(type);
    if (*type)
        return type;
    free(type);
    return NULL;
}

int64_t http_parse_retry_after(const char *value)
{
    int64_t seconds, date_ms;
    size_t digits = strspn(value, "0123456789");
    if (digits > 0 && value[digits] == '\0') {
        if (digits > 9 || !str_to_int64(value, 0, HTTP_RETRY_AFTER_MAX_MS / 1000, &seconds))
            return HTTP_RETRY_AFTER_MAX_MS;
        return seconds * 1000;
    }
    if (!clock_parse_http_date(value, &date_ms))
        return -1;
    int64_t wait_ms = date_ms - clock_wall_ms();
    return wait_ms < 0 ? 0 : wait_ms > HTTP_RETRY_AFTER_MAX_MS ? HTTP_RETRY_AFTER_MAX_MS : wait_ms;
}

// A number that ends at one of `ends`; *text moves behind that.
static bool take_number(const char **text, const char *ends, int64_t *ret)
{
    size_t len = strcspn(*text, ends);
    AUTO_FREE char *digits = mem_strndup(*text, len);
    *text += len + ((*text)[len] != '\0');
    return str_to_int64(digits, 0, INT64_MAX, ret);
}

bool http_parse_content_range(const char *value, int64_t *ret_first, int64_t *ret_total)
{
    int64_t last;
    *ret_total = -1;
    if (!str_starts(value, "bytes "))
        return false;
    value += strlen("bytes ");
    if (!take_number(&value, "-", ret_first) || !take_number(&value, "/", &last) || last < *ret_first)
        return false;
    return str_equal(value, "*") || take_number(&value, "", ret_total);
}
