// SPDX-License-Identifier: Apache-2.0
//
// The event log of one job and its readers. Kept events have a dense seq and a shared, reference-counted line; progress is
// not logged: a reader that has room gets the newest snapshot per blob, so a slow reader collapses by itself and holds
// no memory of its own. Older kept events than those in memory come from the store, page by page. Loop only.
#pragma once

#include "base/error.h"
#include "base/json.h"

struct engine;
struct engine_caller;
struct event_reader;

struct event {
    int refs;
    int64_t seq;     // 0: not kept
    int64_t cursor;
    size_t len;
    const char *type; // borrowed from line's object
    char line[];     // the JSON object, without newline
};
struct event *event_ref(struct event *event);
void event_unref(struct event *event);

struct event_reader_options {
    const char *job;      // NULL: all jobs the caller may see
    int64_t since;        // job: kept events with seq > since
    int64_t after;        // all jobs: cursor > after; -1: from now
    bool follow;          // live until job.finished (or for ever, for all jobs)
    void (*wake)(void *arg); // there may be something to read now
    void *arg;
};

// ready(arg, reader or NULL, err): ERR_NOT_FOUND, ERR_EVENTS_EXPIRED (its hint tells oldest_seq; *ret_oldest of
// event_reader_error_oldest), may be called before this returns.
void event_reader_open(struct engine *engine, const struct event_reader_options *options,
                       const struct engine_caller *caller,
                       void (*ready)(void *arg, struct event_reader *reader, const struct error *err, int64_t oldest_seq),
                       void *arg);
enum event_next { EVENT_NEXT_EVENT, EVENT_NEXT_WAIT, EVENT_NEXT_END };
// The next event (new reference in *ret), or wait for wake, or the end (after job.finished, follow=0 exhausted, log closed).
enum event_next event_reader_next(struct event_reader *reader, struct event **ret);
// A heartbeat event for this reader, new reference (type "heartbeat").
struct event *event_reader_heartbeat(struct event_reader *reader);
// The job as a reader needs it for rendering (kind, targets …); borrowed, NULL for all jobs.
const json_t *event_reader_spec(const struct event_reader *reader);
void event_reader_close(struct event_reader *reader);
