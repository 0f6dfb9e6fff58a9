// SPDX-License-Identifier: Apache-2.0
//
// URLs as data: RFC 3986 parsing and resolution for http and https. Called by everyone who talks to a
// registry. What must hold: a struct url has exactly one reading – the host is in canonical spelling – so
// that a rule decided on it and the connection made from it cannot disagree, and path and query are the bytes
// that were given.
#include "net/url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"

enum { URL_BYTES_MAX = 16 << 10, HOST_BYTES_MAX = 253, LABEL_BYTES_MAX = 63 };

static int refuse(struct error *err, const char *text, const char *why)
{
    AUTO_FREE char *shown = str_url_for_log(text);
    return error_set(err, ERR_REGISTRY_PROTOCOL, "the URL %s %s", shown, why);
}

// Control characters have no place in a URL and would split a request; blanks are the one thing that is
// encoded.
static char *clean_copy(const char *text, struct error *err)
{
    struct strbuf clean = STRBUF_INIT(3 * URL_BYTES_MAX);
    if (strlen(text) > URL_BYTES_MAX) {
        error_set(err, ERR_REGISTRY_PROTOCOL, "a URL is longer than %d bytes", URL_BYTES_MAX);
        return NULL;
    }
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (c < 0x20 || c == 0x7f) {
            refuse(err, text, "contains a control character");
            strbuf_free(&clean);
            return NULL;
        }
        if (c == ' ')
            strbuf_puts(&clean, "%20");
        else
            strbuf_putc(&clean, *p);
    }
    return strbuf_take(&clean);
}

static bool label_char(char c)
{
    return isalnum((unsigned char)c) || c == '-' || c == '_';
}

// inet_aton(3) and resolvers take 127.1, 0177.0.0.1, 0x7f000001 …: whatever ends in a number is an address to
// them.
static bool ends_in_number(const char *host)
{
    const char *label = strrchr(host, '.');
    label = label ? label + 1 : host;
    if (label[0] == '0' && (label[1] == 'x' || label[1] == 'X'))
        return strspn(label + 2, "0123456789abcdefABCDEF") == strlen(label + 2);
    return strspn(label, "0123456789") == strlen(label);
}

static bool canonical_ipv4(const char *host)
{
    struct in_addr address;
    char text[INET_ADDRSTRLEN];
    return inet_pton(AF_INET, host, &address) == 1 &&
           strcmp(inet_ntop(AF_INET, &address, text, sizeof text), host) == 0;
}

static bool name_valid(const char *host)
{
    size_t label = 0;
    for (const char *p = host; *p; p++) {
        if (*p == '.' ? label == 0 : !label_char(*p))
            return false;
        label = *p == '.' ? 0 : label + 1;
        if (label > LABEL_BYTES_MAX)
            return false;
    }
    return label > 0 && (!ends_in_number(host) || canonical_ipv4(host));
}

// Lower case; the one trailing dot of an absolute name is dropped, so that "localhost." is "localhost".
static char *parse_name(const char *text, size_t len)
{
    if (len > 1 && text[len - 1] == '.')
        len--;
    if (len == 0 || len > HOST_BYTES_MAX)
        return NULL;
    char *host = mem_strndup(text, len);
    str_lower(host);
    if (strlen(host) == len && name_valid(host))
        return host;
    free(host);
    return NULL;
}

