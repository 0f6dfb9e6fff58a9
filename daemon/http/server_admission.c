// SPDX-License-Identifier: Apache-2.0
//
// Called once per request by server_exchange.c, after the guard and before any of the body was taken. What
// must hold: nothing of a route runs, and nothing of a body is kept, for a caller without the right.
#include "http/server_admission.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "http/server_internal.h"

enum { BODY_DEFAULT_MAX = 1024 * 1024 };

static struct server *server_of(const struct request *request)
{
    return request->conn->listener->server;
}

static int judge_route(struct request *request, struct error *err)
{
    AUTO_FREE char *allow = NULL;
    const struct route *route =
        router_find(server_of(request)->options.routes, request->method, request->path, &allow, err);
    if (allow)
        reply_header(request, "Allow", allow);
    if (!route)
        return -1;
    request_set_params(request, route);
    return 0;
}

static bool wants_page(const struct request *request)
{
    static const char *const offered[] = {"application/json", "text/html", NULL};
    return strcmp(request->path, "/") == 0 && request_accepts(request, offered) == 1;
}

static int judge_token(struct request *request, struct error *err)
{
    struct server *server = server_of(request);
    bool page = guard_page_may_ask(&server->guard, request->method, request->target);
    const char *authorization = request_header(request, "Authorization");
    switch (
        bearer_check(server->bearer, authorization, page, request->conn->trusted, server_now_ms(server))) {
    case BEARER_RIGHT:
        request->conn->trusted = true;
        request->peer.right = RIGHT_ADMIN;
        return 0;
    case BEARER_LIMITED:
        err->retry_after_ms = 1000;
        return error_set(err, ERR_RATE_LIMITED,
                         "Too many wrong tokens were sent; only one may be tried a second");
    case BEARER_MISSING:
        error_set(err, ERR_UNAUTHORIZED, "Over TCP every request needs the token of this daemon");
        break;
    case BEARER_WRONG:
        error_set(err, ERR_UNAUTHORIZED, "The token is not the one of this daemon");
        break;
    }
    error_hint(err,
               "Send Authorization: Bearer with the content of the daemon's token file (DRAY_TOKEN_FILE)");
    reply_header(request, "WWW-Authenticate", "Bearer realm=\"dray\"");
    if (wants_page(request)) // the status page: let the browser ask for a password, which is the token
        reply_header(request, "WWW-Authenticate", "Basic realm=\"dray\"");
    return -1;
}

static int judge_rights(struct request *request, struct error *err)
{
    if (!request->conn->listener->unix_socket && request->route->right != RIGHT_NONE &&
        judge_token(request, err) != 0)
        return -1;
    if (request->peer.right >= request->route->right)
        return 0;
    error_set(err, ERR_FORBIDDEN, "%s %s is for administrators of the daemon", request->method,
              request->route->path);
    error_hint(err,
               "Ask as root, as the daemon's own user, or as a user that the configuration names as admin");
    return -1;
}

static int judge_body(struct request *request, struct error *err)
{
    size_t standard = request->route->body == BODY_STREAM ? SIZE_MAX : BODY_DEFAULT_MAX;
    size_t max = request->route->max_body ? request->route->max_body : standard;
    if (request->content_length != 0 && request_check_media(request, request->route, err) != 0)
        return -1;
    if (request->content_length > 0 && (uint64_t)request->content_length > max)
        return error_set(err, ERR_TOO_LARGE, "The body has %lld bytes; the limit of %s %s is %zu",
                         (long long)request->content_length, request->method, request->route->path, max);
    request->body = STRBUF_INIT(max);
    return request_parse_query(request, err);
}

int server_admission_judge(struct request *request, bool *ret_refused, struct error *err)
{
    *ret_refused = false;
    request->content_length = guard_content_length(request->fields, request->n_fields);
    if (judge_route(request, err) != 0)
        return -1;
    *ret_refused = judge_rights(request, err) != 0;
    return *ret_refused ? -1 : judge_body(request, err);
}
