// SPDX-License-Identifier: Apache-2.0
//
// One blob to n targets. Called by images as one step. Two acts: ask each registry target (probe), then, if anybody needs
// it, open the source once, move the bytes through net/transfer and judge each target by itself. What must hold: a
// target is done only when its registry said 201 or was asked and has the blob; every session that is not closed by a
// PUT is cancelled.
#include "registry/blob_push.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "net/transfer.h"
#include "registry/blob_source.h"
#include "registry/upload.h"

enum {
    PASSES_MAX = 2,
    // From here on one more question is cheaper than sending bytes that are there already.
    HEAD_PAYS_BYTES = 1 << 20,
};

// A target at work.
struct lane {
    struct blob_push_target *target;
    int index;
    bool needed;          // takes part in the transfer
    bool again;           // a new session may succeed
    struct registry_call call;
    bool call_open;
    struct upload upload;
    int number;           // of the transfer's target
};

struct work {
    struct blob_push *push;
    struct lane *lanes;
};

static void tell(const struct blob_push *push, int target, const char *state, const char *from, const char *why)
{
    if (push->state)
        push->state(push->state_arg, target, state, from, why);
}

static bool finished(const struct blob_push_target *target)
{
    return target->how == BLOB_PUSH_EXISTS || target->how == BLOB_PUSH_MOUNTED || target->how == BLOB_PUSH_COPIED;
}

static void end_session(struct lane *lane)
{
    upload_cancel(&lane->upload);
    upload_clear(&lane->upload);
}

static void succeed(struct work *work, struct lane *lane, enum blob_push_how how)
{
    static const char *const states[] = {
        [BLOB_PUSH_EXISTS] = "exists", [BLOB_PUSH_MOUNTED] = "mounted", [BLOB_PUSH_COPIED] = "done"};
    lane->target->how = how;
    lane->needed = false;
    lane->again = false;
    error_clear(&lane->target->error);
    lane->target->error = ERROR_INIT;
    tell(work->push, lane->index, states[how], how == BLOB_PUSH_MOUNTED ? lane->target->mount_from : NULL, NULL);
}

static void fail(struct work *work, struct lane *lane, struct error *why)
{
    lane->target->how = BLOB_PUSH_FAILED;
    lane->needed = false;
    error_clear(&lane->target->error);
    error_move(&lane->target->error, why);
    end_session(lane);
    tell(work->push, lane->index, "failed", NULL, lane->target->error.detail);
}

// --- first act: ask

static struct registry_traits *traits_of(const struct lane *lane)
{
    return lane->target->scope.registry->traits;
}

static void learn_no_self_mount(const struct lane *lane)
{
    struct registry_trait trait = registry_traits_get(traits_of(lane), lane->call.host);
    trait.no_self_mount = true;
    registry_traits_set(traits_of(lane), lane->call.host, &trait);
}

// A mount that is refused must not stand in the way of a plain upload: 0 with a session, 1 mounted, -1.
static int start_by_mount(const struct work *work, struct lane *lane, const char *from, bool self, struct error *err)
{
    int result = upload_start(&lane->upload, &lane->call, &work->push->digest, from, err);
    if (result >= 0 || !upload_refused_mount(err))
        return result;
    error_clear(err);
    *err = ERROR_INIT;
    if (self)
        learn_no_self_mount(lane);
    upload_clear(&lane->upload);
    return upload_start(&lane->upload, &lane->call, NULL, NULL, err);
}

static int probe_by_head(const struct work *work, struct lane *lane, struct error *err)
{
    return registry_call_blob_head(&lane->call, &work->push->digest, NULL, err);
}

// From another repository of the same host. Where that is refused, the blob may still be in the target itself.
static int probe_by_mount(struct work *work, struct lane *lane, struct error *err)
{
    int result = start_by_mount(work, lane, lane->target->mount_from, false, err);
    if (result != 0)
        return result;
    if (lane->target->known_absent || work->push->size < HEAD_PAYS_BYTES)
        return 0;
    int found = probe_by_head(work, lane, err);
    if (found <= 0)
        return found;
    end_session(lane);
    return 2;
}

