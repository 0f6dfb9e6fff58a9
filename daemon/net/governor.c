// SPDX-License-Identifier: Apache-2.0
//
// The host governor. Lives on the loop; the scheduler asks before it queues a step and reports when the step
// is done. One small record per host that is in use, limited or in trouble; what is none of these is
// forgotten.
#include "net/governor.h"

#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/quota.h"

enum { DEFAULT_PAUSE_MS = 5000, OPEN_BASE_MS = 1000, RECORDS_SWEPT_AT = 1024 };

struct record {
    struct list link;
    int in_flight;
    double tokens; // requests that may go now
    int64_t tokens_at_ms;
    int64_t paused_until_ms;
    int failures;          // in a row
    int64_t open_until_ms; // breaker
    bool probing;
    char host[];
};

struct governor {
    const struct host_table *hosts;
    struct quota *quota;
    struct list records;
    size_t count;
};

struct governor *governor_new(const struct host_table *hosts, struct quota *quota)
{
    struct governor *governor = mem_new(struct governor);
    governor->hosts = hosts;
    governor->quota = quota;
    list_init(&governor->records);
    return governor;
}

static void forget(struct governor *governor, struct record *record)
{
    list_remove(&record->link);
    governor->count--;
    free(record);
}

void governor_free(struct governor *governor)
{
    if (!governor)
        return;
    list_for_each_safe(link, &governor->records)
        forget(governor, container_of(link, struct record, link));
    free(governor);
}

static const struct host_settings *settings_of(const struct governor *governor, const char *host)
{
    const char *colon = strrchr(host, ':');
    int64_t port = 443;
    if (!colon || !str_to_int64(colon + 1, 1, 65535, &port))
        return host_table_get(governor->hosts, host, (int)port);
    AUTO_FREE char *name = host[0] == '[' ? mem_strndup(host + 1, strcspn(host + 1, "]"))
                                          : mem_strndup(host, (size_t)(colon - host));
    return host_table_get(governor->hosts, name, (int)port);
}

// At least one request fits, however low the rate.
static double burst(const struct host_settings *settings)
{
    return settings->requests_per_s > 1 ? settings->requests_per_s : 1;
}

static void refill(struct record *record, const struct host_settings *settings, int64_t now_ms)
{
    record->tokens += (double)(now_ms - record->tokens_at_ms) * settings->requests_per_s / 1000;
    if (record->tokens > burst(settings))
        record->tokens = burst(settings);
    record->tokens_at_ms = now_ms;
}

static struct record *find(const struct governor *governor, const char *host)
{
    list_for_each(link, &governor->records) {
        struct record *record = container_of(link, struct record, link);
        if (str_equal_case(record->host, host))
            return record;
    }
    return NULL;
}

static bool is_blank(struct record *record, const struct host_settings *settings, int64_t now_ms)
{
    if (settings->requests_per_s > 0)
        refill(record, settings, now_ms);
    return record->in_flight == 0 && record->failures == 0 && record->paused_until_ms <= now_ms &&
           (settings->requests_per_s <= 0 || record->tokens >= burst(settings));
}

static void sweep(struct governor *governor, int64_t now_ms)
{
    list_for_each_safe(link, &governor->records) {
        struct record *record = container_of(link, struct record, link);
        bool healed = record->failures > 0 && record->open_until_ms + 10 * GOVERNOR_PAUSE_MS_MAX < now_ms;
        if (healed && record->in_flight == 0)
            record->failures = 0;
        if (is_blank(record, settings_of(governor, record->host), now_ms))
            forget(governor, record);
    }
}

static struct record *find_or_make(struct governor *governor, const char *host,
                                   const struct host_settings *settings, int64_t now_ms)
{
    struct record *record = find(governor, host);
    if (record)
        return record;
    if (governor->count >= RECORDS_SWEPT_AT)
        sweep(governor, now_ms);
    size_t size = strlen(host) + 1;
    record = mem_calloc(1, sizeof *record + size);
    memcpy(record->host, host, size);
    record->tokens = burst(settings);
    record->tokens_at_ms = now_ms;
    list_prepend(&governor->records, &record->link);
    governor->count++;
    return record;
}

static bool refuse(int64_t *ret_retry_at_ms, int64_t retry_at_ms)
{
    *ret_retry_at_ms = retry_at_ms;
    return false;
}

