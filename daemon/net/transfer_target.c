// SPDX-License-Identifier: Apache-2.0
//
// A target of a transfer: a PUT that asks for its bytes when the network takes them, or a local sink that is
// written to. A PUT that has to begin again (challenge, redirect within the origin, dead connection) does so
// from the ring if everything is still there, and else with a tee of its own.
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "net/transfer_internal.h"

bool transfer_target_live(const struct target *target)
{
    return target->state == TARGET_WAITING || target->state == TARGET_RUNNING;
}

static void count_sent(struct target *target)
{
    struct monitor *monitor = target->transfer->monitor;
    if (!target->stream || !monitor)
        return;
    int64_t sent = transport_stream_sent(target->stream);
    if (sent > target->counted_bytes)
        atomic_fetch_add_explicit(&monitor->bytes_sent, sent - target->counted_bytes, memory_order_relaxed);
    target->counted_bytes = sent;
}

static void end_request(struct target *target)
{
    count_sent(target);
    transport_stream_free(target->stream);
    target->stream = NULL;
    target->counted_bytes = 0;
    target->starved = false;
    http_call_clear(&target->call);
}

static void leave(struct target *target)
{
    list_remove(&target->link);
    target->tee = NULL;
}

void transfer_target_join(struct target *target, struct tee *tee, int64_t position)
{
    list_remove(&target->link);
    target->tee = tee;
    target->position = position;
    list_append(&tee->targets, &target->link);
}

void transfer_target_fail(struct target *target, struct error *err)
{
    end_request(target);
    error_move(&target->err, err);
    target->state = TARGET_FAILED;
    leave(target);
}

void transfer_target_free(struct target *target)
{
    end_request(target);
    list_remove(&target->link);
    exchange_end(target->walk);
    http_call_clear(&target->put);
    http_answer_clear(&target->answer);
    error_clear(&target->err);
    free(target);
}

static ssize_t send_bytes(void *arg, void *buffer, size_t len, struct error *err)
{
    struct target *target = arg;
    (void)err;
    size_t got =
        ring_copy(&target->tee->ring, target->position, transfer_tee_limit(target->tee), buffer, len);
    target->position += (int64_t)got;
    target->starved = got == 0;
    return got == 0 ? TRANSPORT_WAIT : (ssize_t)got;
}

// An upload that has given bytes away is not sent again on its own account, although the connection may just
// have been stale: what the other side made of them only the other side knows.
static bool untouched(const struct target *target)
{
    return target->position == target->first;
}

static int rewind_bytes(void *arg)
{
    return untouched(arg) ? 0 : -1;
}

static bool complete(const struct target *target)
{
    return target->tee->state == TEE_VERIFIED && target->position == target->transfer->end;
}

static int got_head(void *arg, const struct http_answer *answer, struct error *err)
{
    const struct target *target = arg;
    if (answer->status >= 300 || complete(target))
        return 0;
    return error_set(err, ERR_REGISTRY_PROTOCOL, "%s answered %d before it had the whole blob",
                     target->put.url.host, answer->status);
}

static const struct transport_stream_ops put_ops = {
    .head = got_head, .send = send_bytes, .rewind = rewind_bytes};

static int start(struct target *target, struct error *err)
{
    struct secret *authorization;
    if (target->transfer->size < 0)
        return error_set(err, ERR_INTERNAL, "the size of an upload to %s is not known", target->put.url.host);
    if (target->starts++ >= TARGET_STARTS_MAX)
        return error_set(err, ERR_REGISTRY_PROTOCOL, "%s made the upload begin again %d times",
                         target->put.url.host, TARGET_STARTS_MAX);
    if (!target->walk)
        target->walk = exchange_begin(&target->exchange, &target->put);
    if (exchange_next(target->walk, &target->call, &authorization, err) != 0)
        return -1;
    target->stream =
        transport_stream_new(target->transfer->multi, &target->call, authorization, &put_ops, target, err);
    secret_free(authorization);
    if (!target->stream)
        return -1;
    if (target->fresh)
        transport_stream_fresh(target->stream);
    target->state = TARGET_RUNNING;
    return 0;
}

static void begin_again(struct target *target)
{
    end_request(target);
    target->state = TARGET_WAITING;
    target->position = target->first;
    if (target->tee->ring.tail > target->first)
        transfer_target_join(target, transfer_tee_new(target->transfer, target->transfer->first, NULL),
                             target->first);
}

static void try_start(struct target *target)
{
    struct error err = ERROR_INIT;
    // An empty body is complete with its headers: not before it is verified.
    if (target->put.body_len == 0 && target->tee->state != TEE_VERIFIED)
        return;
    if (start(target, &err) != 0)
        transfer_target_fail(target, &err);
}

static void collect(struct target *target)
{
    struct error err = ERROR_INIT;
    bool stale;
    http_answer_clear(&target->answer);
    int rc = transport_stream_take(target->stream, &target->answer, &stale, &err);
    if (rc == 0)
        rc = exchange_answer(target->walk, &target->answer, &err);
    else if (stale && !target->fresh && untouched(target))
        rc = 1;
    target->stale = rc < 0 && stale;
    if (rc == 1) {
        error_clear(&err);
        target->fresh = true; // who answers before the body is read may close the connection with it
        begin_again(target);
        try_start(target);
    } else if (rc == 0) {
        end_request(target);
        target->state = TARGET_DONE;
        leave(target);
    } else {
        transfer_target_fail(target, &err);
    }
}

static void turn_put(struct target *target)
{
    const struct tee *tee = target->tee;
    if (target->state == TARGET_WAITING) {
        try_start(target);
        return;
    }
    if (transport_stream_done(target->stream)) {
        collect(target);
        return;
    }
    count_sent(target);
    int64_t ready = transfer_tee_limit(tee) - target->position;
    if (target->starved && ready > 0 &&
        (ready >= TEE_WAKE_BYTES || tee->state == TEE_VERIFIED || tee->held)) {
        target->starved = false;
        transport_stream_wake(target->stream);
    }
}

static void turn_sink(struct target *target)
{
    struct error err = ERROR_INIT;
    const struct tee *tee = target->tee;
    size_t len;
    target->state = TARGET_RUNNING;
    for (const void *bytes;
         (bytes = ring_peek(&tee->ring, target->position, transfer_tee_limit(tee), &len));) {
        if (sink_write(target->sink, bytes, len, &err) != 0) {
            transfer_target_fail(target, &err);
            return;
        }
        target->position += (int64_t)len;
    }
    if (tee->state == TEE_VERIFIED) {
        target->state = TARGET_DONE;
        leave(target);
    }
}

void transfer_target_turn(struct target *target)
{
    if (target->sink)
        turn_sink(target);
    else
        turn_put(target);
}
