// SPDX-License-Identifier: Apache-2.0
//
// The life of one target in a blob_push. What must hold: a lane that ends without a closed upload cancels its
// session.
#include "registry/blob_lane.h"

#include "base/mem.h"

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
    upload_cancel(&lane->upload);
    upload_clear(&lane->upload);
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
    blob_lane_end_session(lane);
    blob_lane_tell(lane, "failed", NULL, lane->target->error.detail);
}

int blob_lane_resume(struct blob_lane *lane, struct error *err)
{
    char *session = mem_take(lane->target->session);
    int gone = upload_resume(&lane->upload, &lane->call, session, lane->push->size, err);
    free(session);
    if (gone > 0)
        upload_clear(&lane->upload);
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
