// SPDX-License-Identifier: Apache-2.0
//
// Used by the scheduler. The leader is chosen when a worker is free, not when steps are submitted: so the work
// is done as soon as the turn of any of them comes, whatever the priority of the one that asked first.
#include "jobs/flight.h"

#include "base/mem.h"

#define task_of(position) container_of(position, struct task, flight_link)

void flights_init(struct flights *flights)
{
    flights->by_key = table_new();
}

void flights_fini(struct flights *flights)
{
    table_free(flights->by_key);
    flights->by_key = NULL;
}

void flight_enter(struct flights *flights, struct task *task)
{
    const char *key = task_flight_key(task);
    if (!key || task->flight)
        return;
    struct flight *flight = table_find(flights->by_key, key);
    if (!flight) {
        flight = mem_new(struct flight);
        flight->key = mem_strdup(key);
        list_init(&flight->members);
        table_put(flights->by_key, flight->key, flight);
    }
    task->flight = flight;
    list_append(&flight->members, &task->flight_link);
}

void flight_leave(struct flights *flights, struct task *task)
{
    struct flight *flight = task->flight;
    list_remove(&task->flight_link);
    if (!flight)
        return;
    task->flight = NULL;
    if (flight->leader == task)
        flight->leader = NULL;
    if (!list_empty(&flight->members))
        return;
    table_take(flights->by_key, flight->key);
    free(flight->key);
    free(flight);
}

bool flight_busy(const struct task *task)
{
    return task->flight && task->flight->leader && task->flight->leader != task;
}

void flight_lead(struct task *task)
{
    if (task->flight)
        task->flight->leader = task;
}

void flight_yield(struct task *leader)
{
    if (leader->flight && leader->flight->leader == leader)
        leader->flight->leader = NULL;
}

static struct task *other_of(const struct task *task)
{
    if (!task->flight)
        return NULL;
    list_for_each(link, &task->flight->members)
        if (task_of(link) != task)
            return task_of(link);
    return NULL;
}

void flight_land(struct flights *flights, struct task *leader, struct list *others)
{
    for (struct task *other; (other = other_of(leader)) != NULL;) {
        flight_leave(flights, other);
        list_append(others, &other->flight_link);
    }
    flight_leave(flights, leader);
}
