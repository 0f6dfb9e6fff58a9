// SPDX-License-Identifier: Apache-2.0
//
// Readers of one job. What they may read lies in three places: the job's window (the newest events), the
// store (all kept ones, page by page) and the job's progress snapshots (only the newest of each blob). A
// reader is a position in them and holds at most one page.
#include "jobs/event_reader.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "jobs/attempt.h"
#include "jobs/engine_core.h"
#include "jobs/feed.h"
#include "jobs/job_core.h"
#include "jobs/progress.h"

void event_readers_wake(struct list *readers)
{
    struct list todo = LIST_INIT(todo);
    list_splice(&todo, readers);
    for (struct list *link; (link = list_take_first(&todo)) != NULL;) {
        struct event_reader *reader = container_of(link, struct event_reader, link);
        list_append(readers, link);
        if (!reader->asleep)
            continue;
        reader->asleep = false;
        reader->wake(reader->arg);
    }
}

static void detach(struct event_reader *reader)
{
    struct job *job = reader->job;
    list_remove(&reader->link);
    reader->job = NULL;
    if (!job)
        return;
    if (reader->follow)
        job->log.followers--;
    progress_watch(job);
    attempt_watch_lonely(job);
    job_spec_drop(job);
    if (!list_empty(&job->log.readers) || !job_state_terminal(job->state))
        return;
    event_window_trim(&job->log.window, 0, job->log.visible_seq);
    engine_evict(job->engine);
}

void event_readers_cut(struct job *job)
{
    struct list todo = LIST_INIT(todo);
    list_splice(&todo, &job->log.readers);
    for (struct list *link; (link = list_take_first(&todo)) != NULL;) {
        struct event_reader *reader = container_of(link, struct event_reader, link);
        if (reader->follow)
            job->log.followers--;
        reader->job = NULL;
        reader->cut = true;
        if (!reader->asleep)
            continue;
        reader->asleep = false;
        reader->wake(reader->arg);
    }
}

// --- opening

static void attach(struct event_reader *reader, struct job *job)
{
    reader->job = job;
    list_append(&job->log.readers, &reader->link);
    if (reader->follow)
        job->log.followers++;
    reader->end_seq = job->log.visible_seq;
    reader->spec = json_incref((json_t *)job_spec(job));
    attempt_watch_lonely(job);
    progress_watch(job);
    if (reader->follow)
        progress_refresh(job);
}

static void told_ready(struct event_reader *reader)
{
    void (*ready)(void *, struct event_reader *, const struct error *, int64_t) = reader->ready;
    reader->ready = NULL;
    ready(reader->ready_arg, reader, NULL, 0);
}

static void open_in_memory(struct event_reader *reader, struct job *job)
{
    attach(reader, job);
    if (reader->next_seq > job->log.visible_seq || event_window_find(&job->log.window, reader->next_seq))
        told_ready(reader);
    else
        event_load_start(reader);
}

static void not_found(struct event_reader *reader, const struct error *err)
{
    CLEANUP(error_clear) struct error fault = ERROR_INIT;
    void (*ready)(void *, struct event_reader *, const struct error *, int64_t) = reader->ready;
    void *arg = reader->ready_arg;
    if (err)
        error_copy(&fault, err);
    else
        engine_error_not_found(&fault, reader->id);
    event_reader_close(reader);
    ready(arg, NULL, &fault, 0);
}

static void on_row(void *arg, const struct store_job *row, const struct error *err)
{
    struct event_reader *reader = arg;
    if (row) {
        if (!reader->admin && reader->uid != row->uid)
            return;
        reader->end_seq = row->last_seq;
        reader->spec = json_loads(row->spec, 0, NULL);
        return;
    }
    if (err || !reader->spec)
        not_found(reader, err);
    else if (reader->next_seq > reader->end_seq)
        told_ready(reader);
    else
        event_load_start(reader);
}

static void open_job(struct event_reader *reader, const struct event_reader_options *options)
{
    reader->id = mem_strdup(options->job);
    reader->next_seq = (options->since > 0 ? options->since : 0) + 1;
    struct job *job = engine_find(reader->engine, reader->id);
    if (!job)
        store_job_find(reader->engine->store, reader->id, on_row, reader);
    else if (!reader->admin && reader->uid != job->uid)
        not_found(reader, NULL);
    else
        open_in_memory(reader, job);
}

