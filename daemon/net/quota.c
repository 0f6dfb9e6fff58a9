// SPDX-License-Identifier: Apache-2.0
//
// Noted by registry calls on workers, asked by the governor on the loop. A server's word is taken for a hint:
// one that says "nothing left" and goes on answering is not believed any more, and no reset is more than a
// day away.
#include "net/quota.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/table.h"

enum { HOSTS_MAX = 1024, RESET_DEFAULT_MS = 5000, LIES_MAX = 8 };

#define RESET_MAX_MS (INT64_C(24) * 3600 * 1000)
#define EPOCH_S INT64_C(1000000000) // larger numbers are times of day, not seconds to wait

struct host_quota {
    struct quota_left left;
    int lies; // good answers in a row that said that nothing was left
    bool low;
    char name[];
};

struct quota {
    pthread_mutex_t lock;
    struct table *hosts;
};

struct quota *quota_new(void)
{
    struct quota *quota = mem_new(struct quota);
    pthread_mutex_init(&quota->lock, NULL);
    quota->hosts = table_new();
    return quota;
}

static void forget_all(struct quota *quota)
{
    size_t position = 0;
    for (struct host_quota *host; (host = table_next(quota->hosts, &position)) != NULL;)
        free(host);
    table_free(quota->hosts);
}

void quota_free(struct quota *quota)
{
    if (!quota)
        return;
    forget_all(quota);
    pthread_mutex_destroy(&quota->lock);
    free(quota);
}

// --- headers

// The whole number at the beginning of a text; -1: there is none. What follows is a fraction or a parameter.
static int64_t leading(const char *text)
{
    int64_t number;
    text += strspn(text, " \t");
    AUTO_FREE char *digits = mem_strndup(text, strspn(text, "0123456789"));
    return str_to_int64(digits, 0, INT64_MAX, &number) ? number : -1;
}

// The number behind "name=" in a list of parameters that are divided by commas or semicolons.
static int64_t parameter(const char *text, const char *name)
{
    size_t len = strlen(name);
    for (; *text; text += *text != '\0') {
        text += strspn(text, " \t");
        if (strncmp(text, name, len) == 0 && text[len] == '=')
            return leading(text + len + 1);
        text += strcspn(text, ",;");
    }
    return -1;
}

static int64_t either(int64_t first, int64_t second)
{
    return first >= 0 ? first : second;
}

static const char *find(const struct http_headers *headers, const char *name)
{
    AUTO_FREE char *with_x = mem_printf("x-%s", name);
    const char *value = http_headers_find(headers, name);
    return value ? value : http_headers_find(headers, with_x);
}

static int64_t reset_ms(int64_t seconds, int64_t wall_ms)
{
    if (seconds < 0)
        return -1;
    if (seconds > EPOCH_S)
        seconds = seconds > wall_ms / 1000 ? seconds - wall_ms / 1000 : 0;
    return seconds > RESET_MAX_MS / 1000 ? RESET_MAX_MS : seconds * 1000;
}

static void parse_three(const struct http_headers *headers, const char *remaining, int64_t wall_ms,
                        struct quota_left *ret)
{
    const char *limit = find(headers, "ratelimit-limit"), *reset = find(headers, "ratelimit-reset");
    ret->remaining = leading(remaining);
    ret->limit = limit ? leading(limit) : -1;
    int64_t window_s = either(parameter(remaining, "w"), limit ? parameter(limit, "w") : -1);
    ret->reset_ms = reset_ms(either(reset ? leading(reset) : -1, window_s), wall_ms);
}

static void parse_one(const char *text, int64_t wall_ms, struct quota_left *ret)
{
    ret->remaining = either(parameter(text, "remaining"), parameter(text, "r"));
    ret->limit = parameter(text, "limit");
    ret->reset_ms = reset_ms(either(parameter(text, "reset"), parameter(text, "t")), wall_ms);
}

bool quota_parse(const struct http_headers *headers, int64_t wall_ms, struct quota_left *ret)
{
    const char *remaining = find(headers, "ratelimit-remaining"), *one = find(headers, "ratelimit");
    const char *a_second = http_headers_find(headers, "x-ms-ratelimit-remaining-calls-per-second");
    *ret = (struct quota_left){-1, -1, -1};
    if (remaining)
        parse_three(headers, remaining, wall_ms, ret);
    else if (one)
        parse_one(one, wall_ms, ret);
    else if (a_second)
        *ret = (struct quota_left){leading(a_second), -1, 1000};
    return ret->remaining >= 0;
}

// --- hosts

bool quota_is_low(const struct quota_left *left)
{
    return left->remaining < QUOTA_PER_STEP || (left->limit > 0 && left->remaining < left->limit / 10);
}

static char *key_of(const char *host)
{
    char *key = mem_strdup(host);
    str_lower(key);
    return key;
}

static struct host_quota *get(struct quota *quota, const char *host)
{
    AUTO_FREE char *key = key_of(host);
    struct host_quota *found = table_find(quota->hosts, key);
    if (found)
        return found;
    if (table_count(quota->hosts) >= HOSTS_MAX) { // they say it again
        forget_all(quota);
        quota->hosts = table_new();
    }
    size_t size = strlen(key) + 1;
    found = mem_calloc(1, sizeof *found + size);
    memcpy(found->name, key, size);
    table_put(quota->hosts, found->name, found);
    return found;
}

bool quota_note(struct quota *quota, const char *host, const struct http_answer *answer, int64_t now_ms)
{
    struct quota_left left;
    if (!quota_parse(&answer->headers, clock_wall_ms(), &left))
        return false;
    left.reset_ms = now_ms + (left.reset_ms >= 0 ? left.reset_ms : RESET_DEFAULT_MS);
    pthread_mutex_lock(&quota->lock);
    struct host_quota *known = get(quota, host);
    bool was_low = known->low;
    known->left = left;
    known->low = quota_is_low(&left);
    bool lie = left.remaining == 0 && answer->status < 400;
    if (!lie)
        known->lies = 0;
    else if (known->lies < LIES_MAX)
        known->lies++;
    bool begins = known->low && !was_low && known->lies < LIES_MAX;
    pthread_mutex_unlock(&quota->lock);
    return begins;
}

bool quota_find(struct quota *quota, const char *host, int64_t now_ms, struct quota_left *ret)
{
    AUTO_FREE char *key = key_of(host);
    pthread_mutex_lock(&quota->lock);
    const struct host_quota *known = table_find(quota->hosts, key);
    bool over = known && known->left.reset_ms <= now_ms;
    bool found = known && known->lies < LIES_MAX && (!over || known->left.limit > 0);
    if (found)
        *ret = known->left;
    if (found && over)
        ret->remaining = known->left.limit;
    pthread_mutex_unlock(&quota->lock);
    return found;
}
