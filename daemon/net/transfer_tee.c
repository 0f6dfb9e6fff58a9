// SPDX-License-Identifier: Apache-2.0
//
// A tee: one source, the ring behind it, and the targets that drink from the ring. Hashes what comes in,
// keeps the last byte back until digest and size are right, resumes a source that breaks, and lets go of
// targets that hold the others up. Turned by transfer_run between two moves of libcurl.
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/transfer_internal.h"

struct tee *transfer_tee_new(struct transfer *transfer, int64_t position, struct hasher *hasher)
{
    struct tee *tee = mem_new(struct tee);
    tee->transfer = transfer;
    tee->err = ERROR_INIT;
    tee->hasher = hasher;
    if (!hasher && position == 0 && digest_known(&transfer->digest))
        tee->hasher = hasher_new(transfer->digest.algorithm);
    else if (!hasher && position == transfer->first && transfer->before)
        tee->hasher = hasher_dup(transfer->before);
    ring_init(&tee->ring, TEE_RING_BYTES, position);
    list_init(&tee->targets);
    list_append(&transfer->tees, &tee->link);
    return tee;
}

void transfer_tee_free(struct tee *tee)
{
    transfer_source_close(tee);
    list_remove(&tee->link);
    ring_fini(&tee->ring);
    hasher_free(tee->hasher);
    error_clear(&tee->err);
    free(tee);
}

int64_t transfer_tee_limit(const struct tee *tee)
{
    int64_t end = tee->transfer->end;
    if (tee->state == TEE_VERIFIED)
        return tee->ring.head;
    return end >= 0 && tee->ring.head < end ? tee->ring.head : tee->ring.head - 1;
}

static void count_received(struct tee *tee, size_t len)
{
    struct monitor *monitor = tee->transfer->monitor;
    if (!monitor)
        return;
    if (!tee->transfer->reader)
        atomic_fetch_add_explicit(&monitor->bytes_received, (int64_t)len, memory_order_relaxed);
    if (tee->ring.head > atomic_load_explicit(&monitor->current, memory_order_relaxed))
        atomic_store_explicit(&monitor->current, tee->ring.head, memory_order_relaxed);
}

static const char *source_name(const struct transfer *transfer)
{
    return transfer->has_get ? transfer->get.url.host : "the local blob";
}

static int check_room(const struct tee *tee, size_t len, struct error *err)
{
    int64_t end = tee->transfer->end;
    if (end >= 0 && tee->ring.head + (int64_t)len > end)
        return error_set(err, ERR_REGISTRY_PROTOCOL, "%s sent more than the %lld bytes that %s",
                         source_name(tee->transfer), (long long)(end - tee->transfer->first),
                         tee->transfer->part ? "were asked for" : "the blob has");
    return 0;
}

int transfer_tee_take(struct tee *tee, const void *bytes, size_t len, struct error *err)
{
    // Of a server that does not do ranges: what comes behind the part is none of ours.
    if (tee->transfer->part && tee->head.status == 200 && (int64_t)len > tee->transfer->end - tee->ring.head)
        len = (size_t)(tee->transfer->end - tee->ring.head);
    if (check_room(tee, len, err) != 0)
        return -1;
    if (ring_room(&tee->ring) < len)
        return TRANSPORT_WAIT;
    if (tee->hasher)
        hasher_update(tee->hasher, bytes, len);
    ring_append(&tee->ring, bytes, len);
    count_received(tee, len);
    return 0;
}

void transfer_tee_fail(struct tee *tee, struct error *err)
{
    error_move(&tee->err, err);
    tee->state = TEE_FAILED;
    transfer_source_close(tee);
    list_for_each_safe(link, &tee->targets) {
        struct error copy = ERROR_INIT;
        struct target *target = container_of(link, struct target, link);
        if (!transfer_target_live(target))
            continue;
        error_copy(&copy, &tee->err);
        transfer_target_fail(target, &copy);
    }
}

void transfer_tee_abandon(struct tee *tee)
{
    transfer_source_close(tee);
    if (tee->state == TEE_OPEN || tee->state == TEE_CLOSED)
        tee->state = TEE_ABANDONED;
}

