// SPDX-License-Identifier: Apache-2.0
//
// Pages of older events from the store, for readers that are behind what is in memory. A reader has at most
// one page, so a slow one costs a bounded amount of memory; it asks for the next when it has taken the last
// event of this one.
#include "jobs/event_reader.h"

#include <string.h>

#include "base/mem.h"
#include "jobs/engine_core.h"
#include "jobs/feed.h"
#include "jobs/job_core.h"

enum { LOAD_PAGE = 64, LOAD_PAGE_BYTES = 32768 };

struct event_load {
    struct event_reader *reader; // NULL: it was closed meanwhile
    size_t bytes;
    int rows;
    bool cut_short;    // the page is full: later rows are asked for again
    int64_t ring_from; // all jobs: what memory did not cover when the store was asked
};

static int64_t newest_shown(const struct event_reader *reader)
{
    if (!reader->id)
        return feed_visible_cursor(reader->engine->feed);
    return reader->job ? reader->job->log.visible_seq : reader->end_seq;
}

static void keep(struct event_load *load, const struct store_event *row)
{
    struct event_reader *reader = load->reader;
    int64_t number = reader->id ? row->seq : row->cursor;
    load->rows++;
    if (number > newest_shown(reader) || load->cut_short)
        return;
    load->bytes += strlen(row->text);
    if (load->bytes > LOAD_PAGE_BYTES && !list_empty(&reader->page)) {
        load->cut_short = true;
        return;
    }
    struct event *event = event_from_line(row->seq, row->cursor, row->text);
    event->uid = row->uid;
    list_append(&reader->page, &event->link);
}

// The store has nothing between here and what is in memory: events of jobs that were forgotten.
static void skip_gap(struct event_reader *reader, const struct event_load *load)
{
    if (!reader->id && list_empty(&reader->page) && load->rows == 0)
        reader->after = load->ring_from;
}

static void tell_ready(struct event_reader *reader, const struct error *err)
{
    CLEANUP(error_clear) struct error fault = ERROR_INIT;
    void (*ready)(void *, struct event_reader *, const struct error *, int64_t) = reader->ready;
    void *arg = reader->ready_arg;
    int64_t oldest = 0;
    reader->ready = NULL;
    if (err)
        error_copy(&fault, err);
    else if (reader->id)
        event_reader_check_page(reader, &oldest, &fault);
    if (fault.code == ERR_NONE) {
        ready(arg, reader, NULL, 0);
        return;
    }
    event_reader_close(reader);
    ready(arg, NULL, &fault, oldest);
}

static void page_arrived(struct event_reader *reader, const struct error *err)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    int64_t oldest;
    if (err || (reader->id && event_reader_check_page(reader, &oldest, &ignored) < 0))
        reader->cut = true;
    if (!reader->asleep)
        return;
    reader->asleep = false;
    reader->wake(reader->arg);
}

static void loaded(struct event_load *load, const struct error *err)
{
    struct event_reader *reader = load->reader;
    if (reader) {
        reader->load = NULL;
        skip_gap(reader, load);
        if (reader->ready)
            tell_ready(reader, err);
        else
            page_arrived(reader, err);
    }
    free(load);
}

static void on_row(void *arg, const struct store_event *row, const struct error *err)
{
    struct event_load *load = arg;
    if (!row)
        loaded(load, err);
    else if (load->reader)
        keep(load, row);
}

void event_load_start(struct event_reader *reader)
{
    struct store *store = reader->engine->store;
    struct event_load *load = mem_new(struct event_load);
    load->reader = reader;
    load->ring_from = feed_ring_first(reader->engine->feed) - 1;
    reader->load = load;
    if (reader->id)
        store_event_list(store, reader->id, reader->next_seq - 1, LOAD_PAGE, on_row, load);
    else
        store_event_list_all(store, reader->after, LOAD_PAGE, on_row, load);
}

void event_load_abandon(struct event_reader *reader)
{
    if (reader->load)
        reader->load->reader = NULL;
    reader->load = NULL;
}

struct event *event_reader_take_page(struct event_reader *reader)
{
    struct list *link = list_take_first(&reader->page);
    return link ? container_of(link, struct event, link) : NULL;
}
