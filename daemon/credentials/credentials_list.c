// SPDX-License-Identifier: Apache-2.0
//
// GET /v1/credentials: what the daemon could use for whom, and which tokens it holds. Built from keys, names
// and times; the secrets are not touched.
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "credentials/credentials_room.h"

static json_t *row(const char *registry, const char *source, const char *kind, const char *username)
{
    return json_pack("{s:s, s:s, s:s, s:s?, s:[]}", "registry", registry, "source", source, "kind", kind,
                     "username", username, "tokens");
}

static void add_source(void *arg, const struct credential_key *key, const struct docker_config_match *match)
{
    AUTO_FREE char *registry = mem_printf("%s%s%s", key->host, *key->path ? "/" : "", key->path);
    const struct credential *credential = match->credential;
    AUTO_FREE char *helper = match->helper ? mem_printf("helper %s", match->helper) : NULL;
    if (credential)
        json_array_append_new(arg, row(registry, credential->source, credential_kind_name(credential->kind),
                                       credential->username));
    else
        json_array_append_new(
            arg, row(registry, helper ? helper : "configuration", helper ? "helper" : "broken", NULL));
}

// "https://host:port" as people name the registry.
static char *registry_of(const char *origin, size_t len)
{
    AUTO_FREE char *text = mem_strndup(origin, len);
    const char *host = strstr(text, "://");
    host = host ? host + 3 : text;
    if (str_starts(text, "https://") && str_ends(text, ":443"))
        return mem_strndup(host, strlen(host) - 4);
    return mem_strdup(host);
}

static json_t *row_for(json_t *rows, const char *registry)
{
    size_t i;
    json_t *candidate;
    json_array_foreach(rows, i, candidate)
    {
        const char *name = json_get_string(candidate, "registry");
        size_t host_len = strcspn(name, "/");
        AUTO_FREE char *host = mem_strndup(name, host_len);
        if (str_equal(credential_key_host(registry), host))
            return candidate;
    }
    json_t *fresh = row(credential_key_host(registry), "job or anonymous", "token", NULL);
    json_array_append_new(rows, fresh);
    return fresh;
}

// Keys are "origin realm service identity scope…"; only the last part and the first are shown.
static void add_token(void *arg, const char *key, const void *value, int64_t expires_ms)
{
    (void)value;
    AUTO_FREE char *registry = registry_of(key, strcspn(key, " "));
    const char *scope = key;
    for (int i = 0; i < 4 && *scope; i++) {
        scope += strcspn(scope, " ");
        scope += *scope == ' ';
    }
    char expires[CLOCK_TEXT_MAX];
    clock_format_s((clock_wall_ms() + expires_ms - clock_ms()) / 1000, expires);
    AUTO_FREE char *quoted = str_quote(scope, 512);
    json_array_append_new(json_object_get(row_for(arg, registry), "tokens"),
                          json_pack("{s:s, s:s}", "scope", quoted, "expires_at", expires));
}

json_t *credentials_list(struct credentials *credentials)
{
    json_t *rows = json_array();
    sources_each(credentials->sources, add_source, rows);
    single_flight_each(credentials->tokens, add_token, rows);
    return rows;
}
