// SPDX-License-Identifier: Apache-2.0
//
// Chunked uploads. Called by blob_push for large blobs and after failures of a whole one. What must hold: a
// chunk begins where the registry acknowledged the last byte; nothing is begun again inside a session, only
// in a new one; attempts without progress are counted and end. The hash goes on from chunk to chunk, so that
// the last bytes of a wrong blob are never sent; after a restart it is unknown, then the registry's own check
// of the closing PUT has to do.
#include "registry/blob_chunks.h"

#include "base/mem.h"
#include "net/transfer.h"
#include "registry/blob_session.h"
#include "registry/blob_source.h"

enum { STUCK_MAX = 3, SESSIONS_MAX = 4 };

struct work {
    struct blob_chunks *chunks;
    struct blob_push *push;
    struct upload *upload;
    struct hasher *hasher; // of the bytes before `hashed`; NULL: unknown
    int64_t hashed;
    int64_t best; // furthest offset so far
    int stuck;    // failures since then
    int sessions;
    bool mended; // the session was gone on with after a failure, or by another run
};

static struct blob_push_target *target_of(const struct work *work)
{
    return &work->push->targets[work->chunks->target];
}

// --- how much at once

bool blob_chunks_shrink(const struct upload *upload, int64_t refused, struct error *err)
{
    struct registry_traits *traits = upload->call->scope->registry->traits;
    struct registry_trait trait = registry_traits_get(traits, upload->call->host);
    int64_t next = refused / 2 < CHUNK_CEILING_BYTES ? refused / 2 : CHUNK_CEILING_BYTES;
    if (refused <= CHUNK_FLOOR_BYTES) {
        error_hint(err,
                   "The registry, or a proxy in front of it, takes no request of %lld bytes; smaller ones are not "
                   "tried. nginx calls this limit client_max_body_size",
                   (long long)refused);
        return false;
    }
    trait.body_max_bytes = next < CHUNK_FLOOR_BYTES ? CHUNK_FLOOR_BYTES : next;
    registry_traits_set(traits, upload->call->host, &trait);
    return true;
}

static int64_t chunk_bytes(const struct work *work)
{
    const struct registry *registry = work->upload->call->scope->registry;
    int64_t bytes = registry->chunk_bytes;
    int64_t max = registry_traits_get(registry->traits, work->upload->call->host).body_max_bytes;
    if (max && bytes > max)
        bytes = max;
    return bytes < work->upload->chunk_min ? work->upload->chunk_min : bytes;
}

// A rest that is smaller than what the registry takes as a chunk is no chunk but the end, which may be of any
// size.
static int64_t chunk_end(const struct work *work)
{
    int64_t end = work->upload->offset + chunk_bytes(work);
    return end > work->push->size ? work->push->size : end;
}

// Between two chunks.
static void remember_session(struct work *work)
{
    struct upload *upload = work->upload;
    int64_t end = chunk_end(work);
    if (upload->reach < end)
        upload->reach = end;
    if (upload->open)
        blob_session_note(work->push, work->chunks->target, upload);
    else
        blob_session_drop(work->push, work->chunks->target);
}

// --- one chunk

static int send_through(struct work *work, struct transfer *transfer, int64_t end, struct error *err)
{
    struct upload *upload = work->upload;
    bool last = end == work->push->size;
    struct http_call http;
    const struct http_answer *answer = NULL;
    upload_begin_chunk(upload, end, last ? &work->push->digest : NULL, &http);
    int number =
        transfer_add_put_from(transfer, &http, upload->call->authorizer, upload->credentials, upload->offset);
    http_call_clear(&http);
    if (transfer_run(transfer, err) < 0) {
        work->chunks->source_failed = true;
        return -1;
    }
    if (transfer_result(transfer, number, &answer, err) < 0)
        return -1;
    registry_call_heed(upload->call, answer);
    if (last)
        return upload_judge_put(upload, &work->push->digest, answer, err);
    return upload_judge_chunk(upload, end, answer, err);
}

static void keep_hash(struct work *work, struct transfer *transfer, int64_t end)
{
    hasher_free(work->hasher);
    work->hasher = transfer_take_hasher(transfer);
    work->hashed = end;
}

// Bytes that were hashed but not acknowledged are read once more: the source begins where the hash ends or
// earlier.
static int send_chunk(struct work *work, struct error *err)
{
    int64_t end = chunk_end(work);
    int64_t offset = work->upload->offset;
    bool known = work->hashed <= offset && (work->hasher || work->hashed == 0);
    struct blob_part part = {
        .first = known ? work->hashed : offset, .end = end, .hasher = known ? work->hasher : NULL};
    struct blob_source source;
    struct transfer *transfer = blob_source_open(&source, work->push, &part, err);
    if (!transfer) {
        work->chunks->source_failed = true;
        return -1;
    }
    int failed = send_through(work, transfer, end, err);
    if (!failed) {
        target_of(work)->bytes_sent += end - offset;
        keep_hash(work, transfer, end);
    }
    transfer_free(transfer);
    blob_source_close(&source);
    return failed;
}