// From the target itself: probe and upload start in one. A registry that answers 202 although it has the blob is found out by
// one HEAD, which large blobs are worth.
static int probe_by_self_mount(struct work *work, struct lane *lane, struct error *err)
{
    int result = start_by_mount(work, lane, lane->target->scope.repository, true, err);
    if (result != 0)
        return result > 0 ? 2 : -1;
    if (work->push->size < HEAD_PAYS_BYTES)
        return 0;
    int found = probe_by_head(work, lane, err);
    if (found <= 0)
        return found;
    learn_no_self_mount(lane);
    end_session(lane);
    return 2;
}

static int probe_plainly(struct work *work, struct lane *lane, struct error *err)
{
    int found = probe_by_head(work, lane, err);
    if (found != 0)
        return found > 0 ? 2 : -1;
    return upload_start(&lane->upload, &lane->call, NULL, NULL, err);
}

// 0: a session is open. 1: mounted. 2: it is there. -1.
static int probe(struct work *work, struct lane *lane, struct error *err)
{
    const struct blob_push_target *target = lane->target;
    bool from_other = target->mount_from && !str_equal(target->mount_from, target->scope.repository);
    if (target->force || (target->known_absent && !from_other))
        return upload_start(&lane->upload, &lane->call, NULL, NULL, err);
    if (from_other)
        return probe_by_mount(work, lane, err);
    if (registry_traits_get(traits_of(lane), lane->call.host).no_self_mount)
        return probe_plainly(work, lane, err);
    return probe_by_self_mount(work, lane, err);
}

static int open_lane(struct lane *lane, struct error *err)
{
    if (lane->call_open)
        return 0;
    if (registry_call_open(&lane->call, &lane->target->scope, CREDENTIAL_PULL | CREDENTIAL_PUSH,
                           lane->target->mount_from, err) < 0)
        return -1;
    lane->call_open = true;
    return 0;
}

static void prepare(struct work *work, struct lane *lane)
{
    struct error why = ERROR_INIT;
    lane->again = false;
    if (lane->target->sink) {
        lane->needed = true;
        return;
    }
    tell(work->push, lane->index, "checking", NULL, NULL);
    int result = open_lane(lane, &why);
    if (result == 0)
        result = probe(work, lane, &why);
    if (result < 0)
        fail(work, lane, &why);
    else if (result > 0)
        succeed(work, lane, result == 1 ? BLOB_PUSH_MOUNTED : BLOB_PUSH_EXISTS);
    else
        lane->needed = true;
}

// --- second act: the bytes

static void add_lane(struct work *work, struct lane *lane, struct transfer *transfer)
{
    tell(work->push, lane->index, "uploading", NULL, NULL);
    if (lane->target->sink) {
        lane->number = transfer_add_sink(transfer, lane->target->sink);
        return;
    }
    struct http_call http;
    upload_begin_put(&lane->upload, &work->push->digest, &http);
    lane->number = transfer_add_put(transfer, &http, lane->call.authorizer, lane->upload.credentials);
    http_call_clear(&http);
}

static int judge_upload(struct work *work, struct lane *lane, const struct http_answer *answer, struct error *err)
{
    registry_call_warn(&lane->call, answer);
    return upload_judge_put(&lane->upload, &work->push->digest, answer, err);
}

// May the same bytes be sent once more at once? A lost session, a token that died on the way: yes. What may be worse
// than before – a server that fails – is left to the job's retries.
static bool worth_again(const struct error *why)
{
    return upload_lost(why) || why->upstream.status == 401;
}

