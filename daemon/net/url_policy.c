// SPDX-License-Identifier: Apache-2.0
//
// The URL policy: where a server may send us. Every server-given URL passes url_policy_check before it is
// used; who connects checks the address behind the name again (transport), because names can lie. What must
// hold: credentials never leave scheme + host + port, https never becomes http.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "net/host.h"
#include "net/url.h"

static bool is_https(const struct url *url)
{
    return strcmp(url->scheme, "https") == 0;
}

static const char *kind_name(enum url_kind kind)
{
    static const char *const names[] = {
        [URL_REDIRECT] = "redirect",
        [URL_REDIRECT_BODY] = "redirect of a request with a body",
        [URL_UPLOAD_LOCATION] = "upload Location",
        [URL_TOKEN_REALM] = "token realm",
        [URL_LINK] = "Link",
        [URL_FOREIGN_LAYER] = "foreign layer URL",
    };
    return names[kind];
}

static int refuse(struct error *err, const struct url *origin, const struct url *target, enum url_kind kind,
                  const char *why)
{
    AUTO_FREE char *full = url_format(target), *shown = str_url_for_log(full);
    return error_set(err, ERR_REGISTRY_PROTOCOL, "the %s that %s gave leads to %s, which is refused: %s",
                     kind_name(kind), origin->host, shown, why);
}

static void set_scheme(struct url *url, const char *scheme, int port)
{
    free(url->scheme);
    url->scheme = mem_strdup(scheme);
    url->port = port;
}

// A registry behind a TLS proxy does not know that it is reached by https, nor by which port: what names the
// same host is led back to where we came from. Nothing can leak by that: the origin is the one place that may
// have it all.
static void heal_same_host(const struct url *origin, struct url *target, enum url_kind kind)
{
    if (strcmp(origin->host, target->host) != 0)
        return;
    if (is_https(origin) && !is_https(target))
        set_scheme(target, "https", target->port == 80 ? origin->port : target->port);
    bool dropped = target->port == (is_https(target) ? 443 : 80);
    if (kind == URL_UPLOAD_LOCATION && dropped && strcmp(origin->scheme, target->scheme) == 0)
        target->port = origin->port;
}

static bool both_loopback(const struct url *origin, const struct url *target)
{
    return url_is_loopback_name(origin->host) && url_is_loopback_name(target->host);
}

static bool plain_http_allowed(const struct url *origin, const struct url *target, enum url_kind kind,
                               const struct host_settings *settings)
{
    if (settings->plain_http)
        return kind == URL_FOREIGN_LAYER || !is_https(origin);
    if (is_https(origin) || kind == URL_FOREIGN_LAYER)
        return false;
    // A plain-http registry may redirect by plain http (an object store beside it); passwords and uploads may
    // not.
    return kind == URL_REDIRECT || both_loopback(origin, target);
}

static int check_elsewhere(const struct url *origin, const struct url *target, enum url_kind kind,
                           const struct host_settings *settings, struct url_verdict *ret, struct error *err)
{
    if (kind == URL_REDIRECT_BODY || kind == URL_LINK)
        return refuse(err, origin, target, kind, "it must stay within scheme, host and port of the registry");
    if (!is_https(target) && !plain_http_allowed(origin, target, kind, settings))
        return refuse(err, origin, target, kind, "plain http is not allowed there");
    ret->private_allowed = settings->private_ok || both_loopback(origin, target);
    return 0;
}

int url_policy_check(const struct url *origin, struct url *target, enum url_kind kind,
                     const struct host_table *hosts, struct url_verdict *ret, struct error *err)
{
    *ret = (struct url_verdict){0};
    heal_same_host(origin, target, kind);
    if (url_same_origin(origin, target)) {
        ret->credentials = ret->private_allowed = kind != URL_FOREIGN_LAYER;
        return 0;
    }
    return check_elsewhere(origin, target, kind, host_table_get(hosts, target->host, target->port), ret, err);
}
