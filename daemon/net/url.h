// SPDX-License-Identifier: Apache-2.0
//
// URLs as data, and the one policy that every server-given URL passes (redirect, Location, token realm, Link,
// foreign layer). RFC 3986. The bytes of path and query are kept exactly as given: re-encoding breaks signed
// URLs. Pure; any thread.
#pragma once

#include <stdbool.h>

#include "base/error.h"

struct url {
    char *scheme; // "http" or "https", lower case
    char *host;   // lower case, without brackets; ≤ 253 bytes
    int port;     // filled with the default
    char *path;   // begins with '/', as given
    char *query;  // without '?', as given; NULL if none
};

// Absolute http(s) URLs only; userinfo is refused; a fragment is dropped. A host is a DNS name or an address
// in its one canonical spelling: the other spellings that resolvers accept (127.1, 0x7f.1, 2130706433 …),
// percent-encoded and non-ASCII names are refused. ERR_REGISTRY_PROTOCOL.
int url_parse(struct url *ret, const char *text, struct error *err);
// Resolves a reference (relative, absolute path, scheme-less, absolute) against base, RFC 3986 section 5.2.
int url_resolve(struct url *ret, const struct url *base, const char *reference, struct error *err);
char *url_format(const struct url *url);                        // caller frees
char *url_origin(const struct url *url);                        // "https://host:port"; caller frees
bool url_same_origin(const struct url *a, const struct url *b); // scheme, host and port
void url_copy(struct url *dst, const struct url *src);
void url_clear(struct url *url);
// Adds "name=value" (value percent-encoded) with '?' or '&'.
void url_add_query(struct url *url, const char *name, const char *value);
bool url_is_loopback_name(
    const char *host); // literal "localhost", "*.localhost", 127.0.0.0/8 dotted quad, "::1"

// What the server-given URL is for.
enum url_kind {
    URL_REDIRECT,        // of a request without body
    URL_REDIRECT_BODY,   // of a request with a body: same origin only
    URL_UPLOAD_LOCATION, // same origin, or https elsewhere without credentials
    URL_TOKEN_REALM,     // same origin, or https at a public address
    URL_LINK,            // same origin only
    URL_FOREIGN_LAYER,   // https (http only if the operator lists the host), never credentials
};

struct host_table;

struct url_verdict {
    bool credentials;     // may the credentials of `origin` be sent there? Only ever within one origin
    bool private_allowed; // may the connected address be loopback, private, link-local …?
};

// May a request that began at `origin` go to `target`? Same host by http where origin is https: target is
// upgraded in place (registries behind a TLS proxy write http Locations); a Location that dropped the
// explicit port gets it back. https ▸ http elsewhere, other schemes and userinfo are refused.
// ERR_REGISTRY_PROTOCOL says which rule.
int url_policy_check(const struct url *origin, struct url *target, enum url_kind kind,
                     const struct host_table *hosts, struct url_verdict *ret, struct error *err);

// The class of a connected address, checked at connect time by transport (names can lie, addresses cannot).
enum address_class { ADDRESS_PUBLIC, ADDRESS_LOOPBACK, ADDRESS_PRIVATE, ADDRESS_LINK_LOCAL, ADDRESS_SPECIAL };
struct sockaddr;
enum address_class
url_address_class(const struct sockaddr *address); // sees through mapped IPv6, NAT64 and 6to4
// The class of a host that is an address or a literal loopback name; ADDRESS_PUBLIC for every other name.
enum address_class url_host_class(const char *host);
const char *url_address_class_name(enum address_class class); // "private", for texts
