// SPDX-License-Identifier: Apache-2.0
//
// Used by the scheduler. One waiter is let through for each that leaves, and one more whenever a waiter got
// in, so a thousand waiters cost two questions per step and not a thousand. A host is known here only while
// somebody waits for it.
//
// A waiter that was let through may not use its turn (its job was cancelled, another host is closed), so
// there is always a timer running for a host with waiters: nothing ever waits for a leave that does not come.
#include "jobs/gate.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/table.h"

enum { GATE_RECHECK_MS = 1000, GATE_SLEEP_MAX_MS = 60000 };

struct gate {
    struct engine_gate governor;
    struct loop *loop;
    struct table *hosts;
    void (*open)(void *arg, struct fair_entry *entry);
    void *arg;
};

struct gate_host {
    struct gate *gate;
    char *name;
    struct fair waiting;
    struct loop_timer *timer;
    int64_t due_ms; // 0: the timer is not running
};

struct gate *gate_new(const struct engine_gate *governor, struct loop *loop,
                      void (*open)(void *arg, struct fair_entry *entry), void *arg)
{
    struct gate *gate = mem_new(struct gate);
    gate->governor = *governor;
    gate->loop = loop;
    gate->hosts = table_new();
    gate->open = open;
    gate->arg = arg;
    return gate;
}

void gate_free(struct gate *gate)
{
    if (!gate)
        return;
    table_free(gate->hosts);
    free(gate);
}

static void host_free(struct gate_host *host)
{
    table_take(host->gate->hosts, host->name);
    loop_timer_free(host->timer);
    free(host->name);
    free(host);
}

static void wake(struct gate_host *host, size_t most)
{
    struct gate *gate = host->gate;
    for (struct fair_entry *entry; most > 0 && (entry = fair_take(&host->waiting)) != NULL; most--)
        gate->open(gate->arg, entry);
    if (host->waiting.count == 0)
        host_free(host);
}

static void on_timer(void *arg)
{
    struct gate_host *host = arg;
    host->due_ms = 0;
    wake(host, host->waiting.count);
}

static struct gate_host *host_get(struct gate *gate, const char *name)
{
    struct gate_host *host = table_find(gate->hosts, name);
    if (host)
        return host;
    host = mem_new(struct gate_host);
    host->gate = gate;
    host->name = mem_strdup(name);
    fair_init(&host->waiting);
    host->timer = loop_timer_new(gate->loop, on_timer, host);
    table_put(gate->hosts, host->name, host);
    return host;
}

static void wake_one(struct gate *gate, const char *name)
{
    struct gate_host *host = table_find(gate->hosts, name);
    if (host)
        wake(host, 1);
}

static void leave_unused(struct gate *gate, const struct step *step, int count, int64_t now)
{
    if (count == 0)
        return;
    CLEANUP(error_clear) struct error unused = ERROR_INIT;
    error_set(&unused, ERR_CANCELLED, "not asked");
    for (int i = 0; i < count; i++)
        gate->governor.leave(gate->governor.arg, step->hosts[i], now, &unused);
}

// Nothing waits for a host on the side.
static void enter_side(struct gate *gate, struct step *step, int64_t now)
{
    int64_t ignored = 0;
    if (step->side_host && !gate->governor.enter(gate->governor.arg, step->side_host, now, &ignored))
        free(mem_take(step->side_host));
}

bool gate_enter(struct gate *gate, struct step *step, const char **ret_closed, int64_t *ret_retry_at_ms)
{
    if (!gate->governor.enter)
        return true;
    int64_t now = clock_ms();
    int n = 0;
    for (; n < STEP_HOSTS_MAX && step->hosts[n]; n++) {
        *ret_retry_at_ms = 0;
        if (gate->governor.enter(gate->governor.arg, step->hosts[n], now, ret_retry_at_ms))
            continue;
        *ret_closed = step->hosts[n];
        leave_unused(gate, step, n, now);
        return false;
    }
    for (int i = 0; i < n; i++)
        wake_one(gate, step->hosts[i]);
    enter_side(gate, step, now);
    return true;
}

// Whether what happened says something about this host.
static bool concerns(const struct step *step, const char *host, const struct error *err)
{
    bool only_one = step->hosts[1] == NULL;
    return only_one || !err || str_equal_case(err->upstream.registry, host);
}

void gate_leave(struct gate *gate, const struct step *step, const struct error *err)
{
    if (!gate->governor.leave)
        return;
    CLEANUP(error_clear) struct error nothing = ERROR_INIT;
    error_set(&nothing, ERR_CANCELLED, "it ended for another reason");
    int64_t now = clock_ms();
    for (int i = 0; i < STEP_HOSTS_MAX && step->hosts[i]; i++) {
        const char *host = step->hosts[i];
        gate->governor.leave(gate->governor.arg, host, now, concerns(step, host, err) ? err : &nothing);
        wake_one(gate, host);
    }
    if (!step->side_host)
        return;
    gate->governor.leave(gate->governor.arg, step->side_host, now, &nothing);
    wake_one(gate, step->side_host);
}

void gate_wait(struct gate *gate, const char *closed, int64_t retry_at_ms, struct fair_entry *entry,
               int priority, int64_t caller, struct fair **ret_queue)
{
    struct gate_host *host = host_get(gate, closed);
    int64_t now = clock_ms();
    int64_t delay = retry_at_ms == 0 ? GATE_RECHECK_MS : retry_at_ms - now;
    delay = delay < 1 ? 1 : delay > GATE_SLEEP_MAX_MS ? GATE_SLEEP_MAX_MS : delay;
    if (host->due_ms == 0 || now + delay < host->due_ms) {
        host->due_ms = now + delay;
        loop_timer_start(host->timer, delay);
    }
    fair_add(&host->waiting, entry, priority, caller);
    *ret_queue = &host->waiting;
}

void gate_withdraw(struct gate *gate, struct fair *queue, struct fair_entry *entry)
{
    (void)gate;
    struct gate_host *host = container_of(queue, struct gate_host, waiting);
    fair_remove(queue, entry);
    if (host->waiting.count == 0)
        host_free(host);
}
