// SPDX-License-Identifier: Apache-2.0
//
// The readers behind event_log.h, for this room only. Loop only.
#pragma once

#include "jobs/engine.h"
#include "jobs/event_log.h"

struct job;

struct event_reader {
    struct engine *engine;
    struct list link; // with its job, with the feed, or alone
    struct job *job;  // NULL: all jobs, or one that is not in memory any more
    char *id;         // NULL: all jobs
    json_t *spec;
    void (*wake)(void *arg);
    void *arg;
    bool follow;
    bool asleep; // was told to wait and not woken since
    bool cut;    // nothing more will come
    // one job
    int64_t next_seq;
    int64_t end_seq; // what there is for one that does not follow
    int64_t version; // of the newest progress it has seen
    // all jobs
    int64_t after;
    int64_t uid;
    bool admin;
    // a page of the store
    struct list page;        // events by link; a job's reader owns them alone
    struct event_load *load; // under way
    void (*ready)(void *arg, struct event_reader *reader, const struct error *err, int64_t oldest_seq);
    void *ready_arg; // until it was told
};

// Wakes those of the list that sleep. A woken reader may close itself or others.
void event_readers_wake(struct list *readers);
// The job leaves memory for good: its readers end.
void event_readers_cut(struct job *job);
// Asks the store for what follows; the reader is woken, or told that it is open, when the answer is there.
void event_load_start(struct event_reader *reader);
void event_load_abandon(struct event_reader *reader);
// The next event of all jobs (event_reader_next for readers without a job).
enum event_next event_reader_next_of_all(struct event_reader *reader, struct event **ret);
// A page has arrived at a reader of one job: 0, or -1 with ERR_EVENTS_EXPIRED.
int event_reader_check_page(struct event_reader *reader, int64_t *ret_oldest, struct error *err);
// An event of the page, or NULL; the reference is the caller's.
struct event *event_reader_take_page(struct event_reader *reader);
