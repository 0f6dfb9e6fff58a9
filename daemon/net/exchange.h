// SPDX-License-Identifier: Apache-2.0
//
// One logical request: authorise ▸ send ▸ follow redirects under the URL policy ▸ answer a 401 challenge ▸
// the final answer. The one choke point that decides, per request sent, whether credentials go along: nothing
// is copied from the request before. At most 10 hops and 2 rounds of authentication. Blocks; workers.
#pragma once

#include "base/secret.h"
#include "net/transport.h"

// Implemented by `credentials`: what proves who we are to one origin for one purpose (registry, repository,
// action).
struct authorizer {
    const struct authorizer_ops *ops;
};
struct authorizer_ops {
    // The Authorization value for a request to `url` (same origin as the call's), or NULL in *ret for none;
    // caller frees.
    int (*authorize)(struct authorizer *a, const struct url *url, struct monitor *monitor,
                     struct secret **ret, struct error *err);
    // The answer was a 401 (or insufficient_scope). 1: something new can be tried, 0: nothing can, -1: failed
    // (broken helper, refused sign-in …), which ends the request.
    int (*challenge)(struct authorizer *a, const struct url *url, const struct http_answer *answer,
                     struct monitor *monitor, struct error *err);
    // Both may be NULL. A redirect led to another origin and that one answers 401: an anonymous authorizer
    // for it alone, which never sees our credentials; NULL if there is no way. foreign_free ends it.
    struct authorizer *(*foreign)(struct authorizer *a, const struct url *url);
    void (*foreign_free)(struct authorizer *foreign);
};

struct exchange {
    struct transport *transport;
    const struct host_table *hosts;
    struct authorizer *authorizer; // NULL: anonymous
    enum url_kind redirect_kind;   // URL_REDIRECT or URL_REDIRECT_BODY
};

// call->url is where it begins; ret->url where it ended. Errors as transport_perform, plus
// ERR_REGISTRY_PROTOCOL for a redirect that the policy refuses, and what the authorizer reports. A final
// 401/403 is an answer, not an error.
int exchange_perform(const struct exchange *exchange, const struct http_call *call, struct http_answer *ret,
                     struct error *err);

// The same walk one request at a time, for those who send in their own way (transfer, whose bodies stream).
// The exchange and the call are borrowed until exchange_end.
struct exchange_walk;
struct exchange_walk *exchange_begin(const struct exchange *exchange, const struct http_call *call);
// The next request to send: ends with http_call_clear and secret_free. May block for a token.
int exchange_next(struct exchange_walk *walk, struct http_call *ret, struct secret **ret_authorization,
                  struct error *err);
// What came back. 1: send the next request, 0: this is the final answer (url and redirected_origin are filled
// in), -1.
int exchange_answer(struct exchange_walk *walk, struct http_answer *answer, struct error *err);
void exchange_end(struct exchange_walk *walk); // NULL is fine
