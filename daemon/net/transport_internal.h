// SPDX-License-Identifier: Apache-2.0
//
// What the transport*.c files share: the only header that names libcurl's types. Not for anyone else.
#pragma once

#include <curl/curl.h>
#include <pthread.h>

#include "base/list.h"
#include "base/strbuf.h"
#include "net/pace.h"
#include "net/transport_multi.h"

enum { LANE_ORIGINS = 8, LANE_CONNECTIONS = 16 };

struct transport {
    struct transport_options options;
    char *user_agent;
    char *ca_directory; // hashed directory of the system's CAs; NULL: libcurl's own default
    struct pace *pace;
    pthread_mutex_t lock; // guards idle, n_idle
    struct list idle;     // lanes, most recently used first
    size_t n_idle;
    CURLSH *share; // TLS sessions
    pthread_mutex_t share_lock;
};

// A curl multi handle with its connections; belongs to one transport_multi or waits in `idle`.
struct transport_lane {
    struct list link;
    CURLM *curl;
    int64_t idle_since_ms;
    uint64_t origins[LANE_ORIGINS]; // hashes of the origins it was last used for, newest first
};

struct transport_multi {
    struct transport *transport;
    struct transport_lane *lane;
    struct monitor *monitor;
    struct list streams;
};

struct stream_clock {
    int64_t window_ms;    // when the present stall window began
    int64_t window_bytes; // counter at that time
    int64_t progress_ms;  // last time the counter moved
    int64_t progress_bytes;
};

struct transport_stream {
    struct list link;
    struct transport_multi *multi;
    const struct http_call *call;
    const struct transport_stream_ops *ops;
    void *arg;
    const struct host_settings *host;
    bool proxied;
    CURL *easy;
    struct curl_slist *headers;
    struct http_answer answer;
    struct strbuf body;
    size_t header_bytes;
    int64_t sent;                    // bytes of the body handed out
    int64_t received;                // bytes of headers and body
    enum address_class denied_class; // the address policy refused an address of this class
    bool denied;
    bool connected; // the request is about to be sent, or was
    bool head_done;
    bool truncated; // enough of the body was seen; the rest is of no interest
    bool done;
    bool failed;                           // err of a callback or of the clock
    bool held, starved;                    // the user's hold; the user's TRANSPORT_WAIT from send
    int64_t pace_receive_ms, pace_send_ms; // paced until then
    bool recv_paused, send_paused;         // as libcurl was told
    struct pace_host *pace;
    struct stream_clock clock;
    CURLcode code;
    struct error err;
    char curl_text[CURL_ERROR_SIZE];
};

// transport_setup.c: an easy handle for the stream's call
int transport_setup(struct transport_stream *stream, const struct secret *authorization, struct error *err);
// transport_receive.c: libcurl's callbacks for headers and body
size_t transport_receive_header(char *line, size_t size, size_t count, void *arg);
size_t transport_receive_body(char *bytes, size_t size, size_t count, void *arg);
// transport_stream.c
void transport_stream_fail(struct transport_stream *stream,
                           struct error *err); // moves err in; the first one stays
void transport_stream_end(struct transport_stream *stream, CURLcode code);
void transport_stream_pace(struct transport_stream *stream, size_t bytes, int64_t *until_ms);
int64_t transport_stream_adjust(struct transport_stream *stream,
                                int64_t now_ms); // pauses; ms until it matters, or -1
// transport_clock.c: time limits
void transport_clock_start(struct transport_stream *stream, int64_t now_ms);
void transport_clock_check(struct transport_stream *stream,
                           int64_t now_ms); // fails the stream that took too long
// transport_error.c: what libcurl says, in people's words
int transport_error(const struct transport_stream *stream, struct error *err);
// transport_lane.c
struct transport_lane *transport_lane_take(struct transport *transport, const struct url *origin);
void transport_lane_give(struct transport *transport, struct transport_lane *lane);
void transport_lane_knows(struct transport_lane *lane, const struct url *origin);
void transport_lane_free(struct transport_lane *lane);
