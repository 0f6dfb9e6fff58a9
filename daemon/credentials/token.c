// SPDX-License-Identifier: Apache-2.0
//
// The token exchange. Passwords go by GET with Basic, which every token server knows, refresh tokens by
// OAuth2 POST; servers that refuse one way (404, 405, and 400 or 401 of POST) are asked in the other. The
// realm was named by a server, so it passes the URL policy first; redirects of it are followed under the same
// policy by net/exchange.
#include "credentials/token.h"

#include <string.h>

#include "base/base64.h"
#include "base/error.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"

enum {
    TOKEN_BODY_MAX = 1 << 20,
    LIFE_MIN_S = 60,
    LIFE_MAX_S = 24 * 3600,
    FORM_MAX = 1 << 20,
    TOKEN_MAX = 64 << 10,
};

// The name under which ACR takes a refresh token by Basic.
static const char refresh_user[] = "00000000-0000-0000-0000-000000000000";

struct token *token_new(struct secret *secret, int64_t life_ms)
{
    struct token *token = mem_new(struct token);
    atomic_init(&token->refs, 1);
    token->secret = secret;
    token->life_ms = life_ms;
    return token;
}

void *token_ref(void *pointer)
{
    struct token *token = pointer;
    atomic_fetch_add_explicit(&token->refs, 1, memory_order_relaxed);
    return token;
}

void token_unref(void *pointer)
{
    struct token *token = pointer;
    if (!token || atomic_fetch_sub_explicit(&token->refs, 1, memory_order_acq_rel) != 1)
        return;
    secret_free(token->secret);
    free(token);
}

struct secret *token_basic(const char *username, const struct secret *password)
{
    struct strbuf login = STRBUF_INIT(FORM_MAX);
    strbuf_printf(&login, "%s:%s", username, secret_reveal(password));
    char *encoded = base64_encode(strbuf_text(&login), login.len);
    strbuf_wipe(&login);
    struct strbuf value = STRBUF_INIT(2 * FORM_MAX);
    strbuf_printf(&value, "Basic %s", encoded);
    struct secret *secret = secret_new_bytes(strbuf_text(&value), value.len);
    strbuf_wipe(&value);
    explicit_bzero(encoded, strlen(encoded));
    free(encoded);
    return secret;
}

// --- answers

static int64_t life_s(const json_t *root)
{
    const json_t *value = json_object_get(root, "expires_in");
    int64_t seconds = LIFE_MIN_S;
    if (json_is_integer(value))
        seconds = json_integer_value(value);
    else if (json_is_real(value)) // compared before it is made an integer: 1e300 is none
        seconds = json_real_value(value) > LIFE_MAX_S   ? LIFE_MAX_S
                  : json_real_value(value) < LIFE_MIN_S ? LIFE_MIN_S
                                                        : (int64_t)json_real_value(value);
    else if (json_is_string(value) && !str_to_int64(json_string_value(value), 0, INT64_MAX, &seconds))
        seconds = LIFE_MIN_S;
    if (seconds < LIFE_MIN_S)
        return LIFE_MIN_S;
    return seconds > LIFE_MAX_S ? LIFE_MAX_S : seconds;
}

struct token *token_parse(const char *body, size_t len, struct error *err)
{
    CLEANUP(error_clear) struct error why = ERROR_INIT;
    AUTO_JSON json_t *root = json_parse(body, len, &json_limits_small, &why);
    const char *text = json_get_string(root, "token");
    if (!text || !*text)
        text = json_get_string(root, "access_token");
    if (!text || !*text) {
        error_set(err, ERR_REGISTRY_AUTH, "the answer holds no token");
        return NULL;
    }
    if (strlen(text) > TOKEN_MAX || !credential_token_valid(text)) {
        error_set(err, ERR_REGISTRY_AUTH, "the answer holds a token that cannot be sent");
        return NULL;
    }
    // issued_at is left aside: clocks differ, the time of arrival does not.
    return token_new(secret_new(text), life_s(root) * 1000);
}

static const char *refusal_member(const json_t *root)
{
    static const char *const names[] = {"error_description", "message", "details", "detail", "error"};
    json_t *errors = json_object_get(root, "errors");
    const json_t *first = json_is_array(errors) ? json_array_get(errors, 0) : NULL;
    const char *text = json_get_string(first, "message");
    for (size_t i = 0; !text && i < sizeof names / sizeof *names; i++)
        text = json_get_string(root, names[i]);
    return text;
}

