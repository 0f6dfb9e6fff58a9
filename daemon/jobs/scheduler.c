// SPDX-License-Identifier: Apache-2.0
//
// Used by attempt (steps of jobs) and query. What must hold: a task is in exactly one place (its lane's heap,
// parked in a flight, on its timer, with a worker); a lane exists while its heap is not empty and then is in
// exactly one fair queue, or in none because its group is at its limit.
#include "jobs/scheduler.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "jobs/fair.h"
#include "jobs/flight.h"
#include "jobs/gate.h"

enum { QUERY_PAUSE_MAX_MS = 10000 };

struct lane {
    struct list link; // in group->lanes
    struct step_group *group;
    char *route; // hosts, each followed by a newline
    struct task_heap heap;
    struct fair_entry entry;
    struct fair *queue; // where entry stands: ready, or a host's line
    bool at_gate;
};

struct scheduler {
    struct scheduler_options options;
    struct pool *pool;
    struct gate *gate;
    struct flights flights;
    struct fair ready[POOL_CLASSES];
    uint64_t submitted;
    size_t stalled; // groups
    bool dirty;
};

#define lane_of(position) container_of(position, struct lane, link)

void step_group_init(struct step_group *group, enum pool_class class, int priority, int64_t caller,
                     size_t max_running)
{
    *group = (struct step_group){
        .class = class, .priority = priority, .caller = caller, .max_running = max_running};
    list_init(&group->lanes);
}

static bool group_full(const struct step_group *group)
{
    return group->max_running > 0 && group->running >= group->max_running;
}

static bool group_ready(const struct step_group *group)
{
    list_for_each(link, &group->lanes) {
        const struct lane *lane = lane_of(link);
        if (fair_queued(&lane->entry) && !lane->at_gate)
            return true;
    }
    return false;
}

// After anything that may have changed it. A group has few lanes: one per set of hosts.
static void group_review(struct scheduler *s, struct step_group *group)
{
    bool stalled =
        group->class == POOL_STEPS && group->tasks > 0 && group->running == 0 && !group_ready(group);
    if (stalled == group->stalled)
        return;
    group->stalled = stalled;
    s->stalled += stalled ? 1 : (size_t)-1;
}

size_t scheduler_stalled(const struct scheduler *s)
{
    return s->stalled;
}

static void task_enters(struct task *task, struct step_group *group)
{
    if (task->place == TASK_OUT)
        group->tasks++;
    task->group = group;
}

static void task_is_out(struct scheduler *s, struct task *task)
{
    task->place = TASK_OUT;
    task->group->tasks--;
    group_review(s, task->group);
}

// --- lanes

static void lane_line_up(struct scheduler *s, struct lane *lane)
{
    struct step_group *group = lane->group;
    lane->at_gate = false;
    lane->queue = NULL;
    if (group_full(group))
        return;
    lane->queue = &s->ready[group->class];
    fair_add(lane->queue, &lane->entry, group->priority, group->caller);
    s->dirty = true;
    group_review(s, group);
}

static void on_gate_open(void *arg, struct fair_entry *entry)
{
    lane_line_up(arg, container_of(entry, struct lane, entry));
}

static void lane_unqueue(struct scheduler *s, struct lane *lane)
{
    if (!fair_queued(&lane->entry))
        return;
    if (lane->at_gate)
        gate_withdraw(s->gate, lane->queue, &lane->entry);
    else
        fair_remove(lane->queue, &lane->entry);
}

static void lane_free(struct scheduler *s, struct lane *lane)
{
    lane_unqueue(s, lane);
    list_remove(&lane->link);
    task_heap_fini(&lane->heap);
    free(lane->route);
    free(lane);
}

static char *route_of(const struct step *step)
{
    struct strbuf route = STRBUF_INIT(65536);
    for (int i = 0; i < STEP_HOSTS_MAX && step->hosts[i]; i++)
        strbuf_printf(&route, "%s\n", step->hosts[i]);
    return strbuf_take(&route);
}

