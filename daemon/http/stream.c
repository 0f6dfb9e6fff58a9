// SPDX-License-Identifier: Apache-2.0
//
// Streamed replies between a handler's stream_ops and the library. What must hold: ops->close is called
// exactly once and last; a wake-up that arrives while ops->read runs is not lost; a sleeping stream always
// wakes for its heartbeat, because the library does not see a client leave while a connection is suspended.
#include "http/stream.h"

#include "base/mem.h"
#include "http/request_state.h"
#include "http/server_exchange.h"

// A read that keeps waking itself without producing anything is asked this often before it goes to sleep
// anyway.
enum { PULL_TRIES = 8 };

struct stream *stream_new(struct request *request, const struct stream_ops *ops, void *arg, int64_t now_ms)
{
    struct stream *stream = mem_new(struct stream);
    stream->request = request;
    stream->ops = ops;
    stream->arg = arg;
    stream->last_bytes_ms = stream->last_pull_ms = now_ms;
    return stream;
}

void stream_free(struct stream *stream)
{
    stream->ops->close(stream->arg);
    free(stream);
}

static ssize_t read_once(struct stream *stream, char *buffer, size_t max)
{
    stream->woken = false;
    stream->pulling = true;
    ssize_t got = stream->ops->read(stream->arg, buffer, max);
    stream->pulling = false;
    return got;
}

static bool silent_for(const struct stream *stream, int64_t now_ms, int64_t limit_ms)
{
    return now_ms - stream->last_bytes_ms >= limit_ms;
}

ssize_t stream_pull(struct stream *stream, char *buffer, size_t max, int64_t now_ms, int64_t heartbeat_ms)
{
    stream->last_pull_ms = now_ms;
    if (stream->cut)
        return STREAM_CUT;
    ssize_t got = 0;
    for (int tries = 0; tries < PULL_TRIES; tries++) {
        got = read_once(stream, buffer, max);
        if (got != 0 || !stream->woken)
            break;
    }
    if (got == 0 && stream->ops->heartbeat && silent_for(stream, now_ms, heartbeat_ms))
        got = (ssize_t)stream->ops->heartbeat(stream->arg, buffer, max);
    if (got > 0)
        stream->last_bytes_ms = now_ms;
    if (got == 0) {
        // Without bytes to send the next heartbeat is due only after another silence.
        if (silent_for(stream, now_ms, heartbeat_ms))
            stream->last_bytes_ms = now_ms;
        stream->suspended = true;
        server_exchange_suspend(stream->request);
    }
    return got;
}

void stream_wake(struct stream *stream)
{
    if (stream->pulling) {
        stream->woken = true;
    } else if (stream->suspended && stream->request) {
        stream->suspended = false;
        server_exchange_resume(stream->request);
    }
}

bool stream_heartbeat_due(const struct stream *stream, int64_t now_ms, int64_t heartbeat_ms)
{
    return stream->suspended && stream->ops->heartbeat && silent_for(stream, now_ms, heartbeat_ms);
}

bool stream_stalled(const struct stream *stream, int64_t now_ms, int64_t limit_ms)
{
    return !stream->suspended && now_ms - stream->last_pull_ms >= limit_ms;
}