char *token_refusal_text(const char *body, size_t len, const struct secret *secret)
{
    CLEANUP(error_clear) struct error why = ERROR_INIT;
    AUTO_JSON json_t *root = json_parse(body, len, &json_limits_small, &why);
    const char *text = json_is_object(root) ? refusal_member(root) : NULL;
    if (!text || !*text)
        return NULL;
    if (secret && secret_len(secret) && strstr(text, secret_reveal(secret)))
        return NULL; // a server that repeats what it was sent
    return str_quote(text, 300);
}

static void hint_refused(const struct token_ask *ask, struct error *err)
{
    if (ask->credential->kind == CREDENTIAL_ANONYMOUS)
        error_hint(err,
                   "No credentials for %s were used; give them in the job's auth or in a docker config.json",
                   ask->registry);
    else
        error_hint(err, "The credentials came from %s; check that they are right and not expired",
                   ask->credential->source);
}

static enum error_code refusal_code(const struct token_ask *ask, int status)
{
    if (status == 429)
        return ERR_REGISTRY_RATE_LIMIT;
    if (status == 408 || status >= 500)
        return ERR_REGISTRY_ERROR;
    if (status == 401 || status == 403)
        return ask->credential->kind == CREDENTIAL_ANONYMOUS ? ERR_REGISTRY_DENIED : ERR_REGISTRY_AUTH;
    return ERR_REGISTRY_AUTH;
}

static void refused(const struct token_ask *ask, const struct http_call *call,
                    const struct http_answer *answer, struct error *err)
{
    AUTO_FREE char *said = token_refusal_text(answer->body, answer->body_len, ask->credential->secret);
    AUTO_FREE char *url = url_format(&answer->url);
    AUTO_FREE char *where = str_url_for_log(url);
    error_set(err, refusal_code(ask, answer->status), "Signing in to %s failed: %s answered %d%s%s%s",
              ask->registry, where, answer->status, said ? " (" : "", said ? said : "", said ? ")" : "");
    err->retry_after_ms = answer->retry_after_ms;
    error_upstream_set(err, ask->registry, call->method, answer->url.path, answer->status, NULL);
    hint_refused(ask, err);
}

// --- requests

// Proves us to the realm with one fixed value and to nobody else: net/exchange asks it for the realm's origin
// only.
struct fixed_authorizer {
    struct authorizer base;
    const struct secret *value;
};

static int fixed_authorize(struct authorizer *a, const struct url *url, struct monitor *monitor,
                           struct secret **ret, struct error *err)
{
    (void)url, (void)monitor, (void)err;
    *ret = secret_dup(container_of(a, struct fixed_authorizer, base)->value);
    return 0;
}

static int fixed_challenge(struct authorizer *a, const struct url *url, const struct http_answer *answer,
                           struct monitor *monitor, struct error *err)
{
    (void)a, (void)url, (void)answer, (void)monitor, (void)err;
    return 0;
}

static const struct authorizer_ops fixed_ops = {.authorize = fixed_authorize, .challenge = fixed_challenge};

static int perform(const struct token_ask *ask, const struct http_call *call,
                   const struct secret *authorization, struct http_answer *ret, struct error *err)
{
    struct fixed_authorizer fixed = {.base.ops = &fixed_ops, .value = authorization};
    struct exchange exchange = {
        .transport = ask->transport,
        .hosts = ask->hosts,
        .authorizer = authorization ? &fixed.base : NULL,
        .redirect_kind = call->body ? URL_REDIRECT_BODY : URL_REDIRECT,
    };
    if (exchange_perform(&exchange, call, ret, err) == 0)
        return 0;
    return error_wrap(err, "Signing in to %s", ask->registry);
}

static int realm_url(const struct token_ask *ask, struct http_call *call, struct error *err)
{
    struct url_verdict verdict = {0};
    if (url_resolve(&call->url, ask->origin, ask->realm, err) < 0 ||
        url_policy_check(ask->origin, &call->url, URL_TOKEN_REALM, ask->hosts, &verdict, err) < 0)
        return error_wrap(err, "The token server that %s names cannot be used", ask->registry);
    call->private_allowed = verdict.private_allowed;
    call->origin_class = ask->origin_class;
    call->max_body = TOKEN_BODY_MAX;
    call->monitor = ask->monitor;
    return 0;
}