static int mismatch(struct tee *tee, const struct digest *got, struct error *err)
{
    const struct transfer *transfer = tee->transfer;
    error_set(err, ERR_DIGEST_MISMATCH, "%s sent other content than asked for: it should be %s and is %s",
              source_name(transfer), transfer->digest.text, got->text);
    if (http_headers_find(&tee->head.headers, "content-encoding"))
        error_hint(
            err,
            "the answer came with a Content-Encoding although identity was asked for: a proxy in between "
            "compresses what must not be changed");
    return -1;
}

static int verify(struct tee *tee, struct error *err)
{
    const struct transfer *transfer = tee->transfer;
    struct digest got;
    if (transfer->end >= 0 && tee->ring.head != transfer->end)
        return error_set(err, ERR_REGISTRY_PROTOCOL, "%s sent %lld bytes of a blob that has %lld",
                         source_name(transfer), (long long)tee->ring.head, (long long)transfer->size);
    if (tee->hasher && (transfer->end < 0 || transfer->end == transfer->size)) {
        hasher_finish(tee->hasher, &got);
        hasher_free(mem_take(tee->hasher));
        if (!digest_equal(&got, &transfer->digest))
            return mismatch(tee, &got, err);
    }
    tee->state = TEE_VERIFIED;
    transfer_source_close(tee);
    return 0;
}

static bool may_resume(struct tee *tee)
{
    if (tee->ring.head - tee->resumed_at >= TEE_PROGRESS_BYTES)
        tee->resumes = 0;
    tee->resumed_at = tee->ring.head;
    return tee->resumes++ < TEE_RESUMES_MAX;
}

// The connection of the source has ended.
static int source_ended(struct tee *tee, struct error *err)
{
    struct http_answer answer = {.retry_after_ms = -1};
    int64_t end = tee->transfer->end;
    bool stale;
    int rc = transport_stream_take(tee->stream, &answer, &stale, err);
    http_answer_clear(&answer);
    bool broken = rc != 0 && err->code == ERR_REGISTRY_UNREACHABLE;
    bool complete = tee->skip_bytes == 0 && (end < 0 ? rc == 0 : tee->ring.head == end);
    if (rc != 0 && !broken)
        return -1;
    if (complete) {
        error_clear(err); // broken off behind the last byte
        return verify(tee, err);
    }
    if (!may_resume(tee))
        return broken ? -1 : verify(tee, err);
    error_clear(err);
    transfer_source_close(tee);
    tee->state = TEE_CLOSED;
    if (tee->transfer->monitor)
        atomic_fetch_add_explicit(&tee->transfer->monitor->retries, 1, memory_order_relaxed);
    return 0;
}

static int refused(const struct tee *tee, const struct http_answer *answer, struct error *err)
{
    const struct transfer *transfer = tee->transfer;
    int status = answer->status;
    enum error_code code = status == 429                    ? ERR_REGISTRY_RATE_LIMIT
                           : status == 401 || status == 403 ? ERR_REGISTRY_DENIED
                           : status >= 500                  ? ERR_REGISTRY_ERROR
                                                            : ERR_REGISTRY_PROTOCOL;
    error_set(err, code, "%s answered %d when the blob was asked for again from byte %lld on",
              transfer->get.url.host, status, (long long)tee->ring.head);
    error_upstream_set(err, transfer->get.url.host, "GET", transfer->get.url.path, status, NULL);
    err->retry_after_ms = answer->retry_after_ms;
    return -1;
}

static int reopen(struct tee *tee, struct error *err)
{
    struct http_answer answer = {.retry_after_ms = -1};
    if (tee->transfer->reader) {
        tee->state = TEE_OPEN;
        return 0;
    }
    int rc = transfer_source_open(tee, &answer, err);
    if (rc != 0 && err->code == ERR_REGISTRY_UNREACHABLE && err->retryable && may_resume(tee)) {
        error_clear(err);
        return 0; // still closed: another attempt in the next turn
    }
    if (rc == 0 && tee->state != TEE_OPEN)
        rc = refused(tee, &answer, err);
    http_answer_clear(&answer);
    return rc;
}

