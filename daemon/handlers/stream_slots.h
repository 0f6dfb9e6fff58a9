// SPDX-License-Identifier: Apache-2.0
//
// How many workers may serve bodies that stream: such a query lasts as long as its client takes, so only half
// of the workers for queries are given to them, and questions that are answered at once never wait behind
// slow clients. Loop only.
#pragma once

#include "base/list.h"
#include "jobs/engine.h"

struct stream_slots {
    struct engine *engine;
    size_t max, used, n_waiting;
    struct list waiting;
};

void stream_slots_init(struct stream_slots *slots, struct engine *engine, size_t query_workers);
// As engine_query, now or when a slot is free.
void stream_slots_query(struct stream_slots *slots, struct step *step,
                        void (*finished)(void *arg, struct step *step, const struct error *err), void *arg);