// --- after a failure

static int new_session(struct work *work, struct error *err)
{
    struct registry_call *call = work->upload->call;
    if (++work->sessions >= SESSIONS_MAX)
        return -1;
    error_clear(err);
    *err = ERROR_INIT;
    upload_cancel(work->upload);
    upload_clear(work->upload);
    blob_session_drop(work->push, work->chunks->target);
    if (upload_start(work->upload, call, NULL, NULL, err) < 0)
        return -1;
    hasher_free(mem_take(work->hasher));
    work->hashed = 0;
    work->best = 0;
    work->stuck = 0;
    work->mended = false;
    remember_session(work);
    return 0;
}

// Did all of it arrive, and only the answer was lost? 1, 0, -1.
static int arrived(struct work *work, struct error *err)
{
    return registry_call_blob_head(work->upload->call, &work->push->digest, NULL, err);
}

static bool counts_as_progress(struct work *work)
{
    if (work->upload->offset > work->best) {
        work->best = work->upload->offset;
        work->stuck = 0;
        return true;
    }
    return ++work->stuck < STUCK_MAX;
}

// Nobody knows what became of it. That the question failed counts for more if it can be asked again.
static int not_told(struct error *err, struct error *why)
{
    if (!err->retryable && why->retryable) {
        error_clear(err);
        error_move(err, why);
    }
    return -1;
}

// The connection broke, the server stumbled, or it is elsewhere than we think: ask how far it got and go on
// from there. 1: it is all there.
static int go_on(struct work *work, int64_t end, struct error *err)
{
    CLEANUP(error_clear) struct error why = ERROR_INIT;
    int64_t offset = work->upload->offset;
    work->chunks->session_good = true;
    int there = end == work->push->size ? arrived(work, &why) : 0;
    int gone = there == 0 ? upload_ask_offset(work->upload, &why) : 0;
    if (there > 0)
        return 1;
    if (there < 0 || gone < 0)
        return not_told(err, &why);
    bool refused = upload_misplaced(err) && work->upload->offset == offset;
    if (gone || refused)
        return new_session(work, err);
    if (!counts_as_progress(work))
        return -1;
    work->mended = true;
    if (work->push->monitor)
        atomic_fetch_add_explicit(&work->push->monitor->retries, 1, memory_order_relaxed);
    error_clear(err);
    *err = ERROR_INIT;
    remember_session(work);
    return 0;
}

// A session that was gone on with and is refused now – it has expired, has other bytes than we think, or may
// not end without some: from the start, then. What was wrong with the request itself comes out again there.
static bool worn_out(const struct work *work, int64_t end, const struct error *err)
{
    int status = err->upstream.status;
    bool empty = end == work->upload->offset;
    bool later = status == 408 || status == 425 || status == 429;
    return work->mended && ((status >= 400 && status < 500 && !later) || (empty && status == 500));
}

// 0: try again, 1: the blob is there after all, -1: err stands.
static int recover(struct work *work, int64_t end, struct error *err)
{
    int64_t offset = work->upload->offset;
    work->chunks->session_good = false;
    if (work->chunks->source_failed) {
        work->chunks->session_good = blob_session_survives(err);
        return -1;
    }
    if (upload_too_large(err))
        return blob_chunks_shrink(work->upload, end - offset, err) ? new_session(work, err) : -1;
    if (err->code == ERR_REGISTRY_UNREACHABLE || upload_misplaced(err))
        return go_on(work, end, err);
    if (upload_lost(err) || worn_out(work, end, err))
        return new_session(work, err);
    work->chunks->session_good = blob_session_survives(err);
    return -1;
}

// What an earlier run has hashed while it sent it, if the registry has all of that.
static void take_over_hash(struct work *work)
{
    const struct blob_push_target *target = target_of(work);
    if (!target->hasher || target->hashed > work->upload->offset)
        return;
    work->hasher = hasher_dup(target->hasher);
    work->hashed = target->hashed;
}

int blob_chunks_run(struct blob_chunks *chunks, struct error *err)
{
    struct work work = {.chunks = chunks,
                        .push = chunks->push,
                        .upload = chunks->upload,
                        .best = chunks->upload->offset,
                        .mended = chunks->upload->offset > 0};
    int result = 0;
    chunks->source_failed = chunks->session_good = false;
    if (work.mended)
        take_over_hash(&work);
    remember_session(&work);
    while (result == 0 && work.upload->open) {
        int64_t end = chunk_end(&work);
        if (send_chunk(&work, err) < 0)
            result = recover(&work, end, err);
        else
            remember_session(&work);
    }
    hasher_free(work.hasher);
    if (result == 1) {
        error_clear(err);
        *err = ERROR_INIT;
        work.upload->open = false;
        remember_session(&work);
    }
    return result < 0 ? -1 : 0;
}
