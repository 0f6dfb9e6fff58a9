// SPDX-License-Identifier: Apache-2.0
//
// Rebase: the layers of an old base at the bottom of an image are exchanged for those of a new one. Where a job does not name
// them, the annotations org.opencontainers.image.base.* (OCI image-spec annotations.md) do. Loop only.
#pragma once

#include "images/layer_edits.h"
#include "images/platform_set.h"

struct rebase {
    struct endpoint from, onto;
    struct platform_set from_set, onto_set;
    bool started;
};

// Submits the first steps. base: the image to be rebased, complete.
int rebase_start(struct rebase *rebase, const struct layer_edits *edits, const struct platform_set *base,
                 struct job *job, struct credential_set *auth, struct error *err);
bool rebase_complete(const struct rebase *rebase);
// For one platform: ERR_CONFLICT if the image does not stand on the old base.
int rebase_apply(const struct rebase *rebase, size_t platform, struct layer_stack *stack, struct image_config *config,
                 struct error *err);
// "host/name:tag" of the new base, for its annotation; NULL if it is local. Caller frees.
char *rebase_base_name(const struct rebase *rebase);
void rebase_fini(struct rebase *rebase);
