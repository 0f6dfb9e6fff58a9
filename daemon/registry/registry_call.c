// SPDX-License-Identifier: Apache-2.0
//
// Building and sending of registry requests; all of registry_*.c goes through here, so that credentials,
// redirect policy, warnings and the wording of failures are decided once. References and credentials say
// docker.io, requests go to registry-1.docker.io.
#include "registry/registry_call.h"

#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/quota.h"

enum { WARNING_BYTES_MAX = 4096 };

// By the host of the reference ("docker.io"), as people configure it.
const struct host_settings *registry_call_host(const struct registry_scope *scope)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    AUTO_FREE char *text = mem_printf("https://%s/", scope->host);
    struct url url = {0};
    if (url_parse(&url, text, &ignored) < 0)
        return host_table_get(scope->registry->hosts, "", 0);
    const struct host_settings *settings = host_table_get(scope->registry->hosts, url.host, url.port);
    url_clear(&url);
    return settings;
}

char **registry_call_mirrors(const struct registry_scope *scope)
{
    return registry_call_host(scope)->mirrors;
}

static int open_at(struct registry_call *call, const struct registry_scope *scope, const char *host,
                   unsigned actions, const char *mount_from, struct error *err)
{
    struct registry *registry = scope->registry;
    *call = (struct registry_call){.scope = scope, .host = host};
    if (scope->repository && !reference_repository_valid(scope->repository))
        return error_set(err, ERR_REFERENCE_INVALID, "The name of a repository is not valid");
    AUTO_FREE char *base =
        mem_printf("%s://%s/v2/", host_table_scheme(registry->hosts, host), reference_host(host));
    if (url_parse(&call->base, base, err) < 0) {
        err->code = ERR_REFERENCE_INVALID;
        return error_wrap(err, "The registry's name");
    }
    call->credential = credentials_find(registry->credentials, scope->auth, host, scope->repository, err);
    if (!call->credential) {
        registry_call_close(call);
        return -1;
    }
    call->authorizer = credentials_authorizer(registry->credentials, call->credential, host,
                                              scope->repository, actions, mount_from);
    return 0;
}

int registry_call_open(struct registry_call *call, const struct registry_scope *scope, unsigned actions,
                       const char *mount_from, struct error *err)
{
    if (!mount_from && actions & CREDENTIAL_PUSH)
        mount_from = scope->mount_from;
    return open_at(call, scope, scope->host, actions, mount_from, err);
}

int registry_call_open_mirror(struct registry_call *call, const struct registry_scope *scope,
                              const char *mirror, struct error *err)
{
    return open_at(call, scope, mirror, CREDENTIAL_PULL, NULL, err);
}

void registry_call_close(struct registry_call *call)
{
    credentials_authorizer_free(call->authorizer);
    credential_unref(call->credential);
    url_clear(&call->base);
    *call = (struct registry_call){0};
}

// A mirror that has nothing, or fails, is as good as none; only a cancelled job ends here.
static int read_mirrors(const struct registry_scope *scope, char **mirrors,
                        int (*attempt)(struct registry_call *call, void *arg, struct error *err), void *arg,
                        struct error *err)
{
    for (; mirrors && *mirrors; mirrors++) {
        CLEANUP(error_clear) struct error why = ERROR_INIT;
        struct registry_call call;
        int found = registry_call_open_mirror(&call, scope, *mirrors, &why);
        if (found == 0) {
            found = attempt(&call, arg, &why);
            registry_call_close(&call);
        }
        if (found > 0)
            return found;
        if (found < 0 && why.code == ERR_CANCELLED) {
            error_move(err, &why);
            return -1;
        }
        if (found < 0)
            log_debug("mirror %s: %s", *mirrors, why.detail);
    }
    return 0;
}

int registry_call_read(const struct registry_scope *scope,
                       int (*attempt)(struct registry_call *call, void *arg, struct error *err), void *arg,
                       struct error *err)
{
    struct registry_call call;
    int found = read_mirrors(scope, registry_call_mirrors(scope), attempt, arg, err);
    if (found != 0)
        return found;
    if (registry_call_open(&call, scope, CREDENTIAL_PULL, NULL, err) < 0)
        return -1;
    found = attempt(&call, arg, err);
    registry_call_close(&call);
    return found;
}

