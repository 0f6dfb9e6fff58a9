// SPDX-License-Identifier: Apache-2.0
//
// Several requests at once on one curl multi handle, for one worker: what `transfer` moves a blob with. A
// stream is one request under way; its callbacks run inside transport_multi_drive. Nothing here blocks but
// that call.
#pragma once

#include "net/transport.h"

struct transport_multi;
struct transport_stream;

enum { TRANSPORT_WAIT = -2 };

struct transport_stream_ops {
    // The final status and the headers are known; no byte of the body yet. May be NULL. -1 ends the stream
    // with err.
    int (*head)(void *arg, const struct http_answer *answer, struct error *err);
    // Bytes of a 200 or 206 body; others are buffered in the answer. NULL: all bodies are buffered.
    // TRANSPORT_WAIT: keep them (libcurl copies them), they come again after transport_stream_hold(stream,
    // false).
    int (*receive)(void *arg, const void *bytes, size_t len, struct error *err);
    // Up to len bytes of the request's body (call->body_len in all; call->body and body_reader are not used
    // then). NULL: the body is the call's own. TRANSPORT_WAIT: none now, asked again after
    // transport_stream_wake.
    ssize_t (*send)(void *arg, void *buffer, size_t len, struct error *err);
    // The body is to be sent again from its first byte (a reused connection was dead). 0, or -1 if that is
    // impossible.
    int (*rewind)(void *arg);
};

// A warm handle; one that knows `origin` (may be NULL), if there is one.
struct transport_multi *transport_multi_new(struct transport *transport, const struct url *origin,
                                            struct monitor *monitor);
void transport_multi_free(struct transport_multi *multi); // all streams must have been freed
// Begins a request; nothing is sent before the next drive. The call is borrowed until the stream is freed;
// ops and arg as long. -1 for what cannot be sent at all.
struct transport_stream *transport_stream_new(struct transport_multi *multi, const struct http_call *call,
                                              const struct secret *authorization,
                                              const struct transport_stream_ops *ops, void *arg,
                                              struct error *err);
void transport_stream_free(struct transport_stream *stream); // cuts it if it is under way; NULL is fine
// Waits until something can be done, at most wait_ms, and does it for all streams. -1: cancelled
// (ERR_CANCELLED).
int transport_multi_drive(struct transport_multi *multi, int64_t wait_ms, struct error *err);
bool transport_stream_done(const struct transport_stream *stream);
// Once done: 0 and the answer moves out, or -1 with what went wrong. *ret_stale: the connection was an old
// one that died before any answer; a fresh one may do.
int transport_stream_take(struct transport_stream *stream, struct http_answer *ret, bool *ret_stale,
                          struct error *err);
void transport_stream_hold(struct transport_stream *stream, bool hold); // no more receive until let go
void transport_stream_wake(struct transport_stream *stream);            // there is something to send
int64_t
transport_stream_sent(const struct transport_stream *stream); // bytes of the body handed to the network
void transport_stream_fresh(
    struct transport_stream *stream); // before the first drive: not on an old connection