static struct lane *lane_get(struct scheduler *s, struct step_group *group, const struct step *step)
{
    AUTO_FREE char *route = route_of(step);
    list_for_each(link, &group->lanes)
        if (strcmp(lane_of(link)->route, route) == 0)
            return lane_of(link);
    struct lane *lane = mem_new(struct lane);
    lane->group = group;
    lane->route = mem_take(route);
    list_append(&group->lanes, &lane->link);
    lane_line_up(s, lane);
    return lane;
}

static void lane_take_out(struct scheduler *s, struct task *task)
{
    struct lane *lane = task->lane;
    task_heap_remove(&lane->heap, task);
    task->lane = NULL;
    if (!task_heap_first(&lane->heap))
        lane_free(s, lane);
}

// --- where tasks wait

void scheduler_submit(struct scheduler *s, struct step_group *group, struct task *task)
{
    task_enters(task, group);
    task->scheduler = s;
    task->place = TASK_READY;
    if (task->order == 0)
        task->order = ++s->submitted;
    flight_enter(&s->flights, task);
    task->lane = lane_get(s, group, task->step);
    task_heap_add(&task->lane->heap, task);
    s->dirty = true;
    group_review(s, group);
}

static void on_delay_over(void *arg)
{
    struct task *task = arg;
    scheduler_submit(task->scheduler, task->group, task);
}

void scheduler_delay(struct scheduler *s, struct step_group *group, struct task *task, int64_t delay_ms)
{
    task_enters(task, group);
    task->scheduler = s;
    task->place = TASK_DELAYED;
    if (!task->timer)
        task->timer = loop_timer_new(s->options.loop, on_delay_over, task);
    loop_timer_start(task->timer, delay_ms);
    group_review(s, group);
}

static void leave_flight(struct scheduler *s, struct task *task)
{
    struct flight *flight = task->flight;
    bool led = flight && flight->leader == task;
    bool last = flight && flight->members.next == flight->members.prev;
    flight_leave(&s->flights, task);
    if (!led || last)
        return;
    list_for_each(link, &flight->members) {
        struct task *other = container_of(link, struct task, flight_link);
        if (other->place == TASK_PARKED)
            scheduler_submit(s, other->group, other);
    }
}

void scheduler_withdraw(struct scheduler *s, struct task *task)
{
    if (task->place == TASK_OUT) { // landed: in somebody's list of those that join
        list_remove(&task->flight_link);
        return;
    }
    if (task->lane)
        lane_take_out(s, task);
    if (task->timer)
        loop_timer_stop(task->timer);
    leave_flight(s, task);
    task_is_out(s, task);
}

void scheduler_flight_failed(struct scheduler *s, struct task *task)
{
    leave_flight(s, task);
}

void scheduler_flight_landed(struct scheduler *s, struct task *task, struct list *others)
{
    flight_land(&s->flights, task, others);
    list_for_each(link, others) {
        struct task *other = container_of(link, struct task, flight_link);
        if (other->lane)
            lane_take_out(s, other);
        if (other->timer)
            loop_timer_stop(other->timer);
        task_is_out(s, other);
    }
}

// --- turns

static void hand_over(struct scheduler *s, struct task *task)
{
    struct step_group *group = task->group;
    enum pool_class class = group->class;
    flight_lead(task);
    group->running++;
    task->place = TASK_RUNNING;
    task->step->attempt++;
    lane_take_out(s, task);
    group_review(s, group);
    s->options.starting(s->options.arg, task);
    pool_run(s->pool, class, task);
}

// Ends a task that no worker has seen; its step's error is set.
static void refuse(struct scheduler *s, struct task *task)
{
    lane_take_out(s, task);
    leave_flight(s, task);
    task_is_out(s, task);
    task->result = -1;
    s->options.finished(s->options.arg, task);
}

// Somebody waits on the line for a query: a long pause is answered at once. Jobs wait.
static bool too_long(const struct lane *lane, int64_t retry_at_ms)
{
    return lane->group->class == POOL_QUERIES && retry_at_ms - clock_ms() > QUERY_PAUSE_MAX_MS;
}

static void refuse_for_pause(struct scheduler *s, struct task *task, const char *host, int64_t retry_at_ms)
{
    struct error *err = &task->step->error;
    error_set(err, ERR_REGISTRY_RATE_LIMIT,
              "%s asked for a pause, or is down; it is not asked before that is over", host);
    err->retry_after_ms = retry_at_ms - clock_ms();
    refuse(s, task);
}

