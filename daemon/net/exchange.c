// SPDX-License-Identifier: Apache-2.0
//
// One logical request: authorise, send, follow redirects, answer a challenge. Called by registry and
// credentials, and by transfer for its own ways of sending. What must hold: each request that is sent is
// built from the caller's call and the verdict on its own URL; nothing is carried over from the request
// before, and once a redirect has led away from the origin no credential is sent any more, wherever it leads
// next.
#include "net/exchange.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

enum { HOPS_MAX = 10, ROUNDS_MAX = 2 };

struct exchange_walk {
    struct exchange exchange;
    const struct http_call *call;
    struct url url; // where the next request goes
    struct url_verdict verdict;
    enum address_class origin_class;
    bool away;                  // a redirect has led to another origin
    struct authorizer *foreign; // for the origin that we were led to
    int hops, rounds;
};

// Headers that may follow to another origin: what makes the answer the right one, nothing about us or the
// registry.
static bool travels(const char *name)
{
    static const char *const names[] = {"accept", "accept-encoding", "range", "if-range"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_equal_case(names[i], name))
            return true;
    return false;
}

static void build(const struct exchange_walk *walk, struct http_call *ret)
{
    const struct http_headers *headers = &walk->call->headers;
    *ret = *walk->call;
    ret->headers = (struct http_headers){0};
    url_copy(&ret->url, &walk->url);
    ret->private_allowed = walk->verdict.private_allowed;
    ret->origin_class = walk->origin_class;
    for (size_t i = 0; i < headers->count; i++)
        if (!walk->away || travels(headers->items[i].name))
            http_headers_add(&ret->headers, headers->items[i].name, headers->items[i].value);
}

static struct authorizer *authorizer_now(const struct exchange_walk *walk)
{
    return walk->away ? walk->foreign : walk->exchange.authorizer;
}

static void end_foreign(struct exchange_walk *walk)
{
    if (walk->foreign)
        walk->exchange.authorizer->ops->foreign_free(walk->foreign);
    walk->foreign = NULL;
}

static bool is_redirect(const struct exchange_walk *walk, int status)
{
    bool plain = str_equal(walk->call->method, "GET") || str_equal(walk->call->method, "HEAD");
    if (status == 307 || status == 308)
        return true;
    return plain && (status == 301 || status == 302 || status == 303);
}

// https never becomes http, hop by hop; and the origin's rules hold for each target.
static int judge(struct exchange_walk *walk, struct url *target, struct error *err)
{
    struct url_verdict hop;
    enum url_kind kind = walk->exchange.redirect_kind;
    if (url_policy_check(&walk->url, target, kind, walk->exchange.hosts, &hop, err) != 0)
        return -1;
    return url_policy_check(&walk->call->url, target, kind, walk->exchange.hosts, &walk->verdict, err);
}

static int follow(struct exchange_walk *walk, const struct http_answer *answer, struct error *err)
{
    const char *location = http_headers_find(&answer->headers, "location");
    struct url target;
    if (!location || !location[0])
        return error_set(err, ERR_REGISTRY_PROTOCOL, "%s answered %d, a redirect, without a Location",
                         walk->url.host, answer->status);
    if (++walk->hops > HOPS_MAX)
        return error_set(err, ERR_REGISTRY_PROTOCOL, "%s redirects more than %d times", walk->call->url.host,
                         HOPS_MAX);
    if (url_resolve(&target, &walk->url, location, err) != 0)
        return error_wrap(err, "the redirect of %s", walk->url.host);
    int rc = judge(walk, &target, err);
    if (rc == 0) {
        if (!url_same_origin(&walk->url, &target))
            end_foreign(walk);
        walk->away |= !walk->verdict.credentials;
        walk->verdict.private_allowed &= !walk->verdict.credentials || walk->call->private_allowed;
        url_clear(&walk->url);
        walk->url = target;
        return 0;
    }
    url_clear(&target);
    return -1;
}

static bool is_challenge(const struct http_answer *answer)
{
    const char *challenge = http_headers_find(&answer->headers, "www-authenticate");
    return answer->status == 401 ||
           (answer->status == 403 && challenge && strstr(challenge, "insufficient_scope"));
}

// 1: try again, 0: the answer stands, -1.
static int challenged(struct exchange_walk *walk, const struct http_answer *answer, struct error *err)
{
    struct authorizer *own = walk->exchange.authorizer;
    if (!own || walk->rounds++ >= ROUNDS_MAX)
        return 0;
    if (walk->away && !walk->foreign && own->ops->foreign && own->ops->foreign_free)
        walk->foreign = own->ops->foreign(own, &walk->url);
    struct authorizer *authorizer = authorizer_now(walk);
    return authorizer ? authorizer->ops->challenge(authorizer, &walk->url, answer, walk->call->monitor, err)
                      : 0;
}

struct exchange_walk *exchange_begin(const struct exchange *exchange, const struct http_call *call)
{
    struct exchange_walk *walk = mem_new(struct exchange_walk);
    walk->exchange = *exchange;
    walk->call = call;
    walk->origin_class = call->origin_class;
    walk->verdict = (struct url_verdict){.credentials = true, .private_allowed = call->private_allowed};
    url_copy(&walk->url, &call->url);
    return walk;
}

void exchange_end(struct exchange_walk *walk)
{
    if (!walk)
        return;
    end_foreign(walk);
    url_clear(&walk->url);
    free(walk);
}

int exchange_next(struct exchange_walk *walk, struct http_call *ret, struct secret **ret_authorization,
                  struct error *err)
{
    struct authorizer *authorizer = authorizer_now(walk);
    *ret_authorization = NULL;
    if (authorizer &&
        authorizer->ops->authorize(authorizer, &walk->url, walk->call->monitor, ret_authorization, err) != 0)
        return -1;
    build(walk, ret);
    return 0;
}

int exchange_answer(struct exchange_walk *walk, struct http_answer *answer, struct error *err)
{
    if (walk->hops == 0 && walk->call->origin_class == ADDRESS_PUBLIC)
        walk->origin_class = answer->address_class;
    url_clear(&answer->url);
    url_copy(&answer->url, &walk->url);
    answer->redirected_origin = walk->away;
    if (is_redirect(walk, answer->status))
        return follow(walk, answer, err) == 0 ? 1 : -1;
    return is_challenge(answer) ? challenged(walk, answer, err) : 0;
}

// One request and what follows from its answer: 1 go on, 0 done, -1.
static int send_one(struct exchange_walk *walk, struct http_answer *ret, struct error *err)
{
    struct http_call call;
    struct secret *authorization;
    if (exchange_next(walk, &call, &authorization, err) != 0)
        return -1;
    int rc = transport_perform(walk->exchange.transport, &call, authorization, ret, err);
    secret_free(authorization);
    http_call_clear(&call);
    return rc == 0 ? exchange_answer(walk, ret, err) : -1;
}

int exchange_perform(const struct exchange *exchange, const struct http_call *call, struct http_answer *ret,
                     struct error *err)
{
    struct exchange_walk *walk = exchange_begin(exchange, call);
    struct http_answer answer = {.retry_after_ms = -1};
    int rc;
    do {
        http_answer_clear(&answer);
        rc = send_one(walk, &answer, err);
    } while (rc == 1);
    exchange_end(walk);
    if (rc == 0)
        *ret = answer;
    else
        http_answer_clear(&answer);
    return rc;
}
