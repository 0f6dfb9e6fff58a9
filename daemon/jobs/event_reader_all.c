// SPDX-License-Identifier: Apache-2.0
//
// Readers of all jobs: a cursor into the feed's ring of newest events, or into the store when it is older
// than those. What the caller may not see is passed over.
#include "jobs/engine_core.h"
#include "jobs/event_reader.h"
#include "jobs/feed.h"

static bool may_see(const struct event_reader *reader, const struct event *event)
{
    return reader->admin || reader->uid == event->uid;
}

static enum event_next give(struct event_reader *reader, struct event *event, struct event **ret)
{
    reader->after = event->cursor;
    *ret = event;
    return EVENT_NEXT_EVENT;
}

static struct event *next_of_page(struct event_reader *reader)
{
    for (struct event *event; (event = event_reader_take_page(reader)) != NULL;) {
        if (may_see(reader, event))
            return event;
        reader->after = event->cursor;
        event_unref(event);
    }
    return NULL;
}

static struct event *next_of_ring(struct event_reader *reader, int64_t visible)
{
    const struct feed *feed = reader->engine->feed;
    while (reader->after < visible) {
        struct event *event = feed_find(feed, reader->after + 1);
        if (!event)
            return NULL;
        if (may_see(reader, event))
            return event_ref(event);
        reader->after = event->cursor;
    }
    return NULL;
}

enum event_next event_reader_next_of_all(struct event_reader *reader, struct event **ret)
{
    const struct feed *feed = reader->engine->feed;
    int64_t visible = feed_visible_cursor(feed);
    struct event *event = next_of_page(reader);
    if (!event && !reader->load && reader->after + 1 >= feed_ring_first(feed))
        event = next_of_ring(reader, visible);
    if (event)
        return give(reader, event, ret);
    bool behind = reader->after < visible;
    if ((!reader->follow && !behind) || feed_closed(feed))
        return EVENT_NEXT_END;
    if (behind && !reader->load)
        event_load_start(reader);
    reader->asleep = true;
    return EVENT_NEXT_WAIT;
}