static char *parse_ipv6(const char *text, size_t len)
{
    char spelled[INET6_ADDRSTRLEN], canonical[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (len >= sizeof spelled)
        return NULL;
    memcpy(spelled, text, len);
    spelled[len] = '\0';
    if (inet_pton(AF_INET6, spelled, &address) != 1)
        return NULL;
    inet_ntop(AF_INET6, &address, canonical, sizeof canonical);
    return mem_strdup(canonical);
}

static bool parse_port(const char *text, size_t len, int fallback, int *ret)
{
    char digits[6];
    int64_t port = fallback;
    if (len >= sizeof digits)
        return false;
    memcpy(digits, text, len);
    digits[len] = '\0';
    if (len > 0 && !str_to_int64(digits, 1, 65535, &port))
        return false;
    *ret = (int)port;
    return true;
}

static const char *parse_authority(struct url *url, const char *text, size_t len)
{
    int fallback = strcmp(url->scheme, "https") == 0 ? 443 : 80;
    const char *end = text + len, *port;
    if (memchr(text, '@', len))
        return "carries a user name, which is not allowed here";
    if (len > 0 && text[0] == '[') {
        const char *bracket = memchr(text, ']', len);
        if (!bracket)
            return "has an unfinished IPv6 address";
        url->host = parse_ipv6(text + 1, (size_t)(bracket - text - 1));
        port = bracket + 1;
    } else {
        const char *colon = memchr(text, ':', len);
        port = colon ? colon : end;
        url->host = parse_name(text, (size_t)(port - text));
    }
    if (!url->host)
        return "has no valid host name";
    if (port < end && *port++ != ':')
        return "has no valid host name";
    if (!parse_port(port, (size_t)(end - port), fallback, &url->port))
        return "has no valid port";
    return NULL;
}

static void parse_path(struct url *url, const char *text)
{
    size_t path = strcspn(text, "?#");
    url->path = path == 0 ? mem_strdup("/") : mem_strndup(text, path);
    if (text[path] == '?')
        url->query = mem_strndup(text + path + 1, strcspn(text + path + 1, "#"));
}

static const char *parse_clean(struct url *url, const char *text)
{
    size_t scheme = strcspn(text, ":/?#");
    if (strncmp(text + scheme, "://", 3) != 0)
        return "is not an absolute http or https URL";
    url->scheme = mem_strndup(text, scheme);
    str_lower(url->scheme);
    if (strcmp(url->scheme, "https") != 0 && strcmp(url->scheme, "http") != 0)
        return "is neither http nor https";
    text += scheme + 3;
    size_t authority = strcspn(text, "/?#");
    const char *why = parse_authority(url, text, authority);
    if (!why)
        parse_path(url, text + authority);
    return why;
}

int url_parse(struct url *ret, const char *text, struct error *err)
{
    struct url url = {0};
    AUTO_FREE char *clean = clean_copy(text, err);
    if (!clean)
        return -1;
    const char *why = parse_clean(&url, clean);
    if (why) {
        url_clear(&url);
        return refuse(err, clean, why);
    }
    *ret = url;
    return 0;
}

// RFC 3986 section 5.2.4, on a path that begins with '/'.
static void remove_dot_segments(char *path)
{
    char *out = path;
    for (const char *in = path; *in;) {
        size_t segment = 1 + strcspn(in + 1, "/");
        bool last = in[segment] == '\0';
        bool dot = segment == 2 && in[1] == '.';
        bool dots = segment == 3 && in[1] == '.' && in[2] == '.';
        if (dots)
            while (out > path && *--out != '/')
                ;
        if (!dot && !dots) {
            memmove(out, in, segment);
            out += segment;
        } else if (last) {
            *out++ = '/';
        }
        in += segment;
    }
    if (out == path)
        *out++ = '/';
    *out = '\0';
}

static bool has_scheme(const char *reference)
{
    size_t scheme = strcspn(reference, ":/?#");
    return reference[scheme] == ':' && isalpha((unsigned char)reference[0]);
}

// The path of a relative reference, merged with the directory of the base (RFC 3986 section 5.2.3).
static char *merge_path(const struct url *base, const char *reference)
{
    size_t len = strcspn(reference, "?#");
    if (len == 0)
        return mem_strdup(base->path);
    size_t directory = reference[0] == '/' ? 0 : (size_t)(strrchr(base->path, '/') - base->path) + 1;
    char *path = mem_printf("%.*s%.*s", (int)directory, base->path, (int)len, reference);
    remove_dot_segments(path);
    return path;
}

int url_resolve(struct url *ret, const struct url *base, const char *reference, struct error *err)
{
    AUTO_FREE char *clean = clean_copy(reference, err);
    if (!clean)
        return -1;
    if (has_scheme(clean))
        return url_parse(ret, clean, err);
    if (str_starts(clean, "//")) {
        AUTO_FREE char *absolute = mem_printf("%s:%s", base->scheme, clean);
        return url_parse(ret, absolute, err);
    }
    struct url url = {.scheme = mem_strdup(base->scheme), .host = mem_strdup(base->host), .port = base->port};
    url.path = merge_path(base, clean);
    size_t path = strcspn(clean, "?#");
    if (clean[path] == '?')
        url.query = mem_strndup(clean + path + 1, strcspn(clean + path + 1, "#"));
    else if (path == 0)
        url.query = mem_strdup_null(base->query);
    *ret = url;
    return 0;
}

static bool default_port(const struct url *url)
{
    return url->port == (strcmp(url->scheme, "https") == 0 ? 443 : 80);
}

static char *format(const struct url *url, bool port, const char *tail, const char *query)
{
    bool v6 = strchr(url->host, ':');
    char digits[16] = "";
    if (port)
        snprintf(digits, sizeof digits, ":%d", url->port);
    return mem_printf("%s://%s%s%s%s%s%s%s", url->scheme, v6 ? "[" : "", url->host, v6 ? "]" : "", digits,
                      tail, query ? "?" : "", query ? query : "");
}

char *url_format(const struct url *url)
{
    return format(url, !default_port(url), url->path, url->query);
}

char *url_origin(const struct url *url)
{
    return format(url, true, "", NULL);
}

bool url_same_origin(const struct url *a, const struct url *b)
{
    return a->port == b->port && strcmp(a->scheme, b->scheme) == 0 && strcmp(a->host, b->host) == 0;
}

void url_copy(struct url *dst, const struct url *src)
{
    *dst = (struct url){.scheme = mem_strdup_null(src->scheme),
                        .host = mem_strdup_null(src->host),
                        .port = src->port,
                        .path = mem_strdup_null(src->path),
                        .query = mem_strdup_null(src->query)};
}

void url_clear(struct url *url)
{
    free(url->scheme);
    free(url->host);
    free(url->path);
    free(url->query);
    *url = (struct url){0};
}

void url_add_query(struct url *url, const char *name, const char *value)
{
    struct strbuf query = STRBUF_INIT(4 * URL_BYTES_MAX);
    if (url->query && url->query[0])
        strbuf_printf(&query, "%s&", url->query);
    strbuf_printf(&query, "%s=", name);
    strbuf_put_escaped(&query, value, "");
    free(url->query);
    url->query = strbuf_take(&query);
}
