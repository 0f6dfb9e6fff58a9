// SPDX-License-Identifier: Apache-2.0
//
// One HTTP request as data (struct http_call) and what came back (struct http_answer). Built by registry and
// credentials, carried out by transport, exchange and transfer. Values; the builder owns what it points at
// until the call returned.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/monitor.h"
#include "base/stream.h"
#include "net/url.h"

struct http_header {
    char *name;
    char *value;
};

struct http_headers {
    struct http_header *items;
    size_t count;
};

enum { HTTP_HEADERS_BYTES_MAX = 64 << 10, HTTP_ERROR_BODY_MAX = 64 << 10 };

struct http_call {
    const char *method;          // "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"
    struct url url;              // owned by the builder
    struct http_headers headers; // without Authorization, which only exchange adds
    // body: none, bytes, or a part of a reader
    const void *body;
    int64_t body_len; // 0 with method POST/PUT/PATCH sends Content-Length: 0
    struct reader_at *body_reader;
    int64_t body_offset;
    // answer
    size_t max_body; // of a buffered 2xx answer; more is ERR_TOO_LARGE ▸ caller's translation. 0: the body
                     // is of no interest. Bodies of other statuses are cut at HTTP_ERROR_BODY_MAX.
    bool decode;     // undo a Content-Encoding that the server adds unasked; max_body counts what comes out
    struct sink *sink;    // if set: the body of a 200/206 goes there instead; other statuses are buffered
    bool private_allowed; // from url_policy_check, or true for the registry itself
    enum address_class origin_class; // addresses of this class are fine as well: where the origin itself was
                                     // found (http_answer.address_class). ADDRESS_PUBLIC (0) adds nothing.
    struct monitor *monitor;         // cancel flag and counters; may be NULL
};

struct http_answer {
    int status;
    struct http_headers headers; // names lower case
    char *body;                  // NUL-terminated; never NULL after success
    size_t body_len;
    int64_t sink_bytes;
    struct url url;                   // the effective URL after redirects
    bool redirected_origin;           // the effective origin differs from the one asked
    enum address_class address_class; // of the connected address; behind a proxy, of the name
    int64_t retry_after_ms;           // from Retry-After (seconds or date), clamped to [0, 24 h]; -1 none
};

void http_headers_add(struct http_headers *headers, const char *name, const char *value);
// The first of that name, whatever its case; NULL if there is none.
const char *http_headers_find(const struct http_headers *headers, const char *name);
// All values of a repeated header, one after the other: *index is where to look from and becomes where it was
// found; add 1 to go on. NULL at the end.
const char *http_headers_next(const struct http_headers *headers, const char *name, size_t *index);
void http_headers_clear(struct http_headers *headers);
void http_call_clear(struct http_call *call); // url and headers; not body, reader, sink
// Copies url and headers; the rest is borrowed as before.
void http_call_copy(struct http_call *dst, const struct http_call *src);
void http_answer_clear(struct http_answer *answer);
// Retry-After, seconds or a date (RFC 9110 section 10.2.3), clamped to [0, 24 h]; -1: neither.
enum { HTTP_RETRY_AFTER_MAX_MS = 24 * 3600 * 1000 };
int64_t http_parse_retry_after(const char *value);
// "bytes FIRST-LAST/TOTAL" (RFC 9110 section 14.4); *ret_total is -1 for "*".
bool http_parse_content_range(const char *value, int64_t *ret_first, int64_t *ret_total);
// Media type of Content-Type without parameters, lower case; caller frees; NULL if absent.
char *http_answer_media_type(const struct http_answer *answer);
