// SPDX-License-Identifier: Apache-2.0
//
// The end of a job: its outcome is handed to the store as an event (job.finished) and as a row, and the job
// is terminal for everybody once both are durable. A store that fails is asked again until it works; until
// then the job shows its old state. Loop only.
#pragma once

struct job;
struct engine;

// Nothing of the job is open. Its outcome is job->outcome if it is ending, else success.
void finish_begin(struct job *job);
// The same for a job whose job.finished was already durable when the daemon started.
void finish_again(struct job *job);
void finish_event_durable(struct job *job);    // called by the feed
void finish_save_again(struct engine *engine); // called by the engine's timer
