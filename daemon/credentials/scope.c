// SPDX-License-Identifier: Apache-2.0
//
// Building and comparing token scopes. `delete` is never asked for unasked: Quay refuses a token request that
// names it, so it comes in only by a challenge that demands it.
#include "credentials/scope.h"

#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "credentials/credentials.h"

enum { SCOPES_MAX = 16 << 10 };

static void put(struct strbuf *buf, const char *format, const char *name)
{
    if (buf->len)
        strbuf_putc(buf, ' ');
    strbuf_printf(buf, format, name);
}

char *scope_build(const char *repository, unsigned actions, const char *mount_from, const char *extra)
{
    struct strbuf buf = STRBUF_INIT(SCOPES_MAX);
    if (extra && *extra)
        put(&buf, "%s", extra);
    if (repository && actions & (CREDENTIAL_PUSH | CREDENTIAL_DELETE))
        put(&buf, "repository:%s:pull,push", repository);
    else if (repository && actions & CREDENTIAL_PULL)
        put(&buf, "repository:%s:pull", repository);
    if (actions & CREDENTIAL_CATALOG)
        put(&buf, "registry:catalog:%s", "*");
    if (mount_from)
        put(&buf, "repository:%s:pull", mount_from);
    return strbuf_take(&buf);
}

static bool has_action(const char *actions, size_t len, const char *wanted, size_t wanted_len)
{
    for (const char *at = actions; at < actions + len;) {
        size_t one = strcspn(at, ", ");
        if (at + one > actions + len)
            one = (size_t)(actions + len - at);
        if ((one == wanted_len && memcmp(at, wanted, one) == 0) || (one == 1 && *at == '*'))
            return true;
        at += one + 1;
    }
    return false;
}

// The length of "type:name:" – everything before the actions; a name may hold a colon, actions may not.
static size_t resource_len(const char *item, size_t len)
{
    const char *colon = memrchr(item, ':', len);
    return colon ? (size_t)(colon - item) + 1 : len;
}

// Is one action of one wanted item granted by any item of `have`?
static bool granted(const char *have, const char *resource, size_t resource_length, const char *action,
                    size_t action_len)
{
    for (const char *at = have; *(at += strspn(at, " "));) {
        size_t len = strcspn(at, " ");
        size_t head = resource_len(at, len);
        if (head == resource_length && memcmp(at, resource, head) == 0 &&
            (head == len || has_action(at + head, len - head, action, action_len)))
            return true;
        at += len;
    }
    return false;
}

static bool item_covered(const char *have, const char *item, size_t len)
{
    size_t head = resource_len(item, len);
    if (head == len) // no actions: the whole text must be there
        return granted(have, item, len, "", 0);
    for (const char *action = item + head; action < item + len;) {
        size_t action_len = strcspn(action, ", ");
        if (action + action_len > item + len)
            action_len = (size_t)(item + len - action);
        if (action_len && !granted(have, item, head, action, action_len))
            return false;
        action += action_len + 1;
    }
    return true;
}

bool scope_covers(const char *have, const char *wanted)
{
    for (const char *at = wanted ? wanted : ""; *(at += strspn(at, " "));) {
        size_t len = strcspn(at, " ");
        if (!item_covered(have, at, len))
            return false;
        at += len;
    }
    return true;
}