void registry_call_begin(const struct registry_call *call, struct http_call *ret, const char *method,
                         const char *format, ...)
{
    char path[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(path, sizeof path, format, arguments);
    va_end(arguments);
    registry_call_begin_url(call, ret, method, &call->base, true);
    free(ret->url.path);
    const char *repository = call->scope->repository;
    ret->url.path = repository ? mem_printf("/v2/%s/%s", repository, path) : mem_printf("/v2/%s", path);
}

void registry_call_begin_url(const struct registry_call *call, struct http_call *ret, const char *method,
                             const struct url *url, bool private_allowed)
{
    *ret = (struct http_call){.method = method,
                              .max_body = HTTP_ERROR_BODY_MAX,
                              .private_allowed = private_allowed,
                              .monitor = call->scope->monitor};
    url_copy(&ret->url, url);
}

// `299 - "text"` (RFC 7234 section 5.5); anything else is no business of a person.
static void warn_one(const struct registry_scope *scope, const char *value)
{
    if (!str_starts(value, "299 ") || strlen(value) > WARNING_BYTES_MAX)
        return;
    const char *first = strchr(value, '"');
    const char *last = strrchr(value, '"');
    if (!first || last <= first + 1)
        return;
    AUTO_FREE char *raw = mem_strndup(first + 1, (size_t)(last - first - 1));
    AUTO_FREE char *text = str_quote(raw, WARNING_BYTES_MAX);
    if (registry_traits_warn_once(scope->registry->traits, scope->host, text))
        scope->warning(scope->warning_arg, text);
}

static void heed_quota(const struct registry_call *call, const struct http_answer *answer)
{
    struct quota *quota = call->scope->registry->quota;
    if (!quota || answer->redirected_origin || !quota_note(quota, call->host, answer, clock_ms()) ||
        !call->scope->warning)
        return;
    AUTO_FREE char *text = mem_printf(
        "%s has said that few requests are left; it is asked less until there are more", call->host);
    call->scope->warning(call->scope->warning_arg, text);
}

void registry_call_heed(const struct registry_call *call, const struct http_answer *answer)
{
    heed_quota(call, answer);
    if (!call->scope->warning)
        return;
    const char *value;
    for (size_t i = 0; (value = http_headers_next(&answer->headers, "warning", &i)); i++)
        warn_one(call->scope, value);
}

static int perform(const struct registry_call *call, const struct http_call *http,
                   struct authorizer *authorizer, struct http_answer *ret, struct error *err)
{
    const struct registry *registry = call->scope->registry;
    bool body = http->body || http->body_reader;
    struct exchange exchange = {
        .transport = registry->transport,
        .hosts = registry->hosts,
        .authorizer = authorizer,
        .redirect_kind = body ? URL_REDIRECT_BODY : URL_REDIRECT,
    };
    if (exchange_perform(&exchange, http, ret, err) < 0) {
        if (!err->upstream.registry) // of the token server, if that was it
            error_upstream_set(err, call->host, http->method, http->url.path, 0, NULL);
        return -1;
    }
    registry_call_heed(call, ret);
    return 0;
}

int registry_call_perform(const struct registry_call *call, const struct http_call *http,
                          struct http_answer *ret, struct error *err)
{
    return perform(call, http, call->authorizer, ret, err);
}

int registry_call_perform_bare(const struct registry_call *call, const struct http_call *http,
                               struct http_answer *ret, struct error *err)
{
    return perform(call, http, NULL, ret, err);
}

static bool leaks(const void *arg, const char *text)
{
    return credentials_authorizer_leaks(arg, text);
}

int registry_call_fail(const struct registry_call *call, const char *method, enum registry_subject subject,
                       const char *what, const struct http_answer *answer, struct error *err)
{
    struct registry_failure failure = {
        .host = call->host,
        .repository = call->scope->repository,
        .method = method,
        .what = what,
        .subject = subject,
        .source = call->credential->source,
        .anonymous = call->credential->kind == CREDENTIAL_ANONYMOUS,
        .leaks = leaks,
        .leaks_arg = call->authorizer,
    };
    return registry_error_set(&failure, answer, err);
}