static void park(struct scheduler *s, struct lane *lane, struct task *task)
{
    lane_line_up(s, lane);
    task->place = TASK_PARKED;
    lane_take_out(s, task);
    group_review(s, task->group);
}

// Of those that want the same, the one that asked first does it, in the turn of whoever is served first: so the second of two
// identical jobs moves nothing. Not if its job runs as many steps as it may, or other hosts have to be asked for it.
static struct task *first_of_flight(struct task *task)
{
    if (!task->flight || task->flight->leader)
        return task;
    list_for_each(link, &task->flight->members) {
        struct task *other = container_of(link, struct task, flight_link);
        if (other->place == TASK_READY && !group_full(other->group) && !strcmp(other->lane->route, task->lane->route))
            return other;
    }
    return task;
}

// The lane whose turn it is gives one task away, or leaves the line.
static void serve(struct scheduler *s, struct lane *lane)
{
    struct task *task = task_heap_first(&lane->heap);
    const char *closed = NULL;
    int64_t retry_at = 0;
    lane->queue = NULL;
    if (group_full(lane->group))
        return; // lines up again when one of the group has ended
    if (flight_busy(task)) {
        park(s, lane, task);
        return;
    }
    struct task *first = first_of_flight(task);
    bool open = gate_enter(s->gate, first->step, &closed, &retry_at);
    if (!open && too_long(lane, retry_at)) {
        lane_line_up(s, lane);
        refuse_for_pause(s, task, closed, retry_at);
        return;
    }
    if (!open) {
        lane->at_gate = true;
        gate_wait(s->gate, closed, retry_at, &lane->entry, lane->group->priority, lane->group->caller,
                  &lane->queue);
        group_review(s, lane->group);
        return;
    }
    bool more = lane->heap.count > 1;
    hand_over(s, first);
    if (first != task)
        park(s, lane, task);
    else if (more)
        lane_line_up(s, lane);
}

static void fill(struct scheduler *s, enum pool_class class)
{
    while (pool_has_room(s->pool, class)) {
        struct fair_entry *entry = fair_take(&s->ready[class]);
        if (!entry)
            return;
        struct lane *lane = container_of(entry, struct lane, entry);
        struct task *task = task_heap_first(&lane->heap);
        if (atomic_load(&task->step->monitor.cancelled)) {
            lane_line_up(s, lane);
            monitor_check(&task->step->monitor, &task->step->error);
            refuse(s, task);
        } else {
            serve(s, lane);
        }
    }
}

void scheduler_dispatch(struct scheduler *s)
{
    if (!s->dirty)
        return;
    s->dirty = false;
    for (int class = 0; class < POOL_CLASSES; class ++)
        fill(s, (enum pool_class) class);
}

static void on_finished(void *arg, enum pool_class class, struct task *task)
{
    struct scheduler *s = arg;
    struct step_group *group = task->group;
    (void)class;
    bool was_full = group_full(group);
    group->running--;
    if (was_full)
        list_for_each(link, &group->lanes)
            if (!fair_queued(&lane_of(link)->entry))
                lane_line_up(s, lane_of(link));
    s->dirty = true;
    task_is_out(s, task);
    gate_leave(s->gate, task->step, task->result < 0 ? &task->step->error : NULL);
    s->options.finished(s->options.arg, task);
}

struct scheduler *scheduler_new(const struct scheduler_options *options)
{
    struct scheduler *s = mem_new(struct scheduler);
    s->options = *options;
    s->pool = pool_new(options->loop, options->mailbox, options->limits, on_finished, s);
    s->gate = gate_new(&options->gate, options->loop, on_gate_open, s);
    flights_init(&s->flights);
    for (int class = 0; class < POOL_CLASSES; class ++)
        fair_init(&s->ready[class]);
    return s;
}

void scheduler_free(struct scheduler *s)
{
    if (!s)
        return;
    gate_free(s->gate);
    pool_free(s->pool);
    flights_fini(&s->flights);
    free(s);
}

struct pool *scheduler_pool(struct scheduler *s)
{
    return s->pool;
}
