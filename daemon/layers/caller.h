// SPDX-License-Identifier: Apache-2.0
//
// Reading files with the rights of the caller of a job where the daemon has more: file system user, group,
// supplementary groups, and none of the capabilities that pass over permissions. Of the calling thread only:
// the raw system calls are used, since those of the C library change every thread of the process.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "layers/layer.h"

struct caller {
    bool apply; // the daemon has another user than the caller
    bool entered;
    uid_t uid;
    gid_t gid;
    gid_t *groups; // of the caller
    int n_groups;
    gid_t *own_groups;
    int n_own_groups;
    uid_t own_uid;
    gid_t own_gid;
    uint32_t capabilities[2][3]; // effective, permitted, inheritable, as capget(2) gives them
};

// Looks up the caller's groups (NULL, or apply unset: nothing to do, all calls are harmless). ERR_INTERNAL.
int caller_init(struct caller *caller, const struct layer_caller *who, struct error *err);
void caller_fini(struct caller *caller); // leaves first
// From here to caller_leave this thread opens files as the caller. ERR_FORBIDDEN if the daemon may not become
// the caller.
int caller_enter(struct caller *caller, struct error *err);
void caller_leave(struct caller *caller);
