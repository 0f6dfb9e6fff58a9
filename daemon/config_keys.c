// SPDX-License-Identifier: Apache-2.0
//
// All keys of the configuration in one table.
#include "config_keys.h"

#include <stddef.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"

#define TEXT(section, name, builtin, meaning)                                                                          \
    {section, #name, CONFIG_TEXT, offsetof(struct config, name), 0, 0, builtin, meaning}
#define LIST(section, name, builtin, meaning)                                                                          \
    {section, #name, CONFIG_LIST, offsetof(struct config, name), 0, 0, builtin, meaning}
#define BOOL(section, name, builtin, meaning)                                                                          \
    {section, #name, CONFIG_BOOL, offsetof(struct config, name), 0, 0, builtin, meaning}
#define INT(section, name, min, max, builtin, meaning)                                                                 \
    {section, #name, CONFIG_INT, offsetof(struct config, name), min, max, builtin, meaning}

#define DAY_MS ((int64_t)24 * 3600 * 1000)

const struct config_key config_keys[] = {
    LIST("daemon", listen, NULL, "addresses: unix:/PATH or tcp:127.0.0.1:PORT"),
    TEXT("daemon", state_dir, NULL, "directory of the job store"),
    TEXT("daemon", cache_dir, NULL, "directory of the blob cache"),
    LIST("daemon", build_roots, NULL, "directories below which jobs may read local files"),
    LIST("daemon", output_roots, NULL, "directories below which jobs may write layouts and archives; default: the build roots"),
    INT("daemon", workers, 1, 512, NULL, "steps that run at once; default: 4 for each core, at least 8"),
    INT("daemon", query_workers, 1, 64, "4", "workers kept free for image queries"),
    INT("daemon", lanes, 0, 64, "0", "compression threads; 0: one for each core"),
    TEXT("daemon", token_file, NULL, "bearer token for TCP; default: one is made in the runtime directory"),
    TEXT("daemon", socket_group, "", "group of the unix socket"),
    LIST("daemon", hosts, "", "Host names that are ours beside localhost, 127.0.0.1 and [::1]"),
    LIST("daemon", admins, "", "user ids with the admin right beside root and the daemon's own"),
    TEXT("daemon", log_level, "info", "error, warning, info or debug"),
    BOOL("daemon", paused, "false", "accept jobs but start none"),
    INT("daemon", drain_ms, 0, DAY_MS, "30000", "how long running jobs may go on after SIGTERM"),
    INT("daemon", heartbeat_ms, 10, 600000, "10000", "a heartbeat on a stream after this much silence"),
    INT("daemon", progress_ms, 10, 60000, "100", "progress events at most this often"),
    INT("daemon", attached_grace_ms, 100, 3600000, "30000", "an attached job is cancelled without reader after"),
    INT("daemon", stuck_ms, 100, DAY_MS, "600000", "a step without progress for so long stops the systemd watchdog"),
    INT("daemon", source_date_epoch, 0, INT64_C(253402300799), NULL,
        "`created` of images that do not say; default: $SOURCE_DATE_EPOCH, else 0"),
    INT("limits", max_queued, 1, 10000000, "100000", "jobs that are not finished; more are refused with 503"),
    INT("limits", max_queued_per_caller, 1, 10000000, "50000", "the same for one caller"),
    INT("limits", max_running, 1, 10000, "64", "jobs running at once"),
    INT("limits", max_steps_per_job, 1, 512, "8", "steps of one job running at once"),
    INT("limits", kept_jobs, 0, 1000000, "1000", "finished jobs kept in memory"),
    INT("limits", max_connections, 16, 100000, "16384", "open client connections"),
    INT("limits", header_timeout_ms, 100, 600000, "10000", "for the whole header of a request"),
    INT("limits", body_timeout_ms, 100, 600000, "30000", "for the whole body of a request, or one stall of an upload"),
    INT("limits", idle_timeout_ms, 100, 600000, "30000", "a connection without a request is closed after"),
    INT("limits", write_timeout_ms, 100, 600000, "30000", "a client that takes nothing for so long is cut off"),
    INT("limits", context_bytes, 0, INT64_MAX, "17179869184", "size of one uploaded build context; 0: no limit"),
    LIST("network", plain_http, "", "registries HOST[:PORT] that speak http without TLS"),
    INT("network", connect_ms, 10, 600000, "10000", "to connect, TLS included"),
    INT("network", first_byte_ms, 10, DAY_MS, "30000", "from the end of a request to the first byte of the answer"),
    INT("network", stall_bytes_per_s, 0, 1 << 30, "1000", "a transfer slower than this …"),
    INT("network", stall_window_ms, 1000, 3600000, "30000", "… for so long has stalled and is resumed"),
    INT("network", retry_count, 0, 20, "3", "how often a failed step is tried again"),
    INT("network", retry_base_ms, 1, 600000, "1000", "before the first retry; three times as long each time"),
    INT("network", retry_max_ms, 1, DAY_MS, "60000", "longest wait; a server that asks for more ends the retries"),
    INT("network", chunk_bytes, 1 << 16, INT64_C(1) << 30, "67108864", "size of a chunk where blobs go in chunks"),
    INT("network", monolithic_max_bytes, 0, INT64_MAX, "5368709120", "larger blobs go in chunks from the start"),
    INT("network", host_connections, 1, 1000, "16", "requests at once to one registry, all jobs together"),
    TEXT("network", certs_dir, "/etc/docker/certs.d", "HOST[:PORT]/ca.crt, client.cert, client.key"),
    TEXT("network", proxy, "", "http://HOST:PORT for all registries; empty: none"),
    TEXT("credentials", docker_config, "", "config.json; default: $DOCKER_CONFIG, else ~/.docker/config.json"),
    TEXT("credentials", auth_file, "", "auth.json of podman; default: $REGISTRY_AUTH_FILE, else its usual place"),
    TEXT("credentials", helper_path, "", "directories with docker-credential-* helpers, colon-separated"),
    INT("credentials", helper_deadline_ms, 100, 600000, "10000", "a helper that takes longer is ended"),
    INT("credentials", helper_ttl_ms, 0, DAY_MS, "300000", "how long a helper's answer is used"),
    TEXT("credentials", google_credentials, "", "account file; default: $GOOGLE_APPLICATION_CREDENTIALS"),
    TEXT("credentials", google_token_hosts, "", "hosts that a token_uri may name beside Google's"),
    TEXT("credentials", google_metadata_url, "", "metadata server; empty: never asked"),
    INT("cache", cache_bytes, 0, INT64_MAX, "10737418240", "size of the blob cache"),
    INT("cache", facts_count, 0, 10000000, "100000", "remembered blob locations"),
    INT("cache", facts_age_s, 0, 31536000, "604800", "how long they are believed"),
    INT("retention", jobs_age_s, 0, INT64_C(3153600000), "2592000", "finished jobs are kept for"),
    INT("retention", jobs_count, 0, 100000000, "100000", "and at most so many"),
    INT("retention", events_bytes, 0, INT64_MAX, "1073741824", "and their events at most this large"),
    {0},
};

size_t config_keys_count(void)
{
    return sizeof(config_keys) / sizeof(*config_keys) - 1;
}

const struct config_key *config_keys_find(const char *section, const char *name)
{
    for (const struct config_key *key = config_keys; key->section; key++)
        if (str_equal(key->section, section) && str_equal(key->name, name))
            return key;
    return NULL;
}

static void *member(struct config *config, const struct config_key *key)
{
    return (char *)config + key->offset;
}

static void list_clear(struct config_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct config_list){0};
}

static void list_add(struct config_list *list, const char *text, size_t len)
{
    list->items = mem_realloc(list->items, (list->count + 2) * sizeof(*list->items));
    if (len)
        list->items[list->count++] = mem_strndup(text, len);
    list->items[list->count] = NULL;
}

// Comma-separated, blanks around the commas dropped.
static void set_list(struct config_list *list, const char *text, bool append)
{
    if (!append)
        list_clear(list);
    do {
        text += strspn(text, " \t,");
        size_t len = strcspn(text, ",");
        size_t end = len;
        while (end && (text[end - 1] == ' ' || text[end - 1] == '\t'))
            end--;
        list_add(list, text, end);
        text += len;
    } while (*text);
}

static int set_bool(bool *ret, const char *text)
{
    static const char *const yes[] = {"true", "yes", "on", "1"}, *const no[] = {"false", "no", "off", "0"};
    for (int i = 0; i < 4; i++)
        if (str_equal_case(yes[i], text) || str_equal_case(no[i], text)) {
            *ret = str_equal_case(yes[i], text);
            return 0;
        }
    return -1;
}

int config_keys_set(struct config *config, const struct config_key *key, const char *text, bool append,
                    char **ret_problem)
{
    void *at = member(config, key);
    switch (key->type) {
    case CONFIG_TEXT:
        free(*(char **)at);
        *(char **)at = *text ? mem_strdup(text) : NULL;
        return 0;
    case CONFIG_LIST:
        set_list(at, text, append);
        return 0;
    case CONFIG_BOOL:
        if (!set_bool(at, text))
            return 0;
        *ret_problem = mem_printf("\"%s\" is neither true nor false", text);
        return -1;
    case CONFIG_INT:
        if (str_to_int64(text, key->min, key->max, at))
            return 0;
        *ret_problem = mem_printf("\"%s\" is not a whole number from %lld to %lld", text, (long long)key->min,
                                  (long long)key->max);
        return -1;
    }
    return 0;
}

char *config_keys_format(const struct config *config, const struct config_key *key)
{
    const void *at = (const char *)config + key->offset;
    struct strbuf text = STRBUF_INIT(1 << 16);
    switch (key->type) {
    case CONFIG_TEXT:
        strbuf_puts(&text, *(char *const *)at ? *(char *const *)at : "");
        break;
    case CONFIG_BOOL:
        strbuf_puts(&text, *(const bool *)at ? "true" : "false");
        break;
    case CONFIG_INT:
        strbuf_printf(&text, "%lld", (long long)*(const int64_t *)at);
        break;
    case CONFIG_LIST: {
        const struct config_list *list = at;
        for (size_t i = 0; i < list->count; i++)
            strbuf_printf(&text, "%s%s", i ? ", " : "", list->items[i]);
        break;
    }
    }
    return strbuf_take(&text);
}

void config_keys_free(struct config *config)
{
    for (const struct config_key *key = config_keys; key->section; key++)
        if (key->type == CONFIG_TEXT)
            free(*(char **)member(config, key));
        else if (key->type == CONFIG_LIST)
            list_clear(member(config, key));
}
