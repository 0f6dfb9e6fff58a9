// SPDX-License-Identifier: Apache-2.0
//
// One blob to n targets. Called by images as one step. Two acts: ask each registry target (blob_probe), then,
// if anybody needs it, open the source once, move the bytes through net/transfer and judge each target by
// itself; targets that want chunks follow one by one. What must hold: a target is done only when its registry
// said 201 or was asked and has the blob; every session that is not closed by a PUT is cancelled or handed
// back.
#include "registry/blob_push.h"

#include "base/mem.h"
#include "net/transfer.h"
#include "registry/blob_chunks.h"
#include "registry/blob_lane.h"
#include "registry/blob_session.h"
#include "registry/blob_source.h"

enum { PASSES_MAX = 4 };

struct work {
    struct blob_push *push;
    struct blob_lane *lanes;
    size_t n;
};

// --- the transfer that feeds all

static void add_lane(struct blob_lane *lane, struct transfer *transfer)
{
    blob_lane_tell(lane, "uploading", NULL, NULL);
    if (lane->target->sink) {
        lane->number = transfer_add_sink(transfer, lane->target->sink);
        return;
    }
    struct http_call http;
    lane->upload.reach = lane->push->size;
    upload_begin_put(&lane->upload, &lane->push->digest, &http);
    lane->number = transfer_add_put(transfer, &http, lane->call.authorizer, lane->upload.credentials);
    http_call_clear(&http);
}

static bool arrived(struct blob_lane *lane)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    return registry_call_blob_head(&lane->call, &lane->push->digest, NULL, &ignored) > 0;
}

// A PUT that broke: the whole may have arrived and only the answer was lost, or a part of it. stale: on a
// connection that may have been dead already, so once more is not too much.
static void look_after(struct blob_lane *lane, bool stale, struct error *why)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    if (registry_call_blob_head(&lane->call, &lane->push->digest, NULL, &ignored) > 0) {
        error_clear(why);
        lane->upload.open = false;
        blob_lane_succeed(lane, BLOB_PUSH_COPIED);
        return;
    }
    bool large = lane->push->size > CHUNK_FLOOR_BYTES && !ignored.code;
    if (large && upload_ask_offset(&lane->upload, &ignored) == 0 && lane->upload.offset > 0) {
        error_clear(why); // still needed: it goes on in chunks
        return;
    }
    if (!ignored.code)
        blob_lane_end_session(lane); // it is known to be of no use
    blob_lane_fail(lane, why);
    lane->chunked = large && !ignored.code;
    lane->again = lane->chunked || (stale && !ignored.code);
}

// May the same bytes be sent once more at once? A lost session, a token that died on the way, a body that was
// too large: yes, otherwise. What may be worse than before – a server that fails – is left to the job's
// retries.
static void judge_failure(struct blob_lane *lane, bool stale, struct error *why)
{
    if (lane->target->sink) {
        blob_lane_fail(lane, why);
        return;
    }
    // A session that is gone may have been closed by a first sending, whose answer was lost.
    if (why->code == ERR_REGISTRY_UNREACHABLE || (upload_lost(why) && arrived(lane))) {
        look_after(lane, stale, why);
        return;
    }
    bool too_large = upload_too_large(why);
    bool smaller = too_large && blob_chunks_shrink(&lane->upload, lane->push->size, why);
    bool again = smaller || (!too_large && upload_lost(why)) || why->upstream.status == 401;
    if (again)
        blob_lane_end_session(lane);
    blob_lane_fail(lane, why);
    lane->again = again;
    lane->chunked = smaller;
}

static int judge_answer(struct blob_lane *lane, const struct http_answer *answer, struct error *err)
{
    if (lane->target->sink)
        return sink_finish(lane->target->sink, err);
    registry_call_heed(&lane->call, answer);
    return upload_judge_put(&lane->upload, &lane->push->digest, answer, err);
}

static void judge(struct blob_lane *lane, struct transfer *transfer)
{
    struct error why = ERROR_INIT;
    const struct http_answer *answer = NULL;
    if (transfer_result(transfer, lane->number, &answer, &why) < 0 || judge_answer(lane, answer, &why) < 0) {
        judge_failure(lane, transfer_was_stale(transfer, lane->number), &why);
        return;
    }
    lane->target->bytes_sent += lane->target->sink ? 0 : lane->push->size;
    blob_lane_succeed(lane, BLOB_PUSH_COPIED);
}

static int run_transfer(struct work *work, struct transfer *transfer, struct error *err)
{
    for (size_t i = 0; i < work->n; i++)
        if (work->lanes[i].whole)
            add_lane(&work->lanes[i], transfer);
    if (transfer_run(transfer, err) < 0)
        return -1;
    for (size_t i = 0; i < work->n; i++)
        if (work->lanes[i].whole)
            judge(&work->lanes[i], transfer);
    return 0;
}

static int move_whole(struct work *work, struct error *err)
{
    struct blob_source source;
    struct transfer *transfer = blob_source_open(&source, work->push, NULL, err);
    int failed = transfer ? run_transfer(work, transfer, err) : -1;
    transfer_free(transfer);
    if (transfer)
        blob_source_close(&source);
    return failed ? error_wrap(err, "The blob %s", work->push->digest.text) : 0;
}

// --- chunks

// Whole, unless the blob is too large for that or the last attempt has shown better.
static bool in_chunks(const struct blob_lane *lane)
{
    int64_t size = lane->push->size;
    if (lane->target->sink || size == 0)
        return false;
    struct registry_trait trait = blob_lane_trait(lane);
    if (lane->upload.offset > 0)
        return true;
    if (trait.no_chunks)
        return false;
    return lane->chunked || size > lane->target->scope.registry->monolithic_max_bytes ||
           (trait.body_max_bytes && size > trait.body_max_bytes);
}