// A local source is read as far as there is room.
static int fill(struct tee *tee, struct error *err)
{
    struct transfer *transfer = tee->transfer;
    size_t len;
    void *space = ring_space(&tee->ring, &len);
    if (tee->ring.head == transfer->end)
        return verify(tee, err);
    if (len > TEE_ROOM_BYTES)
        len = TEE_ROOM_BYTES;
    if ((int64_t)len > transfer->end - tee->ring.head)
        len = (size_t)(transfer->end - tee->ring.head);
    ssize_t got = len == 0 ? 0 : reader_at_read(transfer->reader, space, len, tee->ring.head, err);
    if (got < 0)
        return -1;
    if (got == 0 && len > 0)
        return error_set(err, ERR_SOURCE_CHANGED, "the local blob ends after %lld of %lld bytes",
                         (long long)tee->ring.head, (long long)transfer->reader->size);
    if (check_room(tee, (size_t)got, err) != 0)
        return -1;
    if (tee->hasher)
        hasher_update(tee->hasher, space, (size_t)got);
    ring_commit(&tee->ring, (size_t)got);
    count_received(tee, (size_t)got);
    return 0;
}

static int64_t slowest(const struct tee *tee)
{
    int64_t position = tee->ring.head;
    list_for_each(link, &tee->targets) {
        const struct target *target = container_of(link, struct target, link);
        if (transfer_target_live(target) && target->position < position)
            position = target->position;
    }
    return position;
}

// Forgets only what the room is needed for: a small blob stays whole, so that an upload can begin again.
static void make_room(struct tee *tee)
{
    if (ring_room(&tee->ring) < TEE_ROOM_BYTES)
        ring_forget(&tee->ring, slowest(tee));
    bool hold = ring_room(&tee->ring) < TEE_ROOM_BYTES;
    if (tee->stream)
        transport_stream_hold(tee->stream, hold);
    tee->flowing = true;
    tee->held = hold;
}

static bool someone_waits(const struct tee *tee)
{
    list_for_each(link, &tee->targets) {
        const struct target *target = container_of(link, struct target, link);
        if (transfer_target_live(target) && target->starved)
            return true;
    }
    return false;
}

// Targets that are behind by half the ring go on with a source connection of their own.
static void part(struct tee *tee)
{
    int64_t from = slowest(tee);
    struct tee *own =
        transfer_tee_new(tee->transfer, tee->ring.head, tee->hasher ? hasher_dup(tee->hasher) : NULL);
    size_t len;
    own->ring.head = own->ring.tail = from;
    for (const void *bytes; (bytes = ring_peek(&tee->ring, own->ring.head, tee->ring.head, &len));)
        ring_append(&own->ring, bytes, len);
    own->resumed_at = own->ring.head;
    list_for_each_safe(link, &tee->targets) {
        struct target *target = container_of(link, struct target, link);
        if (transfer_target_live(target) && target->position < tee->ring.head - TEE_RING_BYTES / 2)
            transfer_target_join(target, own, target->position);
    }
}

static void watch_lag(struct tee *tee)
{
    const struct transfer *transfer = tee->transfer;
    int64_t elapsed_ms = transfer->now_ms - transfer->before_ms;
    bool blocked = tee->held && someone_waits(tee);
    tee->blocked_ms += blocked ? elapsed_ms : -elapsed_ms;
    if (tee->blocked_ms < 0)
        tee->blocked_ms = 0;
    if (!blocked || tee->blocked_ms < transfer->lag_ms || transfer->end - tee->ring.head < 2 * TEE_RING_BYTES)
        return;
    part(tee);
    tee->blocked_ms = 0;
}

static int source_turn(struct tee *tee, struct error *err)
{
    if (tee->state == TEE_CLOSED && reopen(tee, err) != 0)
        return -1;
    if (tee->state != TEE_OPEN)
        return 0;
    if (tee->transfer->reader)
        return fill(tee, err);
    if (tee->transfer->part && tee->ring.head == tee->transfer->end)
        return verify(tee, err);
    return transport_stream_done(tee->stream) ? source_ended(tee, err) : 0;
}

int transfer_tee_turn(struct tee *tee, struct error *err)
{
    struct error own = ERROR_INIT;
    if (source_turn(tee, &own) != 0) {
        if (own.code == ERR_CANCELLED) {
            error_move(err, &own);
            return -1;
        }
        transfer_tee_fail(tee, &own);
    }
    list_for_each_safe(link, &tee->targets)
        transfer_target_turn(container_of(link, struct target, link));
    if (tee->state == TEE_OPEN) {
        make_room(tee);
        watch_lag(tee);
    }
    return 0;
}
