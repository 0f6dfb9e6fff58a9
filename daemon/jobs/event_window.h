// SPDX-License-Identifier: Apache-2.0
//
// The newest kept events of one job, dense by seq. Pure; loop only.
#pragma once

#include "jobs/event.h"

struct event_window {
    struct event **ring;
    size_t capacity; // a power of two, or 0
    size_t count;
    int64_t first_seq; // of the oldest that is here
};

void event_window_add(struct event_window *window,
                      struct event *event); // its seq follows the newest's; takes a reference
struct event *event_window_find(const struct event_window *window, int64_t seq); // borrowed or NULL
// Lets go of the oldest while there are more than `most` and their seq is at most `until`.
void event_window_trim(struct event_window *window, size_t most, int64_t until);
void event_window_fini(struct event_window *window);
