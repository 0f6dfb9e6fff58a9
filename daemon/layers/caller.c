// SPDX-License-Identifier: Apache-2.0
//
// A failure on the way back would leave a worker with somebody else's rights: it ends the process.
#include "layers/caller.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

enum { GROUPS_MAX = 65536, PASSWD_BUFFER = 16 << 10 };

static const uint32_t PASSING_OVER = 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH | 1u << CAP_FOWNER |
                                     1u << CAP_FSETID | 1u << CAP_CHOWN | 1u << CAP_LINUX_IMMUTABLE;

static int set_groups(int count, const gid_t *groups)
{
    return (int)syscall(SYS_setgroups, (long)count, groups);
}

// setfsuid and setfsgid do not say whether they worked: asking with −1 does.
static bool become(uid_t uid, gid_t gid)
{
    syscall(SYS_setfsgid, (long)gid);
    syscall(SYS_setfsuid, (long)uid);
    return (uid_t)syscall(SYS_setfsuid, -1L) == uid && (gid_t)syscall(SYS_setfsgid, -1L) == gid;
}

static struct __user_cap_header_struct header(void)
{
    return (struct __user_cap_header_struct){.version = _LINUX_CAPABILITY_VERSION_3};
}

// Groups by the system's data base; a user that it does not know has his primary group only.
static void find_groups(struct caller *caller)
{
    AUTO_FREE char *buffer = mem_alloc(PASSWD_BUFFER);
    struct passwd entry, *found = NULL;
    caller->n_groups = 1;
    caller->groups = mem_calloc(1, sizeof(gid_t));
    caller->groups[0] = caller->gid;
    if (getpwuid_r(caller->uid, &entry, buffer, PASSWD_BUFFER, &found) != 0 || !found)
        return;
    int count = 32;
    gid_t *groups = mem_calloc((size_t)count, sizeof(gid_t));
    while (getgrouplist(entry.pw_name, caller->gid, groups, &count) < 0 && count < GROUPS_MAX)
        groups = mem_realloc(groups, (size_t)count * sizeof(gid_t));
    free(caller->groups);
    caller->groups = groups;
    caller->n_groups = count;
}

int caller_init(struct caller *caller, const struct layer_caller *who, struct error *err)
{
    *caller = (struct caller){0};
    if (!who || !who->apply)
        return 0;
    caller->own_uid = geteuid();
    caller->own_gid = getegid();
    if (who->uid == caller->own_uid)
        return 0;
    caller->apply = true;
    caller->uid = who->uid;
    caller->gid = who->gid;
    find_groups(caller);
    caller->n_own_groups = getgroups(0, NULL);
    if (caller->n_own_groups < 0)
        return error_set_errno(err, errno, "reading the groups of the daemon");
    caller->own_groups = mem_calloc((size_t)caller->n_own_groups + 1, sizeof(gid_t));
    caller->n_own_groups = getgroups(caller->n_own_groups, caller->own_groups);
    struct __user_cap_header_struct cap = header();
    if (caller->n_own_groups < 0 || syscall(SYS_capget, &cap, caller->capabilities) < 0)
        return error_set_errno(err, errno, "reading the rights of the daemon");
    return 0;
}

void caller_fini(struct caller *caller)
{
    caller_leave(caller);
    free(caller->groups);
    free(caller->own_groups);
    *caller = (struct caller){0};
}

static bool drop_capabilities(const struct caller *caller)
{
    struct __user_cap_header_struct cap = header();
    uint32_t less[2][3];
    memcpy(less, caller->capabilities, sizeof(less));
    less[0][0] &= ~PASSING_OVER; // the effective ones
    return syscall(SYS_capset, &cap, less) == 0;
}

int caller_enter(struct caller *caller, struct error *err)
{
    if (!caller->apply || caller->entered)
        return 0;
    caller->entered = true;
    if (set_groups(caller->n_groups, caller->groups) == 0 && become(caller->uid, caller->gid) &&
        drop_capabilities(caller))
        return 0;
    caller_leave(caller);
    error_set(err, ERR_FORBIDDEN, "the daemon cannot read files with the rights of user %u",
              (unsigned)caller->uid);
    error_hint(err,
               "Run drayd as that user, or as root, or with the capabilities CAP_SETUID and CAP_SETGID.");
    return -1;
}

void caller_leave(struct caller *caller)
{
    if (!caller->entered)
        return;
    caller->entered = false;
    struct __user_cap_header_struct cap = header();
    bool back = become(caller->own_uid, caller->own_gid);
    back = syscall(SYS_capset, &cap, caller->capabilities) == 0 && back;
    bool groups = set_groups(caller->n_own_groups, caller->own_groups) == 0 || errno == EPERM;
    if (back && groups)
        return;
    log_error("a worker could not take the daemon's own rights back");
    abort();
}
