// SPDX-License-Identifier: Apache-2.0
//
// What comes back: the status line, the header block (bounded, tolerant of bare line feeds, interim answers
// and folded lines), and the body, which is kept in memory up to its maximum or handed on. Called back by
// libcurl.
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/transport_internal.h"

static size_t fail(struct transport_stream *stream, struct error *err)
{
    transport_stream_fail(stream, err);
    return 0; // not the number of bytes given: libcurl ends the request
}

// A good answer that is kept in memory, rather than an error or a body that goes on to somebody.
static bool is_kept(const struct transport_stream *stream)
{
    int status = stream->answer.status;
    bool streamed = stream->ops->receive && (status == 200 || status == 206);
    return status < 300 && stream->call->max_body > 0 && !streamed;
}

static int too_large(const struct transport_stream *stream, struct error *err)
{
    return error_set(err, ERR_TOO_LARGE, "the answer of %s:%d is larger than %zu bytes",
                     stream->call->url.host, stream->call->url.port, stream->call->max_body);
}

// Who announces too much is not listened to.
static int judge_length(const struct transport_stream *stream, struct error *err)
{
    int64_t len;
    const char *text = http_headers_find(&stream->answer.headers, "content-length");
    bool has_body = strcmp(stream->call->method, "HEAD") != 0;
    if (!text || !has_body || !is_kept(stream) || !str_to_int64(text, 0, INT64_MAX, &len) ||
        len <= (int64_t)stream->call->max_body)
        return 0;
    return too_large(stream, err);
}

static int finish_head(struct transport_stream *stream, struct error *err)
{
    struct http_answer *answer = &stream->answer;
    const char *retry_after = http_headers_find(&answer->headers, "retry-after");
    if (answer->status < 200) { // interim: 100, 102, 103
        http_headers_clear(&answer->headers);
        return 0;
    }
    stream->head_done = true;
    answer->retry_after_ms = retry_after ? http_parse_retry_after(retry_after) : -1;
    if (judge_length(stream, err) < 0)
        return -1;
    return stream->ops->head ? stream->ops->head(stream->arg, answer, err) : 0;
}

static void begin_head(struct transport_stream *stream, const char *line)
{
    long status = 0;
    (void)line;
    curl_easy_getinfo(stream->easy, CURLINFO_RESPONSE_CODE, &status);
    const char *blank = strchr(line, ' ');
    int64_t code;
    char digits[4] = "";
    if (blank)
        memcpy(digits, blank + 1, strnlen(blank + 1, 3));
    stream->answer.status = str_to_int64(digits, 100, 999, &code) ? (int)code : (int)status;
    http_headers_clear(&stream->answer.headers);
}

static char *trimmed(const char *text, size_t len)
{
    while (len > 0 && isspace((unsigned char)text[0])) {
        text++;
        len--;
    }
    while (len > 0 && isspace((unsigned char)text[len - 1]))
        len--;
    return mem_strndup(text, len);
}

// A line that begins with a blank goes on with the value before it (RFC 9112 section 5.2).
static void unfold(struct http_headers *headers, const char *line)
{
    if (headers->count == 0)
        return;
    char **value = &headers->items[headers->count - 1].value;
    AUTO_FREE char *more = trimmed(line, strlen(line));
    char *whole = mem_printf("%s %s", *value, more);
    free(*value);
    *value = whole;
}

static void add_line(struct http_headers *headers, const char *line)
{
    const char *colon = strchr(line, ':');
    if (!colon || colon == line)
        return;
    AUTO_FREE char *name = trimmed(line, (size_t)(colon - line));
    AUTO_FREE char *value = trimmed(colon + 1, strlen(colon + 1));
    str_lower(name);
    http_headers_add(headers, name, value);
}

size_t transport_receive_header(char *bytes, size_t size, size_t count, void *arg)
{
    struct transport_stream *stream = arg;
    struct error err = ERROR_INIT;
    size_t len = size * count;
    stream->received += (int64_t)len;
    stream->header_bytes += len;
    if (stream->header_bytes > HTTP_HEADERS_BYTES_MAX) {
        error_set(&err, ERR_REGISTRY_PROTOCOL, "%s:%d sent more than %d bytes of headers",
                  stream->call->url.host, stream->call->url.port, HTTP_HEADERS_BYTES_MAX);
        return fail(stream, &err);
    }
    if (stream->head_done || memchr(bytes, '\0', len)) // trailers; a NUL has no business here
        return len;
    AUTO_FREE char *line = mem_strndup(bytes, len);
    line[strcspn(line, "\r\n")] = '\0';
    if (line[0] == '\0')
        return finish_head(stream, &err) == 0 ? len : fail(stream, &err);
    if (strncmp(line, "HTTP/", 5) == 0 && !strchr(line, ':'))
        begin_head(stream, line);
    else if (line[0] == ' ' || line[0] == '\t')
        unfold(&stream->answer.headers, line);
    else
        add_line(&stream->answer.headers, line);
    return len;
}

// Of an answer that is an error, the beginning is enough; of a good one, all or nothing.
static size_t keep(struct transport_stream *stream, const char *bytes, size_t len)
{
    struct error err = ERROR_INIT;
    bool wanted = is_kept(stream);
    if (wanted && stream->body.len + len > stream->call->max_body) {
        too_large(stream, &err);
        return fail(stream, &err);
    }
    if (!wanted && stream->body.len + len > HTTP_ERROR_BODY_MAX) {
        strbuf_append(&stream->body, bytes, HTTP_ERROR_BODY_MAX - stream->body.len);
        stream->truncated = true;
        return 0;
    }
    strbuf_append(&stream->body, bytes, len);
    return len;
}

size_t transport_receive_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct transport_stream *stream = arg;
    struct error err = ERROR_INIT;
    size_t len = size * count;
    // libcurl reads on for as long as there is something to read: it must be told here.
    if (stream->pace && stream->pace_receive_ms > clock_ms()) {
        stream->recv_paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    bool streamed = stream->ops->receive && (stream->answer.status == 200 || stream->answer.status == 206);
    if (!streamed) {
        stream->received += (int64_t)len;
        transport_stream_pace(stream, len, &stream->pace_receive_ms);
        return keep(stream, bytes, len);
    }
    int rc = stream->ops->receive(stream->arg, bytes, len, &err);
    if (rc == TRANSPORT_WAIT) {
        stream->held = stream->recv_paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    if (rc != 0)
        return fail(stream, &err);
    stream->received += (int64_t)len;
    stream->answer.sink_bytes += (int64_t)len;
    transport_stream_pace(stream, len, &stream->pace_receive_ms);
    return len;
}
