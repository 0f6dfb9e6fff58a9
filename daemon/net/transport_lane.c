// SPDX-License-Identifier: Apache-2.0
//
// Lanes: curl multi handles with their open connections, kept warm between steps. A lane belongs to one
// worker at a time (connection caches cannot be shared between threads) and remembers the origins that it was
// used for, so that the next step to one of them finds an open connection.
#include "base/clock.h"
#include "base/mem.h"
#include "net/transport_internal.h"

// FNV-1a: a stale or colliding entry only costs a new connection.
static uint64_t origin_hash(const struct url *origin)
{
    uint64_t hash = 0xcbf29ce484222325u + (uint64_t)origin->port;
    for (const char *p = origin->scheme; *p; p++)
        hash = (hash ^ (unsigned char)*p) * 0x100000001b3u;
    for (const char *p = origin->host; *p; p++)
        hash = (hash ^ (unsigned char)*p) * 0x100000001b3u;
    return hash;
}

static bool lane_has(const struct transport_lane *lane, uint64_t hash)
{
    for (int i = 0; i < LANE_ORIGINS; i++)
        if (lane->origins[i] == hash)
            return true;
    return false;
}

void transport_lane_knows(struct transport_lane *lane, const struct url *origin)
{
    uint64_t hash = origin_hash(origin), carried = hash;
    for (int i = 0; i < LANE_ORIGINS; i++) { // move to front
        uint64_t next = lane->origins[i];
        lane->origins[i] = carried;
        if (next == hash)
            return;
        carried = next;
    }
}

static struct transport_lane *lane_new(void)
{
    struct transport_lane *lane = mem_new(struct transport_lane);
    list_init(&lane->link);
    lane->curl = curl_multi_init();
    if (!lane->curl)
        abort(); // out of memory, as base/mem.h
    curl_multi_setopt(lane->curl, CURLMOPT_MAXCONNECTS, (long)LANE_CONNECTIONS);
    curl_multi_setopt(lane->curl, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    return lane;
}

void transport_lane_free(struct transport_lane *lane)
{
    curl_multi_cleanup(lane->curl);
    free(lane);
}

static struct transport_lane *take_locked(struct transport *transport, uint64_t hash)
{
    if (list_empty(&transport->idle))
        return NULL;
    struct transport_lane *lane = container_of(transport->idle.next, struct transport_lane, link);
    list_for_each(link, &transport->idle) {
        struct transport_lane *other = container_of(link, struct transport_lane, link);
        if (lane_has(other, hash)) {
            lane = other;
            break;
        }
    }
    list_remove(&lane->link);
    transport->n_idle--;
    return lane;
}

struct transport_lane *transport_lane_take(struct transport *transport, const struct url *origin)
{
    pthread_mutex_lock(&transport->lock);
    struct transport_lane *lane = take_locked(transport, origin ? origin_hash(origin) : 0);
    pthread_mutex_unlock(&transport->lock);
    return lane ? lane : lane_new();
}

void transport_lane_give(struct transport *transport, struct transport_lane *lane)
{
    struct transport_lane *surplus = NULL;
    lane->idle_since_ms = clock_ms();
    pthread_mutex_lock(&transport->lock);
    list_prepend(&transport->idle, &lane->link);
    if (++transport->n_idle > transport->options.warm_handles) {
        surplus = container_of(transport->idle.prev, struct transport_lane, link);
        list_remove(&surplus->link);
        transport->n_idle--;
    }
    pthread_mutex_unlock(&transport->lock);
    if (surplus)
        transport_lane_free(surplus);
}

size_t transport_warm_count(struct transport *transport)
{
    pthread_mutex_lock(&transport->lock);
    size_t count = transport->n_idle;
    pthread_mutex_unlock(&transport->lock);
    return count;
}

void transport_trim(struct transport *transport)
{
    struct list old = LIST_INIT(old);
    int64_t limit = clock_ms() - transport->options.idle_ms;
    pthread_mutex_lock(&transport->lock);
    list_for_each_safe(link, &transport->idle) {
        if (container_of(link, struct transport_lane, link)->idle_since_ms > limit)
            continue;
        list_remove(link);
        list_append(&old, link);
        transport->n_idle--;
    }
    pthread_mutex_unlock(&transport->lock);
    for (struct list *link; (link = list_take_first(&old));)
        transport_lane_free(container_of(link, struct transport_lane, link));
}
