// SPDX-License-Identifier: Apache-2.0
//
// Kept events on their way from a job to its readers: numbered, appended to the store, and shown once the
// store says that they are durable. One flush per loop turn at most is under way, whatever the number of
// events. Also the newest events of all jobs, for readers of /v1/events. Loop only.
#pragma once

#include "jobs/event.h"

struct engine;
struct event_reader;
struct feed;

struct feed *feed_new(struct engine *engine, int64_t last_cursor);
void feed_free(struct feed *feed);
void feed_resume(struct feed *feed, int64_t last_cursor); // after recovery, before the first event

// A kept event of the job. Takes the members' reference. job.finished is shown when finish says so.
void feed_append(struct job *job, const char *type, json_t *members);
// The end of a loop turn: asks the store to flush what was appended.
void feed_turn(struct feed *feed);
// job.finished of this job may be shown now: moves on what waited for it.
void feed_show_finished(struct job *job);
// Wakes the readers of a job (progress).
void feed_wake_job(struct job *job);
// Ends all readers.
void feed_close(struct feed *feed);
bool feed_closed(const struct feed *feed);

// For readers of all jobs.
int64_t feed_last_cursor(const struct feed *feed);
int64_t feed_visible_cursor(const struct feed *feed);
int64_t feed_ring_first(
    const struct feed *feed); // cursor of the oldest in memory; older ones are read from the store
struct event *feed_find(const struct feed *feed, int64_t cursor); // borrowed or NULL
struct list *feed_readers(struct feed *feed);
