// SPDX-License-Identifier: Apache-2.0
//
// One request under way: its birth, its pauses, its end. Belongs to one worker.
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "net/transport_internal.h"

static void free_headers(struct curl_slist *headers)
{
    for (struct curl_slist *item = headers; item; item = item->next)
        explicit_bzero(item->data, strlen(item->data)); // one of them may be Authorization
    curl_slist_free_all(headers);
}

static size_t body_max(const struct http_call *call)
{
    return call->max_body > HTTP_ERROR_BODY_MAX ? call->max_body : HTTP_ERROR_BODY_MAX;
}

struct transport_stream *transport_stream_new(struct transport_multi *multi, const struct http_call *call,
                                              const struct secret *authorization,
                                              const struct transport_stream_ops *ops, void *arg,
                                              struct error *err)
{
    struct transport_stream *stream = mem_new(struct transport_stream);
    const struct host_settings *host =
        host_table_get(multi->transport->options.hosts, call->url.host, call->url.port);
    *stream = (struct transport_stream){.multi = multi,
                                        .call = call,
                                        .ops = ops,
                                        .arg = arg,
                                        .host = host,
                                        .proxied = host->proxy && host->proxy[0],
                                        .err = ERROR_INIT,
                                        .body = STRBUF_INIT(body_max(call)),
                                        .answer = {.retry_after_ms = -1}};
    list_append(&multi->streams, &stream->link);
    if (host->bytes_per_s > 0)
        stream->pace = pace_find_host(multi->transport->pace, call->url.host);
    if (transport_setup(stream, authorization, err) != 0) {
        transport_stream_free(stream);
        return NULL;
    }
    transport_lane_knows(multi->lane, &call->url);
    transport_clock_start(stream, clock_ms());
    curl_multi_add_handle(multi->lane->curl, stream->easy);
    if (multi->monitor)
        atomic_fetch_add_explicit(&multi->monitor->requests, 1, memory_order_relaxed);
    return stream;
}

void transport_stream_free(struct transport_stream *stream)
{
    if (!stream)
        return;
    if (stream->easy) {
        if (!stream->done)
            curl_multi_remove_handle(stream->multi->lane->curl, stream->easy);
        curl_easy_cleanup(stream->easy);
    }
    free_headers(stream->headers);
    list_remove(&stream->link);
    http_answer_clear(&stream->answer);
    strbuf_free(&stream->body);
    error_clear(&stream->err);
    free(stream);
}

void transport_stream_fail(struct transport_stream *stream, struct error *err)
{
    if (!stream->failed)
        error_move(&stream->err, err);
    stream->failed = true;
    error_clear(err);
}

// By redirects a request gets anywhere: the names of hosts come from outside.
static void count(const struct transport_stream *stream)
{
    static const char *const classes[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
    int status = stream->answer.status;
    const struct url *url = &stream->call->url;
    AUTO_FREE char *host =
        url->port == 443 ? mem_strdup(url->host) : mem_printf("%s:%d", url->host, url->port);
    metrics_add(METRIC_REGISTRY_REQUESTS, 1, metrics_bounded_name(host),
                classes[status >= 100 && status < 600 ? status / 100 : 0], NULL);
}

void transport_stream_end(struct transport_stream *stream, CURLcode code)
{
    curl_multi_remove_handle(stream->multi->lane->curl, stream->easy);
    stream->code = code;
    stream->done = true;
    count(stream);
}

bool transport_stream_done(const struct transport_stream *stream)
{
    return stream->done;
}

void transport_stream_fresh(struct transport_stream *stream)
{
    curl_easy_setopt(stream->easy, CURLOPT_FRESH_CONNECT, 1L);
}

void transport_stream_hold(struct transport_stream *stream, bool hold)
{
    stream->held = hold;
}

void transport_stream_wake(struct transport_stream *stream)
{
    stream->starved = false;
}

int64_t transport_stream_sent(const struct transport_stream *stream)
{
    curl_off_t sent = 0;
    curl_easy_getinfo(stream->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    return sent;
}

void transport_stream_pace(struct transport_stream *stream, size_t bytes, int64_t *until_ms)
{
    if (!stream->pace)
        return;
    int64_t now_ms = clock_ms();
    int64_t wait_ms = pace_book(stream->pace, stream->host->bytes_per_s, bytes, now_ms);
    if (wait_ms > 0)
        *until_ms = now_ms + wait_ms;
}

int64_t transport_stream_adjust(struct transport_stream *stream, int64_t now_ms)
{
    bool receive = stream->held || stream->pace_receive_ms > now_ms;
    bool send = stream->starved || stream->pace_send_ms > now_ms;
    if (stream->connected && (receive != stream->recv_paused || (stream->send_paused && !send))) {
        // Flags first: libcurl may call back from inside and find them as they will be.
        stream->recv_paused = receive;
        stream->send_paused &= send;
        curl_easy_pause(stream->easy,
                        (receive ? CURLPAUSE_RECV : 0) | (stream->send_paused ? CURLPAUSE_SEND : 0));
    }
    int64_t due_ms = -1;
    if (stream->pace_receive_ms > now_ms)
        due_ms = stream->pace_receive_ms - now_ms;
    if (stream->pace_send_ms > now_ms && (due_ms < 0 || stream->pace_send_ms - now_ms < due_ms))
        due_ms = stream->pace_send_ms - now_ms;
    return due_ms;
}

// An old connection may be closed by the other side at the moment it is used again.
static bool is_stale(const struct transport_stream *stream)
{
    long connects = 1;
    if (stream->failed || stream->denied || stream->received > 0)
        return false;
    if (stream->code == CURLE_SEND_FAIL_REWIND) // libcurl itself took it for stale
        return true;
    if (stream->code != CURLE_SEND_ERROR && stream->code != CURLE_RECV_ERROR &&
        stream->code != CURLE_GOT_NOTHING)
        return false;
    curl_easy_getinfo(stream->easy, CURLINFO_NUM_CONNECTS, &connects);
    return connects == 0 && (!stream->ops->send || stream->ops->rewind);
}

int transport_stream_take(struct transport_stream *stream, struct http_answer *ret, bool *ret_stale,
                          struct error *err)
{
    *ret_stale = false;
    if (stream->failed) {
        error_move(err, &stream->err);
        return -1;
    }
    if (stream->code != CURLE_OK && !stream->truncated) {
        *ret_stale = is_stale(stream);
        return transport_error(stream, err);
    }
    stream->answer.body_len = stream->body.len;
    stream->answer.body = strbuf_take(&stream->body);
    *ret = stream->answer;
    stream->answer = (struct http_answer){.retry_after_ms = -1};
    return 0;
}
