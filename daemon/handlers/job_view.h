// SPDX-License-Identifier: Apache-2.0
//
// A job as its events tell it, for rendering: what blobs there are, how far each has come, what became of it.
// Bounded: of very many blobs the first ones are kept, the totals are those of the daemon anyway.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"

enum { JOB_VIEW_BLOBS_MAX = 4096 };

struct view_blob {
    char *blob;
    int64_t target; // index or -1
    char name[13];  // first digits of the digest, or the label
    char role[12];
    char state[16];
    char *note;   // "(from …)", "retry …", or NULL
    int64_t size; // -1 unknown
    int64_t current, rate_bps;
};

struct job_view {
    char *title;                       // "copy SOURCE -> TARGET", "" without a spec
    int64_t least_target, most_target; // of all blobs; equal: one destination, nothing to tell apart
    struct view_blob *blobs;
    size_t n_blobs;
    int64_t bytes_total, bytes_done, bytes_skipped, bytes_mounted, blobs_total, blobs_done, rate_bps, eta_s;
    bool started, finished;
};

void job_view_init(struct job_view *view, const json_t *spec); // spec may be NULL
void job_view_fini(struct job_view *view);
// Folds one event in. Returns the blob that it is about, or NULL.
struct view_blob *job_view_apply(struct job_view *view, const char *type, const json_t *event);
bool job_view_many_targets(const struct job_view *view);
bool view_blob_active(const struct view_blob *blob);  // neither waiting nor at its end
bool view_blob_settled(const struct view_blob *blob); // done, exists, mounted, joined, failed
