// SPDX-License-Identifier: Apache-2.0
//
// Pacing by one virtual clock per host: each booking moves the time at which the host is "paid up". Called by
// the transport's callbacks on every worker, so the lock is held for a few instructions only. A quarter of a
// second may be saved up, which lets short answers through unhindered.
#include "net/pace.h"

#include <pthread.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"

enum { BURST_US = 250000, HOSTS_MAX = 1024 };

struct pace_host {
    struct list link;
    struct pace *pace;
    int64_t paid_us; // everything booked so far is paid for at this time
    char name[];
};

struct pace {
    pthread_mutex_t lock;
    struct list hosts;
    size_t count;
};

struct pace *pace_new(void)
{
    struct pace *pace = mem_new(struct pace);
    pthread_mutex_init(&pace->lock, NULL);
    list_init(&pace->hosts);
    return pace;
}

void pace_free(struct pace *pace)
{
    if (!pace)
        return;
    for (struct list *link; (link = list_take_first(&pace->hosts));)
        free(container_of(link, struct pace_host, link));
    pthread_mutex_destroy(&pace->lock);
    free(pace);
}

static struct pace_host *find_locked(struct pace *pace, const char *name)
{
    list_for_each(link, &pace->hosts) {
        struct pace_host *host = container_of(link, struct pace_host, link);
        if (strcmp(host->name, name) == 0)
            return host;
    }
    if (pace->count == HOSTS_MAX) // only a rate for all hosts gets here: the many share one book
        return container_of(pace->hosts.prev, struct pace_host, link);
    pace->count++;
    size_t size = strlen(name) + 1;
    struct pace_host *host = mem_calloc(1, sizeof *host + size);
    memcpy(host->name, name, size);
    host->pace = pace;
    list_append(&pace->hosts, &host->link);
    return host;
}

struct pace_host *pace_find_host(struct pace *pace, const char *name)
{
    pthread_mutex_lock(&pace->lock);
    struct pace_host *host = find_locked(pace, name);
    pthread_mutex_unlock(&pace->lock);
    return host;
}

int64_t pace_book(struct pace_host *host, int64_t bytes_per_s, size_t bytes, int64_t now_ms)
{
    int64_t now_us = now_ms * 1000;
    int64_t cost_us = (int64_t)((double)bytes * 1e6 / (double)bytes_per_s);
    pthread_mutex_lock(&host->pace->lock);
    if (host->paid_us < now_us - BURST_US)
        host->paid_us = now_us - BURST_US;
    host->paid_us += cost_us;
    int64_t wait_us = host->paid_us - now_us;
    pthread_mutex_unlock(&host->pace->lock);
    return wait_us > 0 ? (wait_us + 999) / 1000 : 0;
}
