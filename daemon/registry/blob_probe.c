// SPDX-License-Identifier: Apache-2.0
//
// The first act of a blob_push: is the blob there, can it be mounted, and if not, an upload session. A mount
// from the target repository itself answers 201 if the blob is there and else opens a session: one request
// where HEAD and POST would be two. Registries that do not play along are remembered and asked by HEAD.
#include "base/mem.h"
#include "base/str.h"
#include "registry/blob_lane.h"

// From here on one more question is cheaper than sending bytes that are there already.
enum { HEAD_PAYS_BYTES = 1 << 20 };

enum found { FOUND_FAILED = -1, FOUND_SESSION, FOUND_MOUNTED, FOUND_THERE };

// Some registries say 401 or 403 of what is not there; whether the repository may be written, the upload will
// tell.
static int head(struct blob_lane *lane, struct error *err)
{
    int found = registry_call_blob_head(&lane->call, &lane->push->digest, NULL, err);
    if (found >= 0 || err->code != ERR_REGISTRY_DENIED)
        return found;
    error_clear(err);
    *err = ERROR_INIT;
    return 0;
}

static void learn_no_self_mount(const struct blob_lane *lane)
{
    struct registry_trait trait = blob_lane_trait(lane);
    trait.no_self_mount = true;
    blob_lane_learn(lane, &trait);
}

static enum found start_plainly(struct blob_lane *lane, struct error *err)
{
    return upload_start(&lane->upload, &lane->call, NULL, NULL, err) < 0 ? FOUND_FAILED : FOUND_SESSION;
}

// A mount that is refused must not stand in the way of a plain upload.
static enum found start_by_mount(struct blob_lane *lane, const char *from, struct error *err)
{
    int result = upload_start(&lane->upload, &lane->call, &lane->push->digest, from, err);
    if (result >= 0)
        return result > 0 ? FOUND_MOUNTED : FOUND_SESSION;
    if (!upload_refused_mount(err))
        return FOUND_FAILED;
    error_clear(err);
    *err = ERROR_INIT;
    upload_clear(&lane->upload);
    if (str_equal(from, lane->target->scope.repository))
        learn_no_self_mount(lane);
    return start_plainly(lane, err);
}

// A session is open. Is the blob there all the same?
static enum found make_sure(struct blob_lane *lane, struct error *err)
{
    int found = head(lane, err);
    if (found < 0)
        return FOUND_FAILED;
    if (!found)
        return FOUND_SESSION;
    blob_lane_end_session(lane);
    return FOUND_THERE;
}

// From another repository of the same host. Where that is refused, the blob may still be in the target
// itself.
static enum found by_mount(struct blob_lane *lane, struct error *err)
{
    enum found found = start_by_mount(lane, lane->target->mount_from, err);
    if (found != FOUND_SESSION || lane->target->known_absent || lane->push->size < HEAD_PAYS_BYTES)
        return found;
    return make_sure(lane, err);
}

static enum found by_self_mount(struct blob_lane *lane, struct error *err)
{
    enum found found = start_by_mount(lane, lane->target->scope.repository, err);
    if (found == FOUND_MOUNTED)
        return FOUND_THERE;
    if (found != FOUND_SESSION || lane->push->size < HEAD_PAYS_BYTES)
        return found;
    found = make_sure(lane, err);
    if (found == FOUND_THERE)
        learn_no_self_mount(lane);
    return found;
}

static enum found by_head(struct blob_lane *lane, struct error *err)
{
    int found = head(lane, err);
    if (found != 0)
        return found > 0 ? FOUND_THERE : FOUND_FAILED;
    return start_plainly(lane, err);
}

static enum found probe(struct blob_lane *lane, struct error *err)
{
    const struct blob_push_target *target = lane->target;
    bool from_other = target->mount_from && !str_equal(target->mount_from, target->scope.repository);
    if (target->session) {
        int gone = blob_lane_resume(lane, err);
        if (gone <= 0)
            return gone < 0 ? FOUND_FAILED : FOUND_SESSION;
    }
    if (target->force || (target->known_absent && !from_other))
        return start_plainly(lane, err);
    if (from_other)
        return by_mount(lane, err);
    return blob_lane_trait(lane).no_self_mount ? by_head(lane, err) : by_self_mount(lane, err);
}

void blob_probe(struct blob_lane *lane)
{
    struct error why = ERROR_INIT;
    blob_lane_tell(lane, "checking", NULL, NULL);
    enum found found = blob_lane_open(lane, &why) < 0 ? FOUND_FAILED : probe(lane, &why);
    switch (found) {
    case FOUND_FAILED:
        blob_lane_fail(lane, &why);
        break;
    case FOUND_SESSION:
        lane->needed = true;
        break;
    case FOUND_MOUNTED:
        blob_lane_succeed(lane, BLOB_PUSH_MOUNTED);
        break;
    case FOUND_THERE:
        blob_lane_succeed(lane, BLOB_PUSH_EXISTS);
        break;
    }
}
