// SPDX-License-Identifier: Apache-2.0
//
// Who waits for which host. Before a step is handed to a worker every host it will ask is entered at the
// governor; what may not enter now waits here, per host and fairly, until somebody leaves that host or the
// time has come that the governor named. What waits for one host stands in nobody else's way. Loop only.
#pragma once

#include "base/loop.h"
#include "jobs/engine.h"
#include "jobs/fair.h"
#include "jobs/step.h"

struct gate;
struct gate_host;

// open(arg, entry): an entry given to gate_wait may try again. It is out of the queue then.
struct gate *gate_new(const struct engine_gate *governor, struct loop *loop,
                      void (*open)(void *arg, struct fair_entry *entry), void *arg);
void gate_free(struct gate *gate); // nothing may wait

// Enters all hosts of the step, or none: false, with the host that is closed and when to ask again (0: when
// somebody leaves it). The host on the side is entered, too, or the step loses it.
bool gate_enter(struct gate *gate, struct step *step, const char **ret_closed, int64_t *ret_retry_at_ms);
// Leaves all hosts of a step; err: how it ended, NULL for well. Told to the host that err is about; the
// others learn nothing (ERR_CANCELLED).
void gate_leave(struct gate *gate, const struct step *step, const struct error *err);
// Queues an entry for that host; *ret_queue is where to fair_remove it from.
void gate_wait(struct gate *gate, const char *closed, int64_t retry_at_ms, struct fair_entry *entry,
               int priority, int64_t caller, struct fair **ret_queue);
// Removes an entry that does not want to wait any more.
void gate_withdraw(struct gate *gate, struct fair *queue, struct fair_entry *entry);