static void judge(struct work *work, struct lane *lane, struct transfer *transfer)
{
    struct error why = ERROR_INIT;
    const struct http_answer *answer = NULL;
    int failed = transfer_result(transfer, lane->number, &answer, &why);
    if (!failed)
        failed = lane->target->sink ? sink_finish(lane->target->sink, &why) : judge_upload(work, lane, answer, &why);
    if (!failed) {
        lane->target->bytes_sent += lane->target->sink ? 0 : work->push->size;
        succeed(work, lane, BLOB_PUSH_COPIED);
        return;
    }
    bool again = !lane->target->sink && worth_again(&why);
    fail(work, lane, &why);
    lane->again = again;
}

static int run_transfer(struct work *work, size_t n, struct transfer *transfer, struct error *err)
{
    for (size_t i = 0; i < n; i++)
        if (work->lanes[i].needed)
            add_lane(work, &work->lanes[i], transfer);
    if (transfer_run(transfer, err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (work->lanes[i].needed)
            judge(work, &work->lanes[i], transfer);
    return 0;
}

static int move_bytes(struct work *work, size_t n, struct error *err)
{
    struct blob_source source;
    if (!work->push->reader)
        tell(work->push, -1, "downloading", NULL, NULL);
    struct transfer *transfer = blob_source_open(&source, work->push, err);
    int failed = transfer ? run_transfer(work, n, transfer, err) : -1;
    transfer_free(transfer);
    if (transfer)
        blob_source_close(&source);
    return failed ? error_wrap(err, "The blob %s", work->push->digest.text) : 0;
}

// Blobs of no bytes need no source.
static void push_empty(struct work *work, struct lane *lane)
{
    struct error why = ERROR_INIT;
    tell(work->push, lane->index, "uploading", NULL, NULL);
    int failed = lane->target->sink ? sink_finish(lane->target->sink, &why)
                                    : upload_empty(&lane->upload, &work->push->digest, &why);
    if (failed)
        fail(work, lane, &why);
    else
        succeed(work, lane, BLOB_PUSH_COPIED);
}

// --- all of it

static size_t count_needed(const struct work *work, size_t n)
{
    size_t needed = 0;
    for (size_t i = 0; i < n; i++)
        needed += work->lanes[i].needed;
    return needed;
}

static int pass(struct work *work, size_t n, bool first, struct error *err)
{
    for (size_t i = 0; i < n; i++)
        if (!finished(work->lanes[i].target) && (first || work->lanes[i].again))
            prepare(work, &work->lanes[i]);
    if (!count_needed(work, n))
        return 0;
    if (work->push->size > 0)
        return move_bytes(work, n, err);
    for (size_t i = 0; i < n; i++)
        if (work->lanes[i].needed)
            push_empty(work, &work->lanes[i]);
    return 0;
}

static bool any_again(const struct work *work, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (work->lanes[i].again)
            return true;
    return false;
}

static int sum_up(const struct work *work, size_t n, struct error *err)
{
    for (size_t i = 0; i < n; i++)
        if (!finished(work->lanes[i].target)) {
            error_copy(err, &work->lanes[i].target->error);
            return -1;
        }
    return 0;
}

static void close_lanes(struct work *work, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct lane *lane = &work->lanes[i];
        end_session(lane);
        if (lane->call_open)
            registry_call_close(&lane->call);
    }
    free(work->lanes);
}

int blob_push_run(struct blob_push *push, struct error *err)
{
    struct work work = {.push = push, .lanes = mem_calloc(push->n_targets, sizeof(struct lane))};
    for (size_t i = 0; i < push->n_targets; i++)
        work.lanes[i] = (struct lane){.target = &push->targets[i], .index = (int)i};
    int failed = 0;
    for (int i = 0; i < PASSES_MAX && !failed && (i == 0 || any_again(&work, push->n_targets)); i++)
        failed = pass(&work, push->n_targets, i == 0, err);
    if (!failed)
        failed = sum_up(&work, push->n_targets, err);
    close_lanes(&work, push->n_targets);
    return failed;
}
