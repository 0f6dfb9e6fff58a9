// SPDX-License-Identifier: Apache-2.0
//
// Inside the room: a reply that is produced bit by bit. The library asks (stream_pull) whenever the client
// has taken what it was given; when there is nothing to say the stream sleeps until stream_wake or a
// heartbeat. A stream that was given bytes and is not asked again for long has a reader that does not drain:
// stream_stalled tells. Loop only.
#pragma once

#include "http/reply.h"

struct stream {
    struct request *request; // NULL once the library is done with it
    const struct stream_ops *ops;
    void *arg;
    bool suspended;        // asleep, the library does not ask
    bool pulling;          // inside ops->read
    bool woken;            // stream_wake came while pulling
    bool cut;              // ends without a final chunk
    int64_t last_bytes_ms; // bytes were handed over
    int64_t last_pull_ms;  // the library asked
};

enum { STREAM_END = -1, STREAM_CUT = -2 };

struct stream *stream_new(struct request *request, const struct stream_ops *ops, void *arg, int64_t now_ms);
void stream_free(struct stream *stream); // calls ops->close
// >0 bytes; 0: asleep now; STREAM_END; STREAM_CUT.
ssize_t stream_pull(struct stream *stream, char *buffer, size_t max, int64_t now_ms, int64_t heartbeat_ms);
// Asleep and silent for heartbeat_ms: time to say something so that a dead client is noticed.
bool stream_heartbeat_due(const struct stream *stream, int64_t now_ms, int64_t heartbeat_ms);
// Awake, but the client has not taken anything for limit_ms.
bool stream_stalled(const struct stream *stream, int64_t now_ms, int64_t limit_ms);
