// SPDX-License-Identifier: Apache-2.0
//
// The event log of one job and its readers. Kept events have a dense seq and a shared, reference-counted
// line; progress is not logged: a reader that has room gets the newest snapshot per blob, so a slow reader
// collapses by itself and holds no memory of its own. Older kept events than those in memory come from the
// store, page by page. Loop only.
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "jobs/event.h"

struct engine;
struct engine_caller;
struct event_reader;

struct event_reader_options {
    const char *job;         // NULL: all jobs the caller may see
    int64_t since;           // job: kept events with seq > since
    int64_t after;           // all jobs: cursor > after; -1: from now
    bool follow;             // live until job.finished (or for ever, for all jobs)
    void (*wake)(void *arg); // there may be something to read now
    void *arg;
};

// ready(arg, reader or NULL, err, oldest_seq): ERR_NOT_FOUND; ERR_EVENTS_EXPIRED when the event after `since`
// is not kept any more (oldest_seq is the first that is; its hint tells too) or a cursor was never given. May
// be called before this returns. A kept event is shown once it is durable, so no crash takes back what a
// reader has seen; job.finished is shown when the job is terminal for all others, too.
void event_reader_open(struct engine *engine, const struct event_reader_options *options,
                       const struct engine_caller *caller,
                       void (*ready)(void *arg, struct event_reader *reader, const struct error *err,
                                     int64_t oldest_seq),
                       void *arg);
enum event_next { EVENT_NEXT_EVENT, EVENT_NEXT_WAIT, EVENT_NEXT_END };
// The next event (new reference in *ret), or wait for wake, or the end (after job.finished, follow=0
// exhausted, log closed; without job.finished when the job was forgotten or the store fails: the stream was
// cut).
enum event_next event_reader_next(struct event_reader *reader, struct event **ret);
// A heartbeat event for this reader, new reference (type "heartbeat").
struct event *event_reader_heartbeat(struct event_reader *reader);
// The job as a reader needs it for rendering (kind, targets …); borrowed, NULL for all jobs.
const json_t *event_reader_spec(const struct event_reader *reader);
void event_reader_close(struct event_reader *reader);
