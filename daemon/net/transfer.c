// SPDX-License-Identifier: Apache-2.0
//
// A transfer: set up by registry (blob push and pull), run on one worker. Turns its tees one after the other
// and lets libcurl move bytes in between, until every tee has come to its end.
#include "net/transfer.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/transfer_internal.h"

enum { DRIVE_MS = 500, LAG_MS = 2000 };

struct transfer *transfer_new(struct transport *transport, const struct host_table *hosts,
                              const struct digest *digest, int64_t size, struct monitor *monitor)
{
    struct transfer *transfer = mem_new(struct transfer);
    transfer->transport = transport;
    transfer->hosts = hosts;
    transfer->size = transfer->end = size;
    transfer->monitor = monitor;
    transfer->lag_ms = LAG_MS;
    if (digest)
        transfer->digest = *digest;
    list_init(&transfer->tees);
    return transfer;
}

void transfer_free(struct transfer *transfer)
{
    if (!transfer)
        return;
    for (int i = 0; i < transfer->n_targets; i++)
        transfer_target_free(transfer->targets[i]);
    while (!list_empty(&transfer->tees))
        transfer_tee_free(container_of(transfer->tees.next, struct tee, link));
    transport_multi_free(transfer->multi);
    http_call_clear(&transfer->get);
    hasher_free(transfer->before);
    free(transfer->targets);
    free(transfer);
}

void transfer_set_lag(struct transfer *transfer, int64_t lag_ms)
{
    transfer->lag_ms = lag_ms;
}

void transfer_set_part(struct transfer *transfer, int64_t first, int64_t end, const struct hasher *hasher)
{
    transfer->part = true;
    transfer->first = first;
    transfer->end = end;
    transfer->before = hasher ? hasher_dup(hasher) : NULL;
}

struct hasher *transfer_take_hasher(struct transfer *transfer)
{
    list_for_each(link, &transfer->tees) {
        struct tee *tee = container_of(link, struct tee, link);
        if (tee->state == TEE_VERIFIED && tee->hasher)
            return mem_take(tee->hasher);
    }
    return NULL;
}

static int check_length(struct tee *tee, struct error *err)
{
    int64_t size = tee->transfer->size, length;
    const char *text = http_headers_find(&tee->head.headers, "content-length");
    if (tee->transfer->part)
        return 0;
    if (tee->head.status == 206)
        return error_set(err, ERR_REGISTRY_PROTOCOL, "%s answered 206 to a request for a whole blob",
                         tee->transfer->get.url.host);
    if (size < 0 || !text || !str_to_int64(text, 0, INT64_MAX, &length) || length == size)
        return 0;
    error_set(err, ERR_REGISTRY_PROTOCOL, "%s has a blob of %lld bytes where it should have %lld",
              tee->transfer->get.url.host, (long long)length, (long long)size);
    return -1;
}

int transfer_open_get(struct transfer *transfer, const struct http_call *get, struct authorizer *authorizer,
                      struct http_answer *ret_answer, struct error *err)
{
    http_call_copy(&transfer->get, get);
    transfer->get.sink = NULL;
    transfer->get.monitor = transfer->monitor;
    transfer->has_get = true;
    transfer->exchange = (struct exchange){transfer->transport, transfer->hosts, authorizer, URL_REDIRECT};
    transfer->multi = transport_multi_new(transfer->transport, &get->url, transfer->monitor);
    struct tee *tee = transfer_tee_new(transfer, transfer->first, NULL);
    if (transfer_source_open(tee, ret_answer, err) != 0)
        return -1;
    if (tee->state != TEE_OPEN || check_length(tee, err) == 0)
        return 0;
    http_answer_clear(ret_answer);
    return -1;
}

int transfer_open_reader(struct transfer *transfer, struct reader_at *reader, struct error *err)
{
    if (transfer->size >= 0 && reader->size != transfer->size)
        return error_set(err, ERR_SOURCE_CHANGED, "the local blob has %lld bytes where it should have %lld",
                         (long long)reader->size, (long long)transfer->size);
    transfer->reader = reader;
    transfer->size = reader->size;
    transfer->end = transfer->part ? transfer->end : reader->size;
    transfer_tee_new(transfer, transfer->first, NULL)->state = TEE_OPEN;
    return 0;
}

static int add_target(struct transfer *transfer, struct sink *sink)
{
    struct target *target = mem_new(struct target);
    target->transfer = transfer;
    target->sink = sink;
    target->err = ERROR_INIT;
    target->answer.retry_after_ms = -1;
    list_init(&target->link);
    target->first = transfer->first;
    transfer_target_join(target, container_of(transfer->tees.next, struct tee, link), target->first);
    transfer->targets = mem_realloc(transfer->targets, (size_t)(transfer->n_targets + 1) * sizeof target);
    transfer->targets[transfer->n_targets] = target;
    return transfer->n_targets++;
}

int transfer_add_put(struct transfer *transfer, const struct http_call *put, struct authorizer *authorizer,
                     bool credentials)
{
    return transfer_add_put_from(transfer, put, authorizer, credentials, transfer->first);
}

