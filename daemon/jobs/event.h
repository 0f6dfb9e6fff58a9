// SPDX-License-Identifier: Apache-2.0
//
// One event of a job as a line of JSON (api/events.md): made once, shared by all that read it. Loop only.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "base/list.h"

struct job;

struct event {
    int refs;
    int64_t seq;      // 0: not kept
    int64_t cursor;   // 0: not kept
    int64_t uid;      // owner of the job
    struct job *job;  // while the event is on its way to the disk
    struct list link; // ditto, or the page of one reader
    size_t len;
    json_t *members;  // parsed for its readers (event_members), or NULL
    const char *type; // borrowed from this event
    char line[];      // the JSON object, without newline
};

// job and members may be NULL; takes the members' reference. One reference is the caller's.
struct event *event_new(const char *job, int64_t seq, int64_t cursor, const char *type, json_t *members);
// From a line that event_new made before.
struct event *event_from_line(int64_t seq, int64_t cursor, const char *line);
// The line as JSON, parsed once for all that read it at about the same time. Borrowed: it is good until this is called for
// another event, or the event ends.
const json_t *event_members(struct event *event);
struct event *event_ref(struct event *event);
void event_unref(struct event *event); // NULL is fine
