// SPDX-License-Identifier: Apache-2.0
//
// The GET of a tee: opened (redirects, challenges) until its body begins, from the position that the tee has
// reached, so that a broken download is resumed. Always asked of the registry, never of where it redirected
// to the last time: signed URLs expire. While a head is waited for, the uploads on the same multi handle go
// on.
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "net/transfer_internal.h"

enum { DRIVE_MS = 500 };

static int got_head(void *arg, const struct http_answer *answer, struct error *err)
{
    struct tee *tee = arg;
    (void)err;
    if (answer->status != 200 && answer->status != 206)
        return 0;
    tee->begun = true;
    tee->head.status = answer->status;
    tee->head.address_class = answer->address_class;
    for (size_t i = 0; i < answer->headers.count; i++)
        http_headers_add(&tee->head.headers, answer->headers.items[i].name, answer->headers.items[i].value);
    return 0;
}

static int got_body(void *arg, const void *bytes, size_t len, struct error *err)
{
    struct tee *tee = arg;
    if (!tee->flowing)
        return TRANSPORT_WAIT;
    if (tee->skip_bytes > 0) {
        size_t skip = (int64_t)len < tee->skip_bytes ? len : (size_t)tee->skip_bytes;
        if (skip < len && ring_room(&tee->ring) < len - skip)
            return TRANSPORT_WAIT;
        tee->skip_bytes -= (int64_t)skip;
        bytes = (const char *)bytes + skip;
        len -= skip;
    }
    return len == 0 ? 0 : transfer_tee_take(tee, bytes, len, err);
}

static const struct transport_stream_ops get_ops = {.head = got_head, .receive = got_body};

void transfer_source_close(struct tee *tee)
{
    transport_stream_free(tee->stream);
    tee->stream = NULL;
    http_call_clear(&tee->call);
    http_answer_clear(&tee->head);
    tee->begun = tee->flowing = tee->held = false;
}

// Sends one request and waits for its head, or for its end if there is no body for us. 0, or -1 (*ret_stale
// as transport_stream_take).
static int send_get(struct tee *tee, const struct secret *authorization, bool fresh, struct http_answer *ret,
                    bool *ret_stale, struct error *err)
{
    struct transport_multi *multi = tee->transfer->multi;
    *ret_stale = false;
    tee->stream = transport_stream_new(multi, &tee->call, authorization, &get_ops, tee, err);
    if (!tee->stream)
        return -1;
    if (fresh)
        transport_stream_fresh(tee->stream);
    while (!tee->begun && !transport_stream_done(tee->stream))
        if (transport_multi_drive(multi, DRIVE_MS, err) != 0)
            return -1;
    if (!tee->begun)
        return transport_stream_take(tee->stream, ret, ret_stale, err);
    ret->status = tee->head.status;
    ret->address_class = tee->head.address_class;
    for (size_t i = 0; i < tee->head.headers.count; i++)
        http_headers_add(&ret->headers, tee->head.headers.items[i].name, tee->head.headers.items[i].value);
    return 0;
}

// 1: go on with the next request, 0: the answer stands, -1.
static int open_step(struct tee *tee, struct exchange_walk *walk, struct http_answer *ret, struct error *err)
{
    struct secret *authorization;
    bool stale;
    transfer_source_close(tee);
    if (exchange_next(walk, &tee->call, &authorization, err) != 0)
        return -1;
    int rc = send_get(tee, authorization, false, ret, &stale, err);
    if (rc != 0 && stale) {
        error_clear(err);
        transport_stream_free(tee->stream);
        rc = send_get(tee, authorization, true, ret, &stale, err);
    }
    secret_free(authorization);
    return rc == 0 ? exchange_answer(walk, ret, err) : -1;
}

static int bad_range(struct tee *tee, const char *why, struct error *err)
{
    return error_set(err, ERR_REGISTRY_PROTOCOL, "%s answered a request for the bytes from %lld on with %s",
                     tee->transfer->get.url.host, (long long)tee->ring.head, why);
}

static int check_content_range(struct tee *tee, struct error *err)
{
    const struct http_headers *headers = &tee->head.headers;
    size_t index = 0;
    int64_t first, total;
    const char *range = http_headers_next(headers, "content-range", &index);
    if (!range)
        return bad_range(tee, "a part that does not say which one it is", err);
    index++;
    if (http_headers_next(headers, "content-range", &index))
        return bad_range(tee, "two Content-Range headers", err);
    if (!http_parse_content_range(range, &first, &total) || first != tee->ring.head)
        return bad_range(tee, "another part", err);
    if (total >= 0 && tee->transfer->size >= 0 && total != tee->transfer->size)
        return bad_range(tee, "a part of something of another size", err);
    return 0;
}

static int check_head(struct tee *tee, struct error *err)
{
    if (tee->head.status == 206)
        return check_content_range(tee, err);
    // Taking each part out of the whole blob again would be as bad as not being able to.
    if (tee->transfer->part && tee->transfer->end < tee->transfer->size)
        return bad_range(tee, "the whole blob", err);
    tee->skip_bytes = tee->ring.head;
    return 0;
}

int transfer_source_open(struct tee *tee, struct http_answer *ret_answer, struct error *err)
{
    struct transfer *transfer = tee->transfer;
    struct http_answer answer = {.retry_after_ms = -1};
    CLEANUP(http_call_clear) struct http_call get;
    http_call_copy(&get, &transfer->get);
    tee->skip_bytes = 0;
    if (tee->ring.head > 0 || transfer->part) {
        AUTO_FREE char *range = transfer->part ? mem_printf("bytes=%lld-%lld", (long long)tee->ring.head,
                                                            (long long)transfer->end - 1)
                                               : mem_printf("bytes=%lld-", (long long)tee->ring.head);
        http_headers_add(&get.headers, "Range", range);
    }
    struct exchange_walk *walk = exchange_begin(&transfer->exchange, &get);
    int rc;
    do {
        http_answer_clear(&answer);
        rc = open_step(tee, walk, &answer, err);
    } while (rc == 1);
    exchange_end(walk);
    if (rc == 0 && tee->begun)
        rc = check_head(tee, err);
    if (rc == 0 && !answer.body)
        answer.body = mem_strdup("");
    if (rc == 0)
        *ret_answer = answer;
    else
        http_answer_clear(&answer);
    if (rc != 0 || !tee->begun)
        transfer_source_close(tee);
    tee->state = rc == 0 && tee->begun ? TEE_OPEN : TEE_CLOSED;
    return rc;
}