int transfer_add_put_from(struct transfer *transfer, const struct http_call *put,
                          struct authorizer *authorizer, bool credentials, int64_t first)
{
    int number = add_target(transfer, NULL);
    struct target *target = transfer->targets[number];
    http_call_copy(&target->put, put);
    target->first = target->position = first;
    target->put.body_len = transfer->end < 0 ? -1 : transfer->end - first;
    target->put.body = NULL;
    target->put.body_reader = NULL;
    target->put.sink = NULL;
    target->put.monitor = transfer->monitor;
    target->exchange = (struct exchange){transfer->transport, transfer->hosts,
                                         credentials ? authorizer : NULL, URL_REDIRECT_BODY};
    return number;
}

int transfer_add_sink(struct transfer *transfer, struct sink *sink)
{
    return add_target(transfer, sink);
}

static bool has_live_target(const struct tee *tee)
{
    list_for_each(link, &tee->targets) {
        if (transfer_target_live(container_of(link, struct target, link)))
            return true;
    }
    return false;
}

// A source that nobody waits for any more is not read to its end – unless verifying it is all there is to do.
static bool wanted(const struct tee *tee)
{
    if (tee->state == TEE_FAILED)
        return false;
    if (has_live_target(tee))
        return true;
    return tee->transfer->n_targets == 0 && tee->state != TEE_VERIFIED;
}

static void fail_all(struct transfer *transfer, const struct error *err)
{
    for (int i = 0; i < transfer->n_targets; i++) {
        struct error copy = ERROR_INIT;
        if (!transfer_target_live(transfer->targets[i]))
            continue;
        error_copy(&copy, err);
        transfer_target_fail(transfer->targets[i], &copy);
    }
}

// Turns all tees; returns whether anything is left to do.
static int turn(struct transfer *transfer, bool *ret_busy, struct error *err)
{
    transfer->before_ms = transfer->now_ms;
    transfer->now_ms = clock_ms();
    *ret_busy = false;
    list_for_each(link, &transfer->tees) {
        struct tee *tee = container_of(link, struct tee, link);
        if (!wanted(tee)) {
            transfer_tee_abandon(tee);
            continue;
        }
        if (transfer_tee_turn(tee, err) != 0)
            return -1;
        *ret_busy |= wanted(tee);
    }
    return 0;
}

// A local source with room in front of it needs no waiting.
static int64_t wait_ms(const struct transfer *transfer)
{
    list_for_each(link, &transfer->tees) {
        const struct tee *tee = container_of(link, struct tee, link);
        if (tee->state == TEE_CLOSED || (transfer->reader && tee->state == TEE_OPEN && !tee->held))
            return 0;
    }
    return DRIVE_MS;
}

// The source is to blame if no tee got through and one of them failed.
static int verdict(struct transfer *transfer, struct error *err)
{
    struct tee *failed = NULL;
    list_for_each(link, &transfer->tees) {
        struct tee *tee = container_of(link, struct tee, link);
        if (tee->state == TEE_VERIFIED)
            return 0;
        if (tee->state == TEE_FAILED)
            failed = tee;
    }
    if (!failed)
        return 0;
    error_copy(err, &failed->err);
    return -1;
}

// From local to local nothing needs a connection.
static void need_multi(struct transfer *transfer)
{
    const struct url *origin = NULL;
    for (int i = 0; i < transfer->n_targets && !origin; i++)
        if (!transfer->targets[i]->sink)
            origin = &transfer->targets[i]->put.url;
    if (!transfer->multi && origin)
        transfer->multi = transport_multi_new(transfer->transport, origin, transfer->monitor);
}

static int move(struct transfer *transfer, struct error *err)
{
    if (!transfer->multi)
        return monitor_check(transfer->monitor, err);
    return transport_multi_drive(transfer->multi, wait_ms(transfer), err);
}

int transfer_run(struct transfer *transfer, struct error *err)
{
    bool busy = true;
    int rc;
    need_multi(transfer);
    transfer->now_ms = clock_ms();
    do {
        rc = turn(transfer, &busy, err);
        if (rc == 0 && busy)
            rc = move(transfer, err);
    } while (rc == 0 && busy);
    if (rc != 0) {
        fail_all(transfer, err);
        return -1;
    }
    return verdict(transfer, err);
}

int transfer_result(struct transfer *transfer, int target, const struct http_answer **ret, struct error *err)
{
    struct target *subject = transfer->targets[target];
    *ret = NULL;
    if (subject->state == TARGET_DONE) {
        *ret = subject->sink ? NULL : &subject->answer;
        return 0;
    }
    if (subject->state == TARGET_FAILED)
        error_copy(err, &subject->err);
    else
        error_set(err, ERR_INTERNAL, "the transfer to this target was not run");
    return -1;
}

bool transfer_was_stale(const struct transfer *transfer, int target)
{
    return transfer->targets[target]->stale;
}