static void add_scopes(struct url *url, const char *scopes)
{
    for (const char *at = scopes; *(at += strspn(at, " "));) {
        size_t len = strcspn(at, " ");
        AUTO_FREE char *scope = mem_strndup(at, len);
        url_add_query(url, "scope", scope);
        at += len;
    }
}

static struct secret *basic_of(const struct credential *credential)
{
    if (!credential->secret)
        return NULL;
    const char *name = credential->kind == CREDENTIAL_IDENTITY_TOKEN ? refresh_user : credential->username;
    return token_basic(name ? name : "", credential->secret);
}

static int fetch_get(const struct token_ask *ask, struct http_answer *ret, struct error *err)
{
    struct http_call call = {.method = "GET"};
    int failed = -1;
    struct secret *basic = basic_of(ask->credential);
    if (realm_url(ask, &call, err) < 0)
        goto out;
    if (ask->service && *ask->service)
        url_add_query(&call.url, "service", ask->service);
    add_scopes(&call.url, ask->scope);
    if (ask->credential->kind == CREDENTIAL_PASSWORD)
        url_add_query(&call.url, "account", ask->credential->username);
    failed = perform(ask, &call, basic, ret, err);
out:
    secret_free(basic);
    http_call_clear(&call);
    return failed;
}

static void put_field(struct strbuf *form, const char *name, const char *value)
{
    if (!value || !*value)
        return;
    if (form->len)
        strbuf_putc(form, '&');
    strbuf_printf(form, "%s=", name);
    strbuf_put_escaped(form, value, "");
}

static void put_form(struct strbuf *form, const struct token_ask *ask)
{
    const struct credential *credential = ask->credential;
    bool refresh = credential->kind == CREDENTIAL_IDENTITY_TOKEN;
    put_field(form, "grant_type", refresh ? "refresh_token" : "password");
    put_field(form, "service", ask->service);
    put_field(form, "client_id", "dray");
    put_field(form, "scope", ask->scope);
    if (refresh) {
        put_field(form, "refresh_token", secret_reveal(credential->secret));
    } else {
        put_field(form, "username", credential->username);
        put_field(form, "password", secret_reveal(credential->secret));
    }
}

static int fetch_post(const struct token_ask *ask, struct http_answer *ret, struct error *err)
{
    struct http_call call = {.method = "POST"};
    struct strbuf form = STRBUF_INIT(FORM_MAX);
    int failed = -1;
    if (realm_url(ask, &call, err) < 0)
        goto out;
    put_form(&form, ask);
    http_headers_add(&call.headers, "content-type", "application/x-www-form-urlencoded");
    call.body = strbuf_text(&form);
    call.body_len = (int64_t)form.len;
    failed = perform(ask, &call, NULL, ret, err);
out:
    strbuf_wipe(&form);
    http_call_clear(&call);
    return failed;
}

static bool wrong_way(const struct token_ask *ask, int status)
{
    if (status == 404 || status == 405)
        return ask->credential->kind != CREDENTIAL_ANONYMOUS;
    return ask->credential->kind == CREDENTIAL_IDENTITY_TOKEN && (status == 400 || status == 401);
}

struct token *token_fetch(const struct token_ask *ask, struct error *err)
{
    bool post_first = ask->credential->kind == CREDENTIAL_IDENTITY_TOKEN;
    struct http_answer answer = {0};
    struct token *token = NULL;
    int failed = post_first ? fetch_post(ask, &answer, err) : fetch_get(ask, &answer, err);
    if (!failed && wrong_way(ask, answer.status)) {
        http_answer_clear(&answer);
        failed = post_first ? fetch_get(ask, &answer, err) : fetch_post(ask, &answer, err);
    }
    if (failed)
        goto out;
    if (answer.status != 200 && answer.status != 201) {
        struct http_call call = {.method = post_first ? "POST" : "GET"};
        refused(ask, &call, &answer, err);
        goto out;
    }
    token = token_parse(answer.body, answer.body_len, err);
    if (!token) {
        error_wrap(err, "Signing in to %s failed", ask->registry);
        hint_refused(ask, err);
    }
out:
    http_answer_clear(&answer);
    return token;
}
