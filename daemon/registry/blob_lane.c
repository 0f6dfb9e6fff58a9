// SPDX-License-Identifier: Apache-2.0
//
// The life of one target in a blob_push. What must hold: a lane that ends without a closed upload cancels its
// session or hands it back to the caller, who was told of it.
#include "registry/blob_lane.h"

#include "base/mem.h"
#include "registry/blob_session.h"

void blob_lane_tell(const struct blob_lane *lane, const char *state, const char *from, const char *why)
{
    if (lane->push->state)
        lane->push->state(lane->push->state_arg, lane->index, state, from, why);
}

int blob_lane_open(struct blob_lane *lane, struct error *err)
{
    if (lane->call_open)
        return 0;
    if (registry_call_open(&lane->call, &lane->target->scope, CREDENTIAL_PULL | CREDENTIAL_PUSH,
                           lane->target->mount_from, err) < 0)
        return -1;
    lane->call_open = true;
    return 0;
}

void blob_lane_end_session(struct blob_lane *lane)
{
    if (lane->upload.open)
        blob_session_drop(lane->push, lane->index);
    upload_cancel(&lane->upload);
    upload_clear(&lane->upload);
}

void blob_lane_hand_back(struct blob_lane *lane, const struct error *why)
{
    if (lane->target->session && lane->push->keep_sessions && blob_session_survives(why))
        lane->upload.open = false;
}

void blob_lane_close(struct blob_lane *lane)
{
    blob_lane_end_session(lane);
    if (lane->call_open)
        registry_call_close(&lane->call);
    lane->call_open = false;
}

bool blob_lane_finished(const struct blob_lane *lane)
{
    enum blob_push_how how = lane->target->how;
    return how == BLOB_PUSH_EXISTS || how == BLOB_PUSH_MOUNTED || how == BLOB_PUSH_COPIED;
}

void blob_lane_succeed(struct blob_lane *lane, enum blob_push_how how)
{
    static const char *const states[] = {
        [BLOB_PUSH_EXISTS] = "exists", [BLOB_PUSH_MOUNTED] = "mounted", [BLOB_PUSH_COPIED] = "done"};
    lane->target->how = how;
    lane->needed = lane->again = false;
    blob_session_drop(lane->push, lane->index);
    error_clear(&lane->target->error);
    lane->target->error = ERROR_INIT;
    blob_lane_tell(lane, states[how], how == BLOB_PUSH_MOUNTED ? lane->target->mount_from : NULL, NULL);
}

void blob_lane_fail(struct blob_lane *lane, struct error *why)
{
    lane->target->how = BLOB_PUSH_FAILED;
    lane->needed = lane->again = false;
    error_clear(&lane->target->error);
    error_move(&lane->target->error, why);
    blob_lane_hand_back(lane, &lane->target->error);
    blob_lane_end_session(lane);
    blob_lane_tell(lane, "failed", NULL, lane->target->error.detail);
}

// 0, 1 gone, -1 with the session left to be asked another time if it was only the network.
static int ask(struct blob_lane *lane, const char *text, struct error *err)
{
    struct blob_session session;
    if (!blob_session_parse(&session, text) || session.offset > lane->push->size)
        return 1;
    int gone =
        upload_resume(&lane->upload, &lane->call, session.location, session.offset, lane->push->size, err);
    if (gone < 0 && !blob_session_survives(err)) { // what it was adopted from is judged anew: not there, then
        error_clear(err);
        *err = ERROR_INIT;
        gone = 1;
    }
    return gone;
}

int blob_lane_resume(struct blob_lane *lane, struct error *err)
{
    int gone = ask(lane, lane->target->session, err);
    if (gone > 0) {
        blob_lane_end_session(lane);
        blob_session_drop(lane->push, lane->index);
    }
    lane->chunked = gone == 0;
    return gone;
}

struct registry_trait blob_lane_trait(const struct blob_lane *lane)
{
    return registry_traits_get(lane->target->scope.registry->traits, lane->call.host);
}

void blob_lane_learn(const struct blob_lane *lane, const struct registry_trait *trait)
{
    registry_traits_set(lane->target->scope.registry->traits, lane->call.host, trait);
}