static void open_all(struct event_reader *reader, const struct event_reader_options *options)
{
    struct feed *feed = reader->engine->feed;
    reader->after = options->after < 0 ? feed_visible_cursor(feed) : options->after;
    if (reader->after <= feed_last_cursor(feed)) {
        list_append(feed_readers(feed), &reader->link);
        told_ready(reader);
        return;
    }
    CLEANUP(error_clear) struct error fault = ERROR_INIT;
    void (*ready)(void *, struct event_reader *, const struct error *, int64_t) = reader->ready;
    void *arg = reader->ready_arg;
    error_set(&fault, ERR_EVENTS_EXPIRED, "the cursor %lld was not given by this database",
              (long long)options->after);
    error_hint(&fault, "List the jobs and go on with the cursor of that answer.");
    event_reader_close(reader);
    ready(arg, NULL, &fault, 0);
}

void event_reader_open(struct engine *engine, const struct event_reader_options *options,
                       const struct engine_caller *caller,
                       void (*ready)(void *arg, struct event_reader *reader, const struct error *err,
                                     int64_t oldest_seq),
                       void *arg)
{
    struct event_reader *reader = mem_new(struct event_reader);
    reader->engine = engine;
    list_init(&reader->link);
    list_init(&reader->page);
    reader->wake = options->wake;
    reader->arg = options->arg;
    reader->follow = options->follow;
    reader->uid = caller->uid;
    reader->admin = caller->admin;
    reader->ready = ready;
    reader->ready_arg = arg;
    if (options->job)
        open_job(reader, options);
    else
        open_all(reader, options);
}

int event_reader_check_page(struct event_reader *reader, int64_t *ret_oldest, struct error *err)
{
    const struct list *first = reader->page.next;
    *ret_oldest =
        first != &reader->page ? container_of(first, const struct event, link)->seq : reader->end_seq + 1;
    if (*ret_oldest == reader->next_seq)
        return 0;
    error_set(err, ERR_EVENTS_EXPIRED, "the events of job %s from %lld on are no longer all kept", reader->id,
              (long long)reader->next_seq);
    error_hint(err, "The oldest one that is kept has seq %lld.", (long long)*ret_oldest);
    return -1;
}

void event_reader_close(struct event_reader *reader)
{
    detach(reader);
    event_load_abandon(reader);
    for (struct event *event; (event = event_reader_take_page(reader)) != NULL;)
        event_unref(event);
    json_decref(reader->spec);
    free(reader->id);
    free(reader);
}

// --- reading

static enum event_next give(struct event_reader *reader, struct event *event, struct event **ret)
{
    reader->next_seq = event->seq + 1;
    *ret = event;
    return EVENT_NEXT_EVENT;
}

static enum event_next sleep_on(struct event_reader *reader)
{
    reader->asleep = true;
    return EVENT_NEXT_WAIT;
}

static int64_t newest_for(const struct event_reader *reader)
{
    return reader->job && reader->follow ? reader->job->log.visible_seq : reader->end_seq;
}

static enum event_next next_progress(struct event_reader *reader, struct event **ret)
{
    *ret = progress_next(reader->job, &reader->version);
    return *ret ? EVENT_NEXT_EVENT : sleep_on(reader);
}

static enum event_next next_of_job(struct event_reader *reader, struct event **ret)
{
    struct event *event = event_reader_take_page(reader);
    if (event)
        return give(reader, event, ret);
    if (reader->load)
        return sleep_on(reader);
    if (reader->next_seq <= newest_for(reader)) {
        event = reader->job ? event_window_find(&reader->job->log.window, reader->next_seq) : NULL;
        if (event)
            return give(reader, event_ref(event), ret);
        event_load_start(reader);
        return sleep_on(reader);
    }
    if (!reader->job || !reader->follow || job_state_terminal(reader->job->state) ||
        feed_closed(reader->engine->feed))
        return EVENT_NEXT_END;
    return next_progress(reader, ret);
}

enum event_next event_reader_next(struct event_reader *reader, struct event **ret)
{
    *ret = NULL;
    if (reader->cut && list_empty(&reader->page))
        return EVENT_NEXT_END;
    return reader->id ? next_of_job(reader, ret) : event_reader_next_of_all(reader, ret);
}

struct event *event_reader_heartbeat(struct event_reader *reader)
{
    return event_new(reader->id, 0, 0, "heartbeat", NULL);
}

const json_t *event_reader_spec(const struct event_reader *reader)
{
    return reader->spec;
}
