// SPDX-License-Identifier: Apache-2.0
//
// Why readers wait for the disk: a client resumes with the last seq that it saw. Were it shown an event that
// a crash takes back, the next run would use that number again for another event, and the client would miss
// it – perhaps job.finished.
//
// job.finished is one step slower still: it is shown when the row of the job is durable, too (finish.c).
// Events of other jobs with a higher cursor wait for that only in the feed of all jobs, which must be in
// order.
#include "jobs/feed.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "jobs/engine_core.h"
#include "jobs/event_reader.h"
#include "jobs/finish.h"
#include "jobs/job_core.h"

enum { FEED_RING = 2048, FEED_WINDOW = 256, FEED_AGAIN_MS = 500 };

struct feed {
    struct engine *engine;
    int64_t last_cursor;    // newest that exists
    int64_t durable_cursor; // all up to here are on the disk
    int64_t flush_cursor;   // what the flush under way covers
    bool flushing, wanted, closed;
    struct loop_timer *again;
    struct list pending;           // events beyond durable_cursor, by link
    struct list held;              // jobs whose job.finished is durable but not shown
    struct event *ring[FEED_RING]; // durable ones, by cursor
    int64_t ring_first;            // cursor of the oldest in the ring
    int64_t ring_next;             // cursor of the next to come
    struct list readers;
};

static void on_flushed(void *arg, const struct error *err);

static void flush(struct feed *feed)
{
    if (feed->flushing || !feed->wanted)
        return;
    feed->flushing = true;
    feed->wanted = false;
    feed->flush_cursor = feed->last_cursor;
    store_flush(feed->engine->store, on_flushed, feed);
}

static void on_again(void *arg)
{
    struct feed *feed = arg;
    feed->wanted = true;
    flush(feed);
}

struct feed *feed_new(struct engine *engine, int64_t last_cursor)
{
    struct feed *feed = mem_new(struct feed);
    feed->engine = engine;
    feed->again = loop_timer_new(engine->loop, on_again, feed);
    list_init(&feed->pending);
    list_init(&feed->held);
    list_init(&feed->readers);
    feed_resume(feed, last_cursor);
    return feed;
}

void feed_resume(struct feed *feed, int64_t last_cursor)
{
    feed->last_cursor = feed->durable_cursor = last_cursor;
    feed->ring_first = feed->ring_next = last_cursor + 1;
}

static struct event **ring_slot(struct feed *feed, int64_t cursor)
{
    return &feed->ring[cursor % FEED_RING];
}

void feed_free(struct feed *feed)
{
    if (!feed)
        return;
    for (struct list *link; (link = list_take_first(&feed->pending)) != NULL;)
        event_unref(container_of(link, struct event, link));
    for (size_t i = 0; i < FEED_RING; i++)
        event_unref(feed->ring[i]);
    loop_timer_free(feed->again);
    free(feed);
}

void feed_append(struct job *job, const char *type, json_t *members)
{
    struct feed *feed = job->engine->feed;
    struct event *event = event_new(job->id, ++job->log.last_seq, ++feed->last_cursor, type, members);
    event->uid = job->uid;
    event->job = job;
    event_window_add(&job->log.window, event);
    list_append(&feed->pending, &event->link);
    store_event_append(feed->engine->store, &(struct store_event){.job = job->id,
                                                                  .seq = event->seq,
                                                                  .cursor = event->cursor,
                                                                  .text = event->line,
                                                                  .uid = job->uid});
    feed->wanted = true;
}

void feed_turn(struct feed *feed)
{
    flush(feed);
}

// --- showing

static void ring_add(struct feed *feed, struct event *event)
{
    struct event **slot = ring_slot(feed, event->cursor);
    event_unref(*slot);
    *slot = event;
    feed->ring_next = event->cursor + 1;
    if (feed->ring_next - feed->ring_first > FEED_RING)
        feed->ring_first = feed->ring_next - FEED_RING;
}

static void move_to(struct job *job, struct list *where)
{
    list_remove(&job->log.wake_link);
    list_append(where, &job->log.wake_link);
}

static void show(struct feed *feed, struct event *event, struct list *woken)
{
    struct job *job = event->job;
    event->job = NULL;
    ring_add(feed, event);
    if (strcmp(event->type, "job.finished") == 0) {
        move_to(job, &feed->held);
        feed_wake_job(job); // for what came before it
        finish_event_durable(job);
        return;
    }
    job->log.visible_seq = event->seq;
    // Where nobody reads, the store has them all; who reads shares the newest with the others.
    event_window_trim(&job->log.window, list_empty(&job->log.readers) ? 0 : FEED_WINDOW, event->seq);
    move_to(job, woken);
}

static void show_flushed(struct feed *feed)
{
    struct list woken = LIST_INIT(woken);
    feed->durable_cursor = feed->flush_cursor;
    while (!list_empty(&feed->pending)) {
        struct event *event = container_of(feed->pending.next, struct event, link);
        if (event->cursor > feed->durable_cursor)
            break;
        list_remove(&event->link);
        show(feed, event, &woken);
    }
    for (struct list *link; (link = list_take_first(&woken)) != NULL;)
        feed_wake_job(container_of(link, struct job, log.wake_link));
    event_readers_wake(&feed->readers);
}

static void on_flushed(void *arg, const struct error *err)
{
    struct feed *feed = arg;
    feed->flushing = false;
    if (feed->engine->stopped)
        return;
    if (err) {
        loop_timer_start(feed->again, FEED_AGAIN_MS);
        return;
    }
    show_flushed(feed);
    flush(feed);
}

void feed_show_finished(struct job *job)
{
    struct feed *feed = job->engine->feed;
    list_remove(&job->log.wake_link);
    job->log.visible_seq = job->log.last_seq;
    feed_wake_job(job);
    event_readers_wake(&feed->readers);
}

void feed_wake_job(struct job *job)
{
    event_readers_wake(&job->log.readers);
}

void feed_close(struct feed *feed)
{
    feed->closed = true;
    event_readers_wake(&feed->readers);
}

bool feed_closed(const struct feed *feed)
{
    return feed->closed;
}

// --- all jobs

int64_t feed_last_cursor(const struct feed *feed)
{
    return feed->last_cursor;
}

int64_t feed_visible_cursor(const struct feed *feed)
{
    if (list_empty(&feed->held))
        return feed->ring_next - 1;
    const struct job *job = container_of(feed->held.next, struct job, log.wake_link);
    return event_window_find(&job->log.window, job->log.last_seq)->cursor - 1;
}

int64_t feed_ring_first(const struct feed *feed)
{
    return feed->ring_first;
}

struct event *feed_find(const struct feed *feed, int64_t cursor)
{
    if (cursor < feed->ring_first || cursor >= feed->ring_next)
        return NULL;
    return feed->ring[cursor % FEED_RING];
}

struct list *feed_readers(struct feed *feed)
{
    return &feed->readers;
}
