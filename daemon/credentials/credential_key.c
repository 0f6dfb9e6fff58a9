// SPDX-License-Identifier: Apache-2.0
//
// Keys of credential files and of a job's `auth`. A match that is too wide hands a password to a look-alike
// host, so nothing here compares substrings.
#include "credentials/credential_key.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

enum { KEY_MAX = 1024 };

const char *credential_key_host(const char *registry)
{
    static const char *const hub[] = {"docker.io", "index.docker.io", "registry-1.docker.io",
                                      "registry.hub.docker.com"};
    for (size_t i = 0; i < sizeof hub / sizeof *hub; i++)
        if (str_equal_case(registry, hub[i]))
            return hub[0];
    return registry;
}

const char *credential_key_server(const char *registry)
{
    const char *host = credential_key_host(registry);
    return str_equal(host, "docker.io") ? "https://index.docker.io/v1/" : host;
}

static bool host_valid(const char *host)
{
    for (const char *c = host; *c; c++)
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789.-_:[]", *c))
            return false;
    return *host != '\0' && *host != '.' && *host != '-' && *host != ':';
}

static char *trimmed_path(const char *path)
{
    while (*path == '/')
        path++;
    size_t len = strlen(path);
    while (len && path[len - 1] == '/')
        len--;
    return mem_strndup(path, len);
}

bool credential_key_parse(struct credential_key *ret, const char *text)
{
    *ret = (struct credential_key){0};
    if (strlen(text) > KEY_MAX)
        return false;
    bool schemed = true;
    if (strncasecmp(text, "https://", 8) == 0)
        text += 8;
    else if (strncasecmp(text, "http://", 7) == 0)
        text += 7;
    else
        schemed = false;
    size_t host_len = strcspn(text, "/");
    AUTO_FREE char *host = mem_strndup(text, host_len);
    str_lower(host);
    if (!host_valid(host))
        return false;
    ret->host = mem_strdup(credential_key_host(host));
    // A key with a scheme is docker's URL of an API endpoint; its path ("/v1/") names no repositories.
    ret->path = trimmed_path(schemed ? "" : text + host_len);
    if (str_equal(ret->path, "v1") || str_equal(ret->path, "v2"))
        ret->path[0] = '\0';
    return true;
}

void credential_key_clear(struct credential_key *key)
{
    free(key->host);
    free(key->path);
    *key = (struct credential_key){0};
}

size_t credential_key_match(const struct credential_key *key, const char *registry, const char *repository)
{
    if (!str_equal_case(key->host, credential_key_host(registry)))
        return 0;
    size_t len = strlen(key->path);
    if (!len)
        return 1;
    if (!repository || strncmp(repository, key->path, len) != 0)
        return 0;
    return repository[len] == '\0' || repository[len] == '/' ? 1 + len : 0;
}