static bool has_token(struct record *record, const struct host_settings *settings, int64_t now_ms,
                      int64_t *ret_retry_at_ms)
{
    if (settings->requests_per_s <= 0)
        return true;
    refill(record, settings, now_ms);
    if (record->tokens >= 1)
        return true;
    double wait_ms = (1 - record->tokens) * 1000 / settings->requests_per_s;
    return refuse(ret_retry_at_ms, now_ms + (int64_t)wait_ms + 1);
}

// Steps that are under way may each need a few requests more.
static bool has_quota(const struct governor *governor, const struct record *record, int64_t now_ms,
                      int64_t *ret_retry_at_ms)
{
    struct quota_left left;
    if (!governor->quota || !quota_find(governor->quota, record->host, now_ms, &left))
        return true;
    if (left.remaining / QUOTA_PER_STEP > record->in_flight)
        return true;
    if (record->in_flight > 0)
        return refuse(ret_retry_at_ms, 0);
    bool soon = left.reset_ms > now_ms && left.reset_ms - now_ms <= GOVERNOR_PAUSE_MS_MAX;
    return soon ? refuse(ret_retry_at_ms, left.reset_ms) : true;
}

bool governor_enter(struct governor *governor, const char *host, int64_t now_ms, int64_t *ret_retry_at_ms)
{
    const struct host_settings *settings = settings_of(governor, host);
    struct record *record = find_or_make(governor, host, settings, now_ms);
    bool tripped = record->failures >= GOVERNOR_FAILURES;
    if (record->paused_until_ms > now_ms)
        return refuse(ret_retry_at_ms, record->paused_until_ms);
    if (tripped && record->open_until_ms > now_ms)
        return refuse(ret_retry_at_ms, record->open_until_ms);
    if (record->in_flight >= settings->max_connections || (tripped && record->probing))
        return refuse(ret_retry_at_ms, 0);
    if (!has_quota(governor, record, now_ms, ret_retry_at_ms) ||
        !has_token(record, settings, now_ms, ret_retry_at_ms))
        return false;
    record->probing = tripped;
    record->tokens -= settings->requests_per_s > 0 ? 1 : 0;
    record->in_flight++;
    return true;
}

static void pause_host(struct record *record, int64_t now_ms, int64_t asked_ms)
{
    int64_t pause_ms = asked_ms >= 0 ? asked_ms : DEFAULT_PAUSE_MS;
    if (pause_ms > GOVERNOR_PAUSE_MS_MAX)
        pause_ms = GOVERNOR_PAUSE_MS_MAX; // the step itself gives up then; the next one may ask again
    if (record->paused_until_ms < now_ms + pause_ms)
        record->paused_until_ms = now_ms + pause_ms;
}

// Steps that were under way together fail together: while the breaker is open, more failures change nothing.
static void count_failure(struct record *record, int64_t now_ms)
{
    if (record->failures >= GOVERNOR_FAILURES && record->open_until_ms > now_ms)
        return;
    record->failures++;
    int64_t open_ms = OPEN_BASE_MS;
    for (int i = GOVERNOR_FAILURES; i < record->failures && open_ms < GOVERNOR_PAUSE_MS_MAX; i++)
        open_ms *= 2;
    if (open_ms > GOVERNOR_PAUSE_MS_MAX)
        open_ms = GOVERNOR_PAUSE_MS_MAX;
    if (record->failures >= GOVERNOR_FAILURES)
        record->open_until_ms = now_ms + open_ms;
}

static void learn(struct record *record, int64_t now_ms, const struct error *err)
{
    enum error_code code = err ? err->code : ERR_NONE;
    bool asked = code == ERR_REGISTRY_ERROR && err->retry_after_ms >= 0;
    if (code == ERR_REGISTRY_RATE_LIMIT || asked) {
        pause_host(record, now_ms, err->retry_after_ms);
        record->failures = 0; // it answers
    } else if (code == ERR_REGISTRY_UNREACHABLE || code == ERR_REGISTRY_ERROR) {
        count_failure(record, now_ms);
    } else if (code != ERR_CANCELLED && code != ERR_DEADLINE) {
        record->failures = 0;
    }
}

void governor_leave(struct governor *governor, const char *host, int64_t now_ms, const struct error *err)
{
    struct record *record = find(governor, host);
    if (!record)
        return;
    record->in_flight--;
    record->probing = false;
    learn(record, now_ms, err);
    if (is_blank(record, settings_of(governor, host), now_ms))
        forget(governor, record);
}
