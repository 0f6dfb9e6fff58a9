// SPDX-License-Identifier: Apache-2.0
//
// Matches a raw path against the route table, segment by segment. Called once per request, after the guard
// (which has refused percent signs, so the bytes compared are the bytes meant). The table is small: a linear
// walk.
#include "http/router.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"

static size_t segment_len(const char *path)
{
    return strcspn(path, "/");
}

static bool is_param(const char *segment, size_t len)
{
    return len >= 2 && segment[0] == '{' && segment[len - 1] == '}';
}

// An empty segment matches no parameter, so "/v1/jobs/" is not "/v1/jobs/{id}".
static bool path_matches(const char *pattern, const char *path)
{
    for (;;) {
        size_t want = segment_len(pattern), have = segment_len(path);
        if (is_param(pattern, want) ? have == 0 : (want != have || memcmp(pattern, path, want) != 0))
            return false;
        pattern += want;
        path += have;
        if (*pattern == '\0' || *path == '\0')
            return *pattern == *path;
        pattern++;
        path++;
    }
}

static char *allowed_methods(const struct route *routes, const char *path)
{
    struct strbuf methods = STRBUF_INIT(256);
    for (const struct route *route = routes; route->method; route++)
        if (path_matches(route->path, path))
            strbuf_printf(&methods, "%s%s", methods.len ? ", " : "", route->method);
    return strbuf_take(&methods);
}

const struct route *router_find(const struct route *routes, const char *method, const char *path,
                                char **ret_allow, struct error *err)
{
    bool path_known = false;
    *ret_allow = NULL;
    for (const struct route *route = routes; route->method; route++) {
        if (!path_matches(route->path, path))
            continue;
        if (strcmp(route->method, method) == 0)
            return route;
        path_known = true;
    }
    AUTO_FREE char *quoted = str_quote(path, 128);
    if (!path_known) {
        error_set(err, ERR_NOT_FOUND, "There is no resource at %s", quoted);
        error_hint(err, "GET / lists what there is");
        return NULL;
    }
    *ret_allow = allowed_methods(routes, path);
    AUTO_FREE char *quoted_method = str_quote(method, 16);
    error_set(err, ERR_METHOD_NOT_ALLOWED, "%s is not allowed on %s; allowed: %s", quoted_method, quoted,
              *ret_allow);
    return NULL;
}
