// SPDX-License-Identifier: Apache-2.0
//
// Pages of listings. A hostile server can send pages for ever, or the same ones in a circle, or name another
// host: each has an end here.
#include "registry/registry_pages.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/table.h"

static const struct json_limits page_limits = {.bytes = PAGE_BYTES_MAX, .depth = 32, .values = 200000};

// --- Link

static const char *skip(const char *at)
{
    return at + strspn(at, " \t");
}

// One parameter behind a link: true if it says rel=next.
static bool says_next(const char *parameter, size_t len)
{
    AUTO_FREE char *text = mem_strndup(parameter, len);
    str_lower(text);
    const char *at = skip(text);
    if (!str_starts(at, "rel"))
        return false;
    at = skip(at + 3);
    if (*at != '=')
        return false;
    at = skip(at + 1);
    return str_starts(at, "next") || str_starts(at, "\"next\"");
}

// The end of one link-value: the next comma outside of quotes.
static size_t parameters_len(const char *at)
{
    bool quoted = false;
    size_t len = 0;
    for (; at[len] && (quoted || at[len] != ','); len++)
        if (at[len] == '"')
            quoted = !quoted;
    return len;
}

static bool any_says_next(const char *parameters, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t one = strcspn(parameters + i, ";,");
        if (i + one > len)
            one = len - i;
        if (says_next(parameters + i, one))
            return true;
        i += one + 1;
    }
    return false;
}

static char *next_in(const char *value)
{
    for (const char *at = value; (at = strchr(at, '<'));) {
        const char *end = strchr(at, '>');
        if (!end)
            return NULL;
        size_t len = parameters_len(end + 1);
        if (any_says_next(end + 1, len) && end > at + 1)
            return mem_strndup(at + 1, (size_t)(end - at - 1));
        at = end + 1 + len;
    }
    return NULL;
}

char *registry_pages_next(const struct http_headers *headers)
{
    const char *value;
    for (size_t i = 0; (value = http_headers_next(headers, "link", &i)); i++) {
        char *next = next_in(value);
        if (next)
            return next;
    }
    return NULL;
}

// --- walking

struct walk {
    struct registry_call *call;
    struct registry_pages *pages;
    struct table *visited; // "path?query" ▸ itself
    size_t count;
    size_t bytes;
};

// False: been there.
static bool visit(struct walk *walk, const struct url *url)
{
    char *key = url_format(url);
    if (table_find(walk->visited, key)) {
        free(key);
        return false;
    }
    table_put(walk->visited, key, key);
    return true;
}

static int read_page(struct walk *walk, const struct http_answer *answer, struct error *err)
{
    struct registry_pages *pages = walk->pages;
    walk->bytes += answer->body_len;
    if (walk->bytes > PAGES_BYTES_MAX)
        return error_set(err, ERR_TOO_LARGE, "%s sends more than %d MiB for %s", walk->call->host,
                         PAGES_BYTES_MAX >> 20, pages->what);
    AUTO_JSON json_t *root = json_parse(answer->body, answer->body_len, &page_limits, err);
    if (!root) {
        err->code = err->code == ERR_TOO_LARGE ? ERR_TOO_LARGE : ERR_REGISTRY_PROTOCOL;
        return error_wrap(err, "%s of %s cannot be read", pages->what, walk->call->host);
    }
    pages->last_headers = &answer->headers;
    int failed = pages->page(pages->arg, root, err);
    pages->last_headers = NULL;
    return failed;
}

// 1: *ret is the next page. 0: there is none. -1.
static int next_page(struct walk *walk, const struct http_answer *answer, struct url *ret, struct error *err)
{
    AUTO_FREE char *link = registry_pages_next(&answer->headers);
    struct url_verdict verdict;
    if (!link)
        return 0;
    if (url_resolve(ret, &answer->url, link, err) < 0)
        return error_wrap(err, "The next page of %s", walk->pages->what);
    if (url_policy_check(&walk->call->base, ret, URL_LINK, walk->call->scope->registry->hosts, &verdict,
                         err) < 0)
        return error_wrap(err, "The next page of %s", walk->pages->what);
    if (!visit(walk, ret))
        return error_set(err, ERR_REGISTRY_PROTOCOL, "%s sends the pages of %s in a circle", walk->call->host,
                         walk->pages->what);
    if (++walk->count >= PAGES_MAX)
        return error_set(err, ERR_TOO_LARGE, "%s has more than %d pages of %s", walk->call->host, PAGES_MAX,
                         walk->pages->what);
    return 1;
}

static int one_page(struct walk *walk, struct http_call *http, struct http_answer *ret, struct error *err)
{
    if (walk->pages->accept)
        http_headers_add(&http->headers, "accept", walk->pages->accept);
    http->max_body = PAGE_BYTES_MAX;
    int failed = registry_call_perform(walk->call, http, ret, err);
    http_call_clear(http);
    if (failed || ret->status != 200)
        return failed;
    return read_page(walk, ret, err);
}

static int follow(struct walk *walk, struct http_answer *answer, struct error *err)
{
    struct url url = {0};
    int more;
    while ((more = next_page(walk, answer, &url, err)) > 0) {
        struct http_call http;
        registry_call_begin_url(walk->call, &http, "GET", &url, true);
        url_clear(&url);
        http_answer_clear(answer);
        *answer = (struct http_answer){0};
        if (one_page(walk, &http, answer, err) < 0)
            return -1;
        if (answer->status != 200)
            return registry_call_fail(walk->call, "GET", REGISTRY_LISTING, walk->pages->what, answer, err);
    }
    url_clear(&url);
    return more;
}

int registry_pages_read(struct registry_call *call, struct http_call *first, struct registry_pages *pages,
                        struct http_answer *ret_answer, struct error *err)
{
    struct walk walk = {.call = call, .pages = pages, .visited = table_new()};
    visit(&walk, &first->url);
    int failed = one_page(&walk, first, ret_answer, err);
    if (!failed && ret_answer->status == 200)
        failed = follow(&walk, ret_answer, err);
    size_t position = 0;
    for (void *key; (key = table_next(walk.visited, &position));)
        free(key);
    table_free(walk.visited);
    return failed;
}
