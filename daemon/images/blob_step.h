// SPDX-License-Identifier: Apache-2.0
//
// The step that moves one blob to every destination that lacks it: made and judged on the loop (publish_blobs.c), run on a
// worker (blob_step.c). Private to these two.
#pragma once

#include "images/publish_internal.h"
#include "images/upload_journal.h"

struct blob_step {
    struct step base;
    struct publish *publish;
    struct blob *blob;
    size_t *destinations;       // numbers, of those that want the blob
    char **mounts;              // per destination: a repository to mount from, or NULL
    struct upload_entry **uploads; // per destination: where its session is journalled, or NULL
    enum blob_how *how;         // result
    size_t count;
    bool force;
    bool waited;                // for another job that wanted the blob at the same registries
    bool keep_sessions;
};

static inline const struct endpoint *blob_step_place(const struct blob_step *self, size_t index)
{
    return &self->publish->destinations[self->destinations[index]].endpoint;
}

// Worker: one download, n uploads; a registry gets the bytes once, its other repositories mount them.
int blob_step_run(struct step *step, struct error *err);
