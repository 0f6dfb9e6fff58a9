// SPDX-License-Identifier: Apache-2.0
//
// The rules of the door, one function each, called in order for the head of every request before it is
// routed. What must hold: nothing here depends on the path's meaning, nothing here has a side effect, and
// what passes has exactly one reading of its framing, target and host.
#include "http/guard.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

// Fields that decide something and therefore may stand once only.
static const char *const single_fields[] = {
    "Host",    "Content-Length", "Transfer-Encoding", "Content-Type", "Authorization", "Origin",
    "Referer", "Sec-Fetch-Site", "Idempotency-Key",   "Prefer",       "Last-Event-ID", "X-Request-Id",
};

const char *guard_field(const struct http_field *fields, size_t n_fields, const char *name)
{
    for (size_t i = 0; i < n_fields; i++)
        if (str_equal_case(fields[i].name, name))
            return fields[i].value;
    return NULL;
}

static const char *field(const struct guard_head *head, const char *name)
{
    return guard_field(head->fields, head->n_fields, name);
}

static size_t count_fields(const struct guard_head *head, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < head->n_fields; i++)
        count += str_equal_case(head->fields[i].name, name);
    return count;
}

// RFC 9110 section 5.6.2.
static bool is_token(const char *text)
{
    static const char letters[] =
        "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    return *text && text[strspn(text, letters)] == '\0';
}

static bool has_control(const char *text)
{
    for (; *text; text++)
        if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f)
            return true;
    return false;
}

static int check_limits(const struct guard_head *head, struct error *err)
{
    if (head->head_bytes > GUARD_HEAD_BYTES_MAX)
        return error_set(err, ERR_TOO_LARGE, "The request's head has %zu bytes; the limit is %d",
                         head->head_bytes, GUARD_HEAD_BYTES_MAX);
    if (head->n_fields > GUARD_FIELDS_MAX)
        return error_set(err, ERR_TOO_LARGE, "The request has more than %d header fields", GUARD_FIELDS_MAX);
    if (strlen(head->target) > GUARD_TARGET_MAX)
        return error_set(err, ERR_TOO_LARGE, "The request target is longer than %d bytes", GUARD_TARGET_MAX);
    return 0;
}

static int check_version(const struct guard_head *head, struct error *err)
{
    if (strcmp(head->version, "HTTP/1.1") == 0)
        return 0;
    return error_set(err, ERR_INVALID_REQUEST, "HTTP/1.1 is spoken here, nothing else");
}

static int check_fields(const struct guard_head *head, struct error *err)
{
    for (size_t i = 0; i < head->n_fields; i++) {
        if (!is_token(head->fields[i].name))
            return error_set(err, ERR_INVALID_REQUEST, "A header field has a name that is not a token");
        if (has_control(head->fields[i].value))
            return error_set(err, ERR_INVALID_REQUEST, "Header field %s contains control characters",
                             head->fields[i].name);
    }
    for (size_t i = 0; i < sizeof(single_fields) / sizeof(*single_fields); i++)
        if (count_fields(head, single_fields[i]) > 1)
            return error_set(err, ERR_INVALID_REQUEST, "Header field %s stands more than once",
                             single_fields[i]);
    return 0;
}

// The parser in front of us drops what follows a NUL, mixes up folded lines and takes a bare line feed for a
// line end. Each changes the size of the head against what its parts add up to: a field costs its name, a
// colon, at most one blank, its value and a line end of two bytes.
static int check_size_adds_up(const struct guard_head *head, struct error *err)
{
    size_t sum = strlen(head->method) + strlen(head->target) + strlen(head->version) + 2 + 2 + 2;
    for (size_t i = 0; i < head->n_fields; i++)
        sum += strlen(head->fields[i].name) + 1 + strlen(head->fields[i].value) + 2;
    if (head->blanks <= head->n_fields && head->head_bytes == sum + head->blanks)
        return 0;
    return error_set(
        err, ERR_INVALID_REQUEST,
        "The request's head contains NUL bytes, bare line feeds, folded lines or surplus white space");
}

static int check_target(const struct guard_head *head, struct error *err)
{
    const char *target = head->target;
    if (target[0] != '/' || target[1] == '/')
        return error_set(err, ERR_INVALID_REQUEST,
                         "The request target must be a path and query that begins with one '/'");
    const char *query = strchr(target, '?');
    size_t path_len = query ? (size_t)(query - target) : strlen(target);
    for (size_t i = 0; i < path_len; i++)
        if (target[i] == '%' || target[i] == '\\' || target[i] == ';')
            return error_set(err, ERR_INVALID_REQUEST, "Paths here contain no '%%', '\\' or ';'");
    for (const char *at = target; *at; at++)
        if ((unsigned char)*at <= 0x20 || (unsigned char)*at >= 0x7f || *at == '#')
            return error_set(err, ERR_INVALID_REQUEST,
                             "The request target contains a character that must be percent-encoded");
    return 0;
}

static bool all_digits(const char *text)
{
    return *text && text[strspn(text, "0123456789")] == '\0';
}

