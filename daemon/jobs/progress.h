// SPDX-License-Identifier: Apache-2.0
//
// Progress of jobs: the object in the answers of the API, and the events `progress` and `blob.progress` for
// those who watch. Only the newest snapshot of each is kept, so whoever reads slowly skips what he missed.
// Loop only.
#pragma once

#include "base/json.h"
#include "jobs/event.h"

struct engine;
struct job;
struct task;

json_t *progress_json(struct job *job); // new reference; NULL for a job that came from the store as it ended
// A live reader came or went, or the job began or ended: starts or stops the ticking.
void progress_watch(struct job *job);
// Makes the snapshots that are missing, so that a new reader learns how things stand.
void progress_refresh(struct job *job);
// The oldest snapshot that is newer than *version, which moves on; new reference, or NULL.
struct event *progress_next(const struct job *job, int64_t *version);
void progress_note_phase(struct job *job, const char *blob, const char *phase);
void progress_drop(struct task *task); // the task's snapshot
void progress_clear(struct job *job);
void progress_tick(struct engine *engine); // all jobs that are watched
