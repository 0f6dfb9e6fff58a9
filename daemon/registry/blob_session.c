// SPDX-License-Identifier: Apache-2.0
//
// The caller may keep the text in its own time, so after a crash the registry can be several chunks ahead of
// it.
#include "registry/blob_session.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

static void tell(const struct blob_push *push, int target)
{
    if (push->session)
        push->session(push->state_arg, target, push->targets[target].session);
}

char *blob_session_format(const struct upload *upload)
{
    AUTO_FREE char *location = upload_location_text(upload);
    return mem_printf("%lld %s", (long long)upload->offset, location);
}

void blob_session_note(struct blob_push *push, int target, const struct upload *upload)
{
    if (!push->keep_sessions)
        return;
    struct blob_push_target *noted = &push->targets[target];
    AUTO_FREE char *text = blob_session_format(upload);
    if (str_equal(text, noted->session))
        return;
    free(noted->session);
    noted->session = mem_take(text);
    tell(push, target);
}

void blob_session_drop(struct blob_push *push, int target)
{
    if (!push->targets[target].session)
        return;
    free(mem_take(push->targets[target].session));
    tell(push, target);
}

bool blob_session_parse(struct blob_session *ret, const char *text)
{
    const char *space = strchr(text, ' ');
    AUTO_FREE char *number = space ? mem_strndup(text, (size_t)(space - text)) : NULL;
    ret->location = space ? space + 1 : NULL;
    return number && str_to_int64(number, 0, INT64_MAX, &ret->offset);
}

bool blob_session_survives(const struct error *err)
{
    return err->retryable || err->code == ERR_CANCELLED;
}
