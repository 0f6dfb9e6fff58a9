// SPDX-License-Identifier: Apache-2.0
//
// A line before engine_query, first come first served. What must hold: each query is handed to the engine,
// also one whose client has left or that waits when the engine stops (the engine refuses it then), so
// `finished` is always called once.
#include "handlers/stream_slots.h"

#include "base/mem.h"

enum { WAITING_MAX = 256 };

struct slot {
    struct list link;
    struct stream_slots *slots;
    struct step *step;
    void (*finished)(void *arg, struct step *step, const struct error *err);
    void *arg;
};

void stream_slots_init(struct stream_slots *slots, struct engine *engine, size_t query_workers)
{
    *slots = (struct stream_slots){.engine = engine, .max = query_workers > 1 ? query_workers / 2 : 1};
    list_init(&slots->waiting);
}

static void on_finished(void *arg, struct step *step, const struct error *err);

static void start(struct slot *slot)
{
    slot->slots->used++;
    engine_query(slot->slots->engine, slot->step, on_finished, slot);
}

static void on_finished(void *arg, struct step *step, const struct error *err)
{
    struct slot *slot = arg;
    struct stream_slots *slots = slot->slots;
    slots->used--;
    slot->finished(slot->arg, step, err);
    free(slot);
    if (slots->used >= slots->max || list_empty(&slots->waiting))
        return;
    slots->n_waiting--;
    start(container_of(list_take_first(&slots->waiting), struct slot, link));
}

void stream_slots_query(struct stream_slots *slots, struct step *step,
                        void (*finished)(void *arg, struct step *step, const struct error *err), void *arg)
{
    struct slot *slot = mem_new(struct slot);
    *slot = (struct slot){.slots = slots, .step = step, .finished = finished, .arg = arg};
    if (slots->used < slots->max || slots->n_waiting >= WAITING_MAX) { // the engine refuses what is too much
        start(slot);
        return;
    }
    slots->n_waiting++;
    list_append(&slots->waiting, &slot->link);
}
