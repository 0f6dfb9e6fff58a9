// SPDX-License-Identifier: Apache-2.0
//
// What the transfer*.c files share. A transfer is a set of tees: one source connection with its ring, its
// hasher and the targets that drink from it. It begins with one tee; a target that lags or has to begin again
// gets a tee of its own.
#pragma once

#include "base/list.h"
#include "net/ring.h"
#include "net/transfer.h"
#include "net/transport_multi.h"

enum {
    TEE_RING_BYTES = 1 << 20,
    TEE_ROOM_BYTES = 256 << 10, // the source goes on when this much room is there
    TEE_WAKE_BYTES = 128 << 10, // an idle upload goes on when this much is there
    TEE_RESUMES_MAX = 3,        // without progress in between
    TEE_PROGRESS_BYTES = 1 << 20,
    TARGET_STARTS_MAX = 14, // hops, rounds of authentication, dead connections
};

enum tee_state { TEE_CLOSED, TEE_OPEN, TEE_VERIFIED, TEE_FAILED, TEE_ABANDONED };

struct tee {
    struct list link;
    struct transfer *transfer;
    enum tee_state state;
    struct ring ring;
    struct hasher *hasher; // NULL if the digest is not known
    struct list targets;
    struct error err; // TEE_FAILED
    // the GET
    struct transport_stream *stream;
    struct http_call call;   // as sent; lives as long as the stream
    struct http_answer head; // status and headers of a body that begins
    bool begun;              // the body begins
    bool flowing;            // body bytes are taken
    bool held;
    int64_t skip_bytes; // of the body, before the ring's head: the server does not do ranges
    int resumes;
    int64_t resumed_at; // ring.head at the last resume
    int64_t blocked_ms; // how long laggards have kept others waiting
};

enum target_state { TARGET_WAITING, TARGET_RUNNING, TARGET_DONE, TARGET_FAILED };

struct target {
    struct list link; // in its tee
    struct transfer *transfer;
    struct tee *tee;
    enum target_state state;
    int64_t first;     // of the blob's bytes, in the body
    int64_t position;  // of the next byte to take from the ring
    struct sink *sink; // or
    struct http_call put;
    struct exchange exchange;
    struct exchange_walk *walk;
    struct http_call call; // as sent; lives as long as the stream
    struct transport_stream *stream;
    int starts;
    bool starved;          // asked for bytes and got none
    bool fresh;            // not on an old connection
    bool stale;            // failed on an old connection, which may have been dead already
    int64_t counted_bytes; // of the present request, already added to the monitor
    struct http_answer answer;
    struct error err;
};

struct transfer {
    struct transport *transport;
    const struct host_table *hosts;
    struct digest digest;
    int64_t size;
    int64_t first, end;    // the part of it that is moved; end -1: not known
    struct hasher *before; // the state at `first`, if that is not the start
    bool part;
    struct monitor *monitor;
    struct transport_multi *multi;
    // source
    struct reader_at *reader; // or
    struct http_call get;
    bool has_get;
    struct exchange exchange; // of the GET
    struct list tees;
    struct target **targets;
    int n_targets;
    int64_t lag_ms;
    int64_t now_ms, before_ms; // of this and the previous turn
};

// transfer_source.c: the connection of a tee's source
int transfer_source_open(struct tee *tee, struct http_answer *ret_answer, struct error *err);
void transfer_source_close(struct tee *tee);
// transfer_tee.c
struct tee *transfer_tee_new(struct transfer *transfer, int64_t position, struct hasher *hasher);
void transfer_tee_free(struct tee *tee);
int64_t transfer_tee_limit(const struct tee *tee); // targets may have the bytes before this position
// Bytes from the source. TRANSPORT_WAIT: no room.
int transfer_tee_take(struct tee *tee, const void *bytes, size_t len, struct error *err);
void transfer_tee_abandon(struct tee *tee); // nobody wants more of it
void transfer_tee_fail(struct tee *tee, struct error *err);
// What can be done between two moves. -1: cancelled.
int transfer_tee_turn(struct tee *tee, struct error *err);
// transfer_target.c
void transfer_target_join(struct target *target, struct tee *tee, int64_t position);
void transfer_target_turn(struct target *target);
void transfer_target_fail(struct target *target, struct error *err); // moves err
void transfer_target_free(struct target *target);
bool transfer_target_live(const struct target *target);
