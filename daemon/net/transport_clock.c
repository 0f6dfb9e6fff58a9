// SPDX-License-Identifier: Apache-2.0
//
// Time limits of one request: the first byte of the answer must come in time, and bytes must keep moving.
// Never a limit on the whole: a large blob over a slow line is fine as long as it moves. Time in which we
// ourselves hold the stream back does not count. (The connection's own limit is libcurl's.)
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "net/transport_internal.h"

// A server may digest a large body before it answers: this much time more per byte, 16 MiB a second.
enum { SETTLE_BYTES_PER_MS = 16 << 10 };

static int64_t moved(const struct transport_stream *stream)
{
    return stream->received + transport_stream_sent(stream);
}

void transport_clock_start(struct transport_stream *stream, int64_t now_ms)
{
    stream->clock = (struct stream_clock){.window_ms = now_ms, .progress_ms = now_ms};
}

static void restart(struct transport_stream *stream, int64_t bytes, int64_t now_ms)
{
    stream->clock = (struct stream_clock){now_ms, bytes, now_ms, bytes};
}

static void give_up(struct transport_stream *stream, const char *format, int64_t ms)
{
    struct error err = ERROR_INIT;
    AUTO_FREE char *host = str_quote(stream->call->url.host, 260);
    AUTO_FREE char *what = mem_printf(format, (long long)ms);
    error_set(&err, ERR_REGISTRY_UNREACHABLE, "%s:%d %s", host, stream->call->url.port, what);
    error_hint(&err,
               "check the network and the registry's load; the limits are the first-byte and stall settings");
    transport_stream_fail(stream, &err);
}

static bool waiting_for_answer(const struct transport_stream *stream)
{
    return !stream->head_done && stream->received == 0 &&
           transport_stream_sent(stream) >= stream->call->body_len;
}

static void check_first_byte(struct transport_stream *stream, int64_t now_ms)
{
    stream->clock.window_ms = now_ms; // the body's time begins with its first byte
    int64_t limit_ms =
        stream->multi->transport->options.first_byte_ms + stream->call->body_len / SETTLE_BYTES_PER_MS;
    if (now_ms - stream->clock.progress_ms >= limit_ms)
        give_up(stream, "took the request but sent no answer within %lld ms", limit_ms);
}

static void check_window(struct transport_stream *stream, int64_t bytes, int64_t now_ms)
{
    const struct transport_options *options = &stream->multi->transport->options;
    int64_t window_ms = options->stall_window_ms;
    bool over = now_ms - stream->clock.window_ms >= window_ms;
    bool slow = (bytes - stream->clock.window_bytes) * 1000 < options->stall_bytes_per_s * window_ms;
    if (over && slow)
        give_up(stream, "stalled: (almost) no bytes moved for %lld ms", window_ms);
    else if (over) {
        stream->clock.window_ms = now_ms;
        stream->clock.window_bytes = bytes;
    }
}

void transport_clock_check(struct transport_stream *stream, int64_t now_ms)
{
    int64_t bytes = moved(stream);
    if (!stream->connected || stream->recv_paused || stream->send_paused) {
        restart(stream, bytes, now_ms);
        return;
    }
    if (bytes != stream->clock.progress_bytes) {
        stream->clock.progress_bytes = bytes;
        stream->clock.progress_ms = now_ms;
    }
    if (waiting_for_answer(stream))
        check_first_byte(stream, now_ms);
    else
        check_window(stream, bytes, now_ms);
}
