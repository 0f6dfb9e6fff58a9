// SPDX-License-Identifier: Apache-2.0
//
// The course of one attempt of a job: the plan is asked for steps, steps come back, the plan is asked again,
// until nothing is open. It may be given up at any point; then what waits is dropped, what runs is told to
// stop, and when nothing is open the job is finished. Loop only.
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "jobs/job.h"

struct engine;
struct task;

void attempt_begin(struct job *job);
// For plans, through job.h.
void attempt_submit(struct job *job, struct step *step);
void attempt_checkpoint(struct job *job, json_t *checkpoint);
void attempt_release(struct job *job);
// Called by the scheduler.
void attempt_task_starting(struct task *task);
void attempt_task_finished(struct task *task);

// Ends the job as cancelled (ERR_CANCELLED) or failed (ERR_DEADLINE …). False: its outcome is decided
// already.
bool attempt_cancel(struct job *job, enum error_code code, const char *reason);
// Starts the clocks of a job that was accepted or recovered: deadline, attached lifetime.
void attempt_watch(struct job *job);
// A reader of an attached job came or went.
void attempt_watch_lonely(struct job *job);
// The engine stops: what waits is dropped, what runs is told to stop, the job stays as it is for the next
// start.
void attempt_abandon(struct job *job);
