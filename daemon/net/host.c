// SPDX-License-Identifier: Apache-2.0
//
// The host table. Filled by config at start, read by everyone afterwards. Each entry is kept as it was
// written and as it counts (completed from the less specific ones), so that a look-up is one search and gives
// one finished struct.
#include "net/host.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "net/url.h"

struct entry {
    struct host_settings written;
    struct host_settings counts; // borrows its texts from `written` of this or another entry
    char *host;                  // lower case, no port, no brackets
    int port;                    // 0: every port
};

struct host_table {
    struct entry **entries;
    size_t count;
};

static void settings_clear(struct host_settings *settings)
{
    free(settings->name);
    free(settings->ca_file);
    free(settings->ca_pem);
    free(settings->client_cert);
    free(settings->client_key);
    free(settings->proxy);
    for (char **mirror = settings->mirrors; mirror && *mirror; mirror++)
        free(*mirror);
    free(settings->mirrors);
    *settings = (struct host_settings){0};
}

static void split_name(const char *name, char **ret_host, int *ret_port)
{
    const char *end = name + strlen(name), *colon = strrchr(name, ':');
    int64_t port = 0;
    bool bracketed = name[0] == '[' && strchr(name, ']');
    bool bare_v6 = !bracketed && colon && strchr(name, ':') != colon;
    if (colon && !bare_v6 && str_to_int64(colon + 1, 1, 65535, &port))
        end = colon;
    if (bracketed) {
        name++;
        end = strchr(name, ']');
    }
    *ret_host = mem_strndup(name, (size_t)(end - name));
    *ret_port = (int)port;
    str_lower(*ret_host);
}

static struct entry *find_exact(const struct host_table *table, const char *host, int port)
{
    for (size_t i = 0; i < table->count; i++)
        if (table->entries[i]->port == port && strcmp(table->entries[i]->host, host) == 0)
            return table->entries[i];
    return NULL;
}

static struct entry *entry_for(struct host_table *table, const char *name)
{
    AUTO_FREE char *host = NULL;
    int port;
    split_name(name, &host, &port);
    struct entry *entry = find_exact(table, host, port);
    if (entry)
        return entry;
    entry = mem_new(struct entry);
    entry->host = mem_take(host);
    entry->port = port;
    table->entries = mem_realloc(table->entries, (table->count + 1) * sizeof(struct entry *));
    table->entries[table->count++] = entry;
    return entry;
}

// Moves a text to *dst if the source has one; what stood there before ends.
static void take_text(char **dst, char **src)
{
    if (!*src)
        return;
    free(*dst);
    *dst = mem_take(*src);
}

static void take_over(struct host_settings *dst, struct host_settings *src)
{
    take_text(&dst->name, &src->name);
    take_text(&dst->ca_file, &src->ca_file);
    take_text(&dst->ca_pem, &src->ca_pem);
    take_text(&dst->client_cert, &src->client_cert);
    take_text(&dst->client_key, &src->client_key);
    take_text(&dst->proxy, &src->proxy);
    if (src->mirrors) {
        char **old = dst->mirrors;
        dst->mirrors = mem_take(src->mirrors);
        src->mirrors = old; // freed with src
    }
    dst->plain_http |= src->plain_http;
    dst->private_ok |= src->private_ok;
    dst->early_uploads = src->early_uploads ? src->early_uploads : dst->early_uploads;
    dst->max_connections = src->max_connections ? src->max_connections : dst->max_connections;
    dst->requests_per_s = src->requests_per_s > 0 ? src->requests_per_s : dst->requests_per_s;
    dst->bytes_per_s = src->bytes_per_s ? src->bytes_per_s : dst->bytes_per_s;
}

// Completes *dst from a less specific entry. A certificate and its key belong together, as do the two kinds
// of CA.
static void complete(struct host_settings *dst, const struct host_settings *from)
{
    if (!dst->ca_file && !dst->ca_pem) {
        dst->ca_file = from->ca_file;
        dst->ca_pem = from->ca_pem;
    }
    if (!dst->client_cert) {
        dst->client_cert = from->client_cert;
        dst->client_key = from->client_key;
    }
    dst->proxy = dst->proxy ? dst->proxy : from->proxy;
    dst->mirrors = dst->mirrors ? dst->mirrors : from->mirrors;
    dst->plain_http |= from->plain_http;
    dst->private_ok |= from->private_ok;
    dst->early_uploads = dst->early_uploads ? dst->early_uploads : from->early_uploads;
    dst->max_connections = dst->max_connections ? dst->max_connections : from->max_connections;
    dst->requests_per_s = dst->requests_per_s > 0 ? dst->requests_per_s : from->requests_per_s;
    dst->bytes_per_s = dst->bytes_per_s ? dst->bytes_per_s : from->bytes_per_s;
}

static void complete_all(struct host_table *table)
{
    const struct entry *any = find_exact(table, "*", 0);
    for (size_t i = 0; i < table->count; i++) {
        struct entry *entry = table->entries[i];
        const struct entry *host = entry->port ? find_exact(table, entry->host, 0) : NULL;
        entry->counts = entry->written;
        if (host)
            complete(&entry->counts, &host->written);
        if (any)
            complete(&entry->counts, &any->written);
        if (!entry->counts.max_connections)
            entry->counts.max_connections = HOST_CONNECTIONS_DEFAULT;
    }
}

struct host_table *host_table_new(void)
{
    struct host_table *table = mem_new(struct host_table);
    host_table_add(table, &(struct host_settings){.name = mem_strdup("*")});
    return table;
}

void host_table_free(struct host_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->count; i++) {
        settings_clear(&table->entries[i]->written);
        free(table->entries[i]->host);
        free(table->entries[i]);
    }
    free(table->entries);
    free(table);
}

void host_table_add(struct host_table *table, struct host_settings *settings)
{
    struct entry *entry = entry_for(table, settings->name);
    take_over(&entry->written, settings);
    settings_clear(settings);
    complete_all(table);
}

const struct host_settings *host_table_get(const struct host_table *table, const char *host, int port)
{
    AUTO_FREE char *name = mem_strdup(host);
    str_lower(name);
    const struct entry *entry = find_exact(table, name, port);
    if (!entry)
        entry = find_exact(table, name, 0);
    if (!entry)
        entry = find_exact(table, "*", 0);
    return &entry->counts;
}

// Of the entry itself: certificates for just this host are of use with TLS only.
static bool has_certificates(const struct entry *entry)
{
    return entry && (entry->written.ca_file || entry->written.ca_pem || entry->written.client_cert);
}

const char *host_table_scheme(const struct host_table *table, const char *registry)
{
    AUTO_FREE char *host = NULL;
    int port;
    split_name(registry, &host, &port);
    // Without a port the entry for the scheme's own port may be meant: [host NAME:80] says http, too.
    bool plain = host_table_get(table, host, port ? port : 80)->plain_http;
    bool loopback = url_is_loopback_name(host) && !has_certificates(find_exact(table, host, port)) &&
                    !has_certificates(find_exact(table, host, 0));
    return plain || loopback ? "http" : "https";
}
