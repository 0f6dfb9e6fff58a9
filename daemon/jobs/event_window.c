// SPDX-License-Identifier: Apache-2.0
#include "jobs/event_window.h"

#include "base/mem.h"

enum { WINDOW_FIRST = 16 };

static struct event **slot(const struct event_window *window, int64_t seq)
{
    return &window->ring[(size_t)seq & (window->capacity - 1)];
}

static void grow(struct event_window *window)
{
    struct event_window wide = *window;
    wide.capacity = window->capacity ? window->capacity * 2 : WINDOW_FIRST;
    wide.ring = mem_calloc(wide.capacity, sizeof *wide.ring);
    for (size_t i = 0; i < window->count; i++)
        *slot(&wide, window->first_seq + (int64_t)i) = *slot(window, window->first_seq + (int64_t)i);
    free(window->ring);
    *window = wide;
}

void event_window_add(struct event_window *window, struct event *event)
{
    if (window->count == window->capacity)
        grow(window);
    if (window->count++ == 0)
        window->first_seq = event->seq;
    *slot(window, event->seq) = event_ref(event);
}

struct event *event_window_find(const struct event_window *window, int64_t seq)
{
    if (seq < window->first_seq || seq >= window->first_seq + (int64_t)window->count)
        return NULL;
    return *slot(window, seq);
}

void event_window_trim(struct event_window *window, size_t most, int64_t until)
{
    while (window->count > most && window->first_seq <= until) {
        event_unref(*slot(window, window->first_seq));
        window->first_seq++;
        window->count--;
    }
    if (window->count == 0) {
        free(mem_take(window->ring));
        window->capacity = 0;
    }
}

void event_window_fini(struct event_window *window)
{
    event_window_trim(window, 0, INT64_MAX);
    *window = (struct event_window){0};
}