static int check_framing(const struct guard_head *head, struct error *err)
{
    const char *coding = field(head, "Transfer-Encoding");
    const char *length = field(head, "Content-Length");
    int64_t ignored;
    if (coding && length)
        return error_set(err, ERR_INVALID_REQUEST,
                         "Content-Length and Transfer-Encoding contradict each other");
    if (coding && !str_equal_case(coding, "chunked"))
        return error_set(err, ERR_INVALID_REQUEST,
                         "Transfer-Encoding other than \"chunked\" is not supported");
    if (length && (!all_digits(length) || !str_to_int64(length, 0, INT64_MAX, &ignored)))
        return error_set(err, ERR_INVALID_REQUEST, "Content-Length is not a number");
    return 0;
}

// `host` is exactly `name`, or `name:port`.
static bool host_is(const char *host, const char *name, const char *port)
{
    size_t len = strlen(name);
    if (strncmp(host, name, len) != 0)
        return false;
    return port ? host[len] == ':' && strcmp(host + len + 1, port) == 0 : host[len] == '\0';
}

static bool host_is_loopback_name(const struct guard_head *head, const char *host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    AUTO_FREE char *port = head->unix_socket ? NULL : mem_printf("%u", head->port);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (port && host_is(host, names[i], port))
            return true;
        // Without a port: the default one, which a unix socket has no better than.
        if ((head->unix_socket || head->port == 80) && host_is(host, names[i], NULL))
            return true;
    }
    return false;
}

static bool host_is_configured(const struct guard *guard, const struct guard_head *head, const char *host)
{
    AUTO_FREE char *port = mem_printf("%u", head->port);
    for (const char *const *name = guard->hosts; name && *name; name++)
        if (host_is(host, *name, NULL) || (!head->unix_socket && host_is(host, *name, port)))
            return true;
    return false;
}

static int check_host(const struct guard *guard, const struct guard_head *head, struct error *err)
{
    const char *host = field(head, "Host");
    if (!host)
        return error_set(err, ERR_INVALID_REQUEST, "Exactly one Host header field is needed");
    if (host_is_loopback_name(head, host) || host_is_configured(guard, head, host))
        return 0;
    AUTO_FREE char *quoted = str_quote(host, 64);
    error_set(err, ERR_MISDIRECTED, "Host \"%s\" does not name this daemon", quoted);
    if (head->unix_socket)
        error_hint(err, "Ask for http://localhost/ over the socket");
    else
        error_hint(err, "Ask for http://127.0.0.1:%u/", head->port);
    return -1;
}

static bool path_matches(const char *pattern, const char *target, size_t path_len)
{
    size_t len = strlen(pattern);
    if (len > 0 && pattern[len - 1] == '*')
        return path_len >= len - 1 && strncmp(pattern, target, len - 1) == 0;
    return path_len == len && strncmp(pattern, target, len) == 0;
}

bool guard_page_may_ask(const struct guard *guard, const char *method, const char *target)
{
    size_t path_len = strcspn(target, "?");
    if (strcmp(method, "GET") != 0)
        return false;
    for (const char *const *pattern = guard->page_paths; pattern && *pattern; pattern++)
        if (path_matches(*pattern, target, path_len))
            return true;
    return false;
}

// "http://HOST" and then the end (Origin) or a path (Referer), where HOST is what this request itself asked
// for.
static bool is_own_origin(const char *value, const char *host, bool with_path)
{
    size_t len = strlen(host);
    if (!str_starts(value, "http://") || strncmp(value + 7, host, len) != 0)
        return false;
    return value[7 + len] == '\0' || (with_path && value[7 + len] == '/');
}

// What a browser sends along tells who asks. Pages of others get nothing; our own page may read what it
// shows.
static int check_origin(const struct guard *guard, const struct guard_head *head, struct error *err)
{
    const char *host = field(head, "Host");
    const char *origin = field(head, "Origin");
    const char *referer = field(head, "Referer");
    const char *site = field(head, "Sec-Fetch-Site");
    if (site && strcmp(site, "none") == 0 && !origin && !referer)
        return 0; // typed by a person
    if (!origin && !referer && !site)
        return 0; // not a browser
    bool own = (!origin || is_own_origin(origin, host, false)) &&
               (!referer || is_own_origin(referer, host, true)) &&
               (!site || strcmp(site, "same-origin") == 0 || strcmp(site, "none") == 0);
    if (own && guard_page_may_ask(guard, head->method, head->target))
        return 0;
    error_set(err, ERR_FORBIDDEN_ORIGIN, "The request comes from a web page, as its %s header field tells",
              origin    ? "Origin"
              : referer ? "Referer"
                        : "Sec-Fetch-Site");
    error_hint(err, "Browsers may only open the status page at /; programs must not send this field");
    return -1;
}

int guard_check(const struct guard *guard, const struct guard_head *head, struct error *err)
{
    if (check_limits(head, err) != 0 || check_version(head, err) != 0 || check_fields(head, err) != 0 ||
        check_size_adds_up(head, err) != 0 || check_target(head, err) != 0 || check_framing(head, err) != 0 ||
        check_host(guard, head, err) != 0)
        return -1;
    return check_origin(guard, head, err);
}

int64_t guard_content_length(const struct http_field *fields, size_t n_fields)
{
    const char *length = guard_field(fields, n_fields, "Content-Length");
    int64_t value = 0;
    if (guard_field(fields, n_fields, "Transfer-Encoding"))
        return -1;
    if (length)
        str_to_int64(length, 0, INT64_MAX, &value);
    return value;
}
