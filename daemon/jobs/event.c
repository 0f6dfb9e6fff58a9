// SPDX-License-Identifier: Apache-2.0
//
// The members that all events have come first and in one order, so the type can be found in a stored line
// without parsing it.
#include "jobs/event.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strbuf.h"

enum { EVENT_MAX = 64 << 20, PARSED = 32, PARSED_BYTES = 256 * 1024 };

// The events that were parsed last. A tree takes about ten times the memory of its line, so only so many lines count.
static struct event *parsed[PARSED];
static size_t next_parsed, parsed_bytes;

static struct event *event_alloc(const char *line, size_t len, const char *type, size_t type_len)
{
    struct event *event = mem_alloc(sizeof *event + len + 1 + type_len + 1);
    *event = (struct event){.refs = 1, .len = len, .uid = -1};
    list_init(&event->link);
    memcpy(event->line, line, len);
    event->line[len] = '\0';
    char *copy = event->line + len + 1;
    memcpy(copy, type, type_len);
    copy[type_len] = '\0';
    event->type = copy;
    return event;
}

static void put_head(struct strbuf *line, const char *job, int64_t seq, int64_t cursor, const char *type)
{
    char now[CLOCK_TEXT_MAX];
    clock_format(clock_wall_ms(), now);
    strbuf_putc(line, '{');
    if (seq > 0)
        strbuf_printf(line, "\"seq\":%lld,\"cursor\":\"%lld\",", (long long)seq, (long long)cursor);
    if (job)
        strbuf_printf(line, "\"job\":\"%s\",", job);
    strbuf_printf(line, "\"time\":\"%s\",\"type\":\"%s\"", now, type);
}

struct event *event_new(const char *job, int64_t seq, int64_t cursor, const char *type, json_t *members)
{
    struct strbuf line = STRBUF_INIT(EVENT_MAX);
    put_head(&line, job, seq, cursor, type);
    if (members && json_object_size(members) > 0) {
        AUTO_FREE char *text = json_text(members);
        strbuf_putc(&line, ',');
        strbuf_puts(&line, text + 1);
    } else {
        strbuf_putc(&line, '}');
    }
    json_decref(members);
    struct event *event = event_alloc(strbuf_text(&line), line.len, type, strlen(type));
    event->seq = seq;
    event->cursor = cursor;
    strbuf_free(&line);
    return event;
}

struct event *event_from_line(int64_t seq, int64_t cursor, const char *line)
{
    static const char mark[] = "\"type\":\"";
    const char *type = strstr(line, mark);
    type = type ? type + strlen(mark) : "\"";
    struct event *event = event_alloc(line, strlen(line), type, strcspn(type, "\""));
    event->seq = seq;
    event->cursor = cursor;
    return event;
}

struct event *event_ref(struct event *event)
{
    event->refs++;
    return event;
}

static void forget_parsed(struct event **slot)
{
    if (!*slot)
        return;
    parsed_bytes -= (*slot)->len;
    json_decref(mem_take((*slot)->members));
    *slot = NULL;
}

const json_t *event_members(struct event *event)
{
    if (event->members)
        return event->members;
    for (size_t i = 0; i < PARSED && (i == 0 || parsed_bytes + event->len > PARSED_BYTES); i++)
        forget_parsed(&parsed[(next_parsed + i) % PARSED]);
    event->members = json_loadb(event->line, event->len, 0, NULL); // our own line: no limits
    if (!event->members)
        return NULL;
    parsed[next_parsed] = event;
    parsed_bytes += event->len;
    next_parsed = (next_parsed + 1) % PARSED;
    return event->members;
}

void event_unref(struct event *event)
{
    if (!event || --event->refs > 0)
        return;
    for (size_t i = 0; event->members; i++)
        if (parsed[i] == event)
            forget_parsed(&parsed[i]);
    free(event);
}
