// SPDX-License-Identifier: Apache-2.0
//
// Work in flight, by flight_key: tasks that want the same thing are members of one flight. The one that is
// given to a worker leads – the first that came, if it may run – and the others wait; when it has succeeded
// they join its result, when it failed another one leads. Loop only.
#pragma once

#include "base/table.h"
#include "jobs/task.h"

struct flight {
    char *key;
    struct task *leader; // NULL: none runs
    struct list members; // the leader too, by flight_link
};

struct flights {
    struct table *by_key;
};

void flights_init(struct flights *flights);
void flights_fini(struct flights *flights); // no flight may be left

void flight_enter(struct flights *flights,
                  struct task *task); // harmless without a key or when it is a member already
void flight_leave(struct flights *flights, struct task *task); // harmless if it is no member
// Whether another member leads, so that this one has to wait.
bool flight_busy(const struct task *task);
void flight_lead(struct task *task);
void flight_yield(struct task *leader); // it failed: somebody else may lead
// Ends the flight; every member but the leader goes to `others` by flight_link, in the order they came.
void flight_land(struct flights *flights, struct task *leader, struct list *others);