static void learn_no_chunks(const struct blob_lane *lane)
{
    struct registry_trait trait = blob_lane_trait(lane);
    trait.no_chunks = true;
    blob_lane_learn(lane, &trait);
}

static void tell_uploading(const struct blob_lane *lane)
{
    AUTO_FREE char *why = NULL;
    if (lane->upload.offset > 0)
        why = mem_printf("goes on after %lld bytes of an earlier attempt", (long long)lane->upload.offset);
    blob_lane_tell(lane, "uploading", NULL, why);
}

static int move_in_chunks(struct blob_lane *lane, struct error *err)
{
    struct error why = ERROR_INIT;
    struct blob_chunks chunks = {.push = lane->push, .target = lane->index, .upload = &lane->upload};
    if (!lane->whole)
        tell_uploading(lane);
    if (blob_chunks_run(&chunks, &why) == 0) {
        blob_lane_succeed(lane, BLOB_PUSH_COPIED);
        return 0;
    }
    bool whole_instead = upload_no_chunks(&why) && lane->upload.offset == 0;
    if (whole_instead)
        learn_no_chunks(lane);
    if (!chunks.session_good)
        blob_lane_end_session(lane);
    if (chunks.source_failed) {
        error_move(err, &why);
        return error_wrap(err, "The blob %s", lane->push->digest.text);
    }
    blob_lane_fail(lane, &why);
    lane->again = whole_instead;
    return 0;
}

static int move_bytes(struct work *work, struct error *err)
{
    bool any_whole = false;
    if (!work->push->reader && work->push->state)
        work->push->state(work->push->state_arg, -1, "downloading", NULL, NULL);
    for (size_t i = 0; i < work->n; i++) {
        struct blob_lane *lane = &work->lanes[i];
        lane->whole = lane->needed && !in_chunks(lane);
        any_whole |= lane->whole;
    }
    if (any_whole && move_whole(work, err) < 0)
        return -1;
    // Those that were not for the transfer, and those that fell out of it and can go on.
    for (size_t i = 0; i < work->n; i++)
        if (work->lanes[i].needed && move_in_chunks(&work->lanes[i], err) < 0)
            return -1;
    return 0;
}

// --- all of it

// Blobs of no bytes need no source.
static void push_empty(struct blob_lane *lane)
{
    struct error why = ERROR_INIT;
    blob_lane_tell(lane, "uploading", NULL, NULL);
    int failed = lane->target->sink ? sink_finish(lane->target->sink, &why)
                                    : upload_empty(&lane->upload, &lane->push->digest, &why);
    if (failed)
        blob_lane_fail(lane, &why);
    else
        blob_lane_succeed(lane, BLOB_PUSH_COPIED);
}

static void prepare(struct blob_lane *lane)
{
    lane->again = false;
    if (lane->target->sink)
        lane->needed = true;
    else
        blob_probe(lane);
    if (lane->upload.open && lane->push->size > BLOB_PUSH_KEPT_BYTES)
        blob_session_note(lane->push, lane->index, &lane->upload);
}

static int pass(struct work *work, bool first, struct error *err)
{
    bool needed = false;
    for (size_t i = 0; i < work->n; i++) {
        struct blob_lane *lane = &work->lanes[i];
        if (!blob_lane_finished(lane) && (first || lane->again))
            prepare(lane);
        needed |= lane->needed;
    }
    if (!needed)
        return 0;
    if (work->push->size > 0)
        return move_bytes(work, err);
    for (size_t i = 0; i < work->n; i++)
        if (work->lanes[i].needed)
            push_empty(&work->lanes[i]);
    return 0;
}

static bool any_again(const struct work *work)
{
    for (size_t i = 0; i < work->n; i++)
        if (work->lanes[i].again)
            return true;
    return false;
}

static int sum_up(const struct work *work, struct error *err)
{
    for (size_t i = 0; i < work->n; i++)
        if (!blob_lane_finished(&work->lanes[i])) {
            error_copy(err, &work->lanes[i].target->error);
            return -1;
        }
    return 0;
}

int blob_push_run(struct blob_push *push, struct error *err)
{
    struct work work = {
        .push = push, .n = push->n_targets, .lanes = mem_calloc(push->n_targets, sizeof(struct blob_lane))};
    for (size_t i = 0; i < work.n; i++)
        work.lanes[i] = (struct blob_lane){.push = push, .target = &push->targets[i], .index = (int)i};
    int failed = 0;
    for (int i = 0; i < PASSES_MAX && !failed && (i == 0 || any_again(&work)); i++)
        failed = pass(&work, i == 0, err);
    if (!failed)
        failed = sum_up(&work, err);
    for (size_t i = 0; i < work.n; i++) {
        if (failed)
            blob_lane_hand_back(&work.lanes[i], err);
        blob_lane_close(&work.lanes[i]);
    }
    free(work.lanes);
    return failed;
}

void blob_push_abandon(struct blob_push *push)
{
    for (size_t i = 0; i < push->n_targets; i++) {
        CLEANUP(error_clear) struct error ignored = ERROR_INIT;
        struct blob_lane lane = {.push = push, .target = &push->targets[i], .index = (int)i};
        if (lane.target->session && blob_lane_open(&lane, &ignored) == 0)
            blob_lane_resume(&lane, &ignored);
        blob_lane_close(&lane);
    }
}
