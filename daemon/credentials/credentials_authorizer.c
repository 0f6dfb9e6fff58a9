// SPDX-License-Identifier: Apache-2.0
//
// Proving who we are to one registry. net/exchange and net/transfer ask authorize before each request and
// hand every 401 to challenge. Nothing is sent before the registry asked for it once (remembered by origin),
// except a bearer token that was given for just this registry. What must hold: the value returned is for the
// origin asked for only.
#include <string.h>

#include "base/error.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/monitor.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "credentials/credentials_room.h"
#include "credentials/scope.h"

enum { PING_BODY_MAX = 64 << 10, BEARER_MAX = 128 << 10 };

struct credentials_authorizer {
    struct authorizer base;
    struct credentials *owner;
    struct credential *credential;
    char *registry;
    char *repository;
    char *mount_from;
    unsigned actions;
    char *extra_scope;   // demanded by a challenge beyond our own
    struct token *token; // sent last; NULL: none yet
    char *token_key;
    bool token_new;             // it was fetched for this authorizer, not found in the cache
    enum challenge_scheme sent; // CHALLENGE_OTHER: nothing
    bool challenged;            // the realm in memory was written by a challenge of our own
    bool pinged;
};

static struct credentials_authorizer *self_of(const struct authorizer *a)
{
    return container_of(a, struct credentials_authorizer, base);
}

static bool is_google(const struct credential *credential)
{
    return credential->kind == CREDENTIAL_GCP_SERVICE_ACCOUNT ||
           credential->kind == CREDENTIAL_GCP_ACCESS_TOKEN || credential->kind == CREDENTIAL_GCP_METADATA;
}

// --- what to send

// The credential in the form that Basic and token servers take. New reference or NULL.
static struct credential *as_login(struct credentials_authorizer *self, struct monitor *monitor,
                                   struct error *err)
{
    struct credential *credential = self->credential;
    if (!is_google(credential))
        return credential_ref(credential);
    if (credential->kind == CREDENTIAL_GCP_ACCESS_TOKEN)
        return credential_new(CREDENTIAL_PASSWORD, "oauth2accesstoken", secret_dup(credential->secret),
                              credential->source);
    struct token *token = credentials_google_token(self->owner, credential, monitor, err);
    if (!token)
        return NULL;
    struct credential *login = credential_new(CREDENTIAL_PASSWORD, "oauth2accesstoken",
                                              secret_dup(token->secret), credential->source);
    token_unref(token);
    return login;
}

static int send_basic(struct credentials_authorizer *self, struct monitor *monitor, struct secret **ret,
                      struct error *err)
{
    AUTO_CREDENTIAL struct credential *login = as_login(self, monitor, err);
    if (!login)
        return -1;
    if (login->kind != CREDENTIAL_PASSWORD)
        return 0;
    *ret = token_basic(login->username, login->secret);
    self->sent = CHALLENGE_BASIC;
    return 0;
}

static struct secret *bearer(const struct secret *token)
{
    struct strbuf value = STRBUF_INIT(BEARER_MAX);
    strbuf_printf(&value, "Bearer %s", secret_reveal(token));
    struct secret *secret = secret_new_bytes(strbuf_text(&value), value.len);
    strbuf_wipe(&value);
    return secret;
}

static void let_token_go(struct credentials_authorizer *self)
{
    token_unref(self->token);
    free(self->token_key);
    self->token = NULL;
    self->token_key = NULL;
    self->token_new = false;
}

static struct token *fetch_token(struct credentials_authorizer *self, const struct url *url,
                                 const struct realm *realm, const char *scope, struct monitor *monitor,
                                 struct error *err)
{
    AUTO_CREDENTIAL struct credential *login = as_login(self, monitor, err);
    if (!login)
        return NULL;
    struct token_ask ask = {
        .transport = self->owner->transport,
        .hosts = self->owner->hosts,
        .origin = url,
        .origin_class = realm->origin_class,
        .registry = self->registry,
        .realm = realm->realm,
        .service = realm->service,
        .scope = scope,
        .credential = login,
        .monitor = monitor,
    };
    if (monitor)
        atomic_fetch_add_explicit(&monitor->tokens, 1, memory_order_relaxed);
    return token_fetch(&ask, err);
}

// Fills self->token from the cache or the token server, for all that may be asked for.
static int find_whole_token(struct credentials_authorizer *self, const struct url *url,
                            const struct realm *realm, struct monitor *monitor, struct error *err)
{
    AUTO_FREE char *scope = scope_build(self->repository, self->actions, self->mount_from, self->extra_scope);
    AUTO_FREE char *origin = url_origin(url);
    char *key = mem_printf("%s %s %s %s %s", origin, realm->realm, realm->service ? realm->service : "-",
                           self->credential->identity, scope);
    let_token_go(self);
    self->token_key = key;
    void *value = NULL;
    enum single_flight_outcome outcome = single_flight_board(self->owner->tokens, key, monitor, &value, err);
    if (outcome == FLIGHT_LEAD) {
        struct token *token = fetch_token(self, url, realm, scope, monitor, err);
        single_flight_land(self->owner->tokens, key, token, token ? token->life_ms : 0, err, &value);
        self->token_new = token != NULL;
        if (value)
            error_clear(err);
        else
            value = token;
    }
    self->token = value;
    return value ? 0 : -1;
}

static void drop_text(char **text)
{
    free(*text);
    *text = NULL;
}

// Some token servers refuse everything for the one scope too many, where others grant less. The source of a
// mount is given up first; what a challenge demanded is not demanded of the next request.
static int find_token(struct credentials_authorizer *self, const struct url *url, const struct realm *realm,
                      struct monitor *monitor, struct error *err)
{
    if (find_whole_token(self, url, realm, monitor, err) == 0)
        return 0;
    if (err->code != ERR_REGISTRY_AUTH && err->code != ERR_REGISTRY_DENIED)
        return -1;
    if (!self->mount_from) {
        drop_text(&self->extra_scope);
        return -1;
    }
    drop_text(&self->mount_from);
    error_clear(err);
    *err = ERROR_INIT;
    return find_whole_token(self, url, realm, monitor, err);
}

// A token that the realm of an earlier request refused to give may be had from the realm of a fresh
// challenge: go without, be challenged, and fail only then.
static int send_token(struct credentials_authorizer *self, const struct url *url, const struct realm *realm,
                      struct monitor *monitor, struct secret **ret, struct error *err)
{
    if (find_token(self, url, realm, monitor, err) < 0) {
        if (self->challenged || err->retryable || err->code == ERR_CANCELLED)
            return -1;
        AUTO_FREE char *origin = url_origin(url);
        realm_memory_drop(self->owner->realms, origin);
        error_clear(err);
        *err = ERROR_INIT;
        return 0;
    }
    *ret = bearer(self->token->secret);
    self->sent = CHALLENGE_BEARER;
    return 0;
}

static int authorize(struct authorizer *a, const struct url *url, struct monitor *monitor,
                     struct secret **ret, struct error *err)
{
    struct credentials_authorizer *self = self_of(a);
    *ret = NULL;
    self->sent = CHALLENGE_OTHER;
    if (self->credential->kind == CREDENTIAL_BEARER) {
        *ret = bearer(self->credential->secret);
        self->sent = CHALLENGE_BEARER;
        return 0;
    }
    AUTO_FREE char *origin = url_origin(url);
    struct realm realm;
    realm_memory_find(self->owner->realms, origin, &realm);
    int failed = 0;
    if (realm.scheme == CHALLENGE_BASIC)
        failed = send_basic(self, monitor, ret, err);
    else if (realm.scheme == CHALLENGE_BEARER)
        failed = send_token(self, url, &realm, monitor, ret, err);
    realm_clear(&realm);
    return failed;
}

// --- what to do about a 401

// Is there anything that could be sent for this challenge?
static bool can_answer(const struct credentials_authorizer *self, const struct challenge *challenge)
{
    enum credential_kind kind = self->credential->kind;
    if (challenge->scheme == CHALLENGE_BEARER)
        return challenge->realm && *challenge->realm && kind != CREDENTIAL_BEARER;
    if (challenge->scheme == CHALLENGE_BASIC)
        return kind == CREDENTIAL_PASSWORD || is_google(self->credential);
    return false;
}

static const struct challenge *choose(const struct credentials_authorizer *self,
                                      const struct challenges *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (can_answer(self, &list->items[i]))
            return &list->items[i];
    return NULL;
}

// Takes up a demand for a scope that is not ours. True: it is a new one.
static bool extend_scope(struct credentials_authorizer *self, const struct challenge *challenge)
{
    AUTO_FREE char *have = scope_build(self->repository, self->actions, self->mount_from, self->extra_scope);
    bool insufficient = str_equal(challenge->error, "insufficient_scope");
    if (!challenge->scope || str_equal(self->extra_scope, challenge->scope))
        return false;
    if (scope_covers(have, challenge->scope) && !insufficient)
        return false;
    free(self->extra_scope);
    self->extra_scope = mem_strdup(challenge->scope);
    return true;
}

static int answer_bearer(struct credentials_authorizer *self, const struct challenge *challenge)
{
    bool first = self->sent != CHALLENGE_BEARER;
    bool extended = extend_scope(self, challenge);
    if (first || extended)
        return 1;
    if (self->token_new || !self->token)
        return 0; // a token made a moment ago, for all we may ask: refused
    single_flight_drop(self->owner->tokens, self->token_key, self->token);
    return 1;
}

static int take_up(struct credentials_authorizer *self, const struct url *url,
                   const struct http_answer *answer, const struct challenges *list)
{
    const struct challenge *challenge = choose(self, list);
    if (!challenge)
        return 0;
    AUTO_FREE char *origin = url_origin(url);
    realm_memory_put(self->owner->realms, origin, challenge, answer->address_class);
    self->challenged = true;
    if (challenge->scheme == CHALLENGE_BEARER)
        return answer_bearer(self, challenge);
    return self->sent != CHALLENGE_BASIC;
}

// GCR answers 401 without saying how to sign in; only /v2/ says so.
static int ping(struct credentials_authorizer *self, const struct url *url, struct monitor *monitor,
                struct error *err)
{
    struct http_call call = {
        .method = "GET", .max_body = PING_BODY_MAX, .private_allowed = true, .monitor = monitor};
    struct http_answer answer = {0};
    struct challenges list = {0};
    int more = -1;
    self->pinged = true;
    if (url_resolve(&call.url, url, "/v2/", err) < 0 ||
        transport_perform(self->owner->transport, &call, NULL, &answer, err) < 0)
        goto out;
    challenges_parse(&list, &answer.headers);
    more = take_up(self, url, &answer, &list);
out:
    challenges_clear(&list);
    http_answer_clear(&answer);
    http_call_clear(&call);
    return more;
}

static int challenge(struct authorizer *a, const struct url *url, const struct http_answer *answer,
                     struct monitor *monitor, struct error *err)
{
    struct credentials_authorizer *self = self_of(a);
    struct challenges list;
    challenges_parse(&list, &answer->headers);
    bool silent = list.count == 0;
    int more = silent ? 0 : take_up(self, url, answer, &list);
    challenges_clear(&list);
    if (silent && !self->pinged && self->credential->kind != CREDENTIAL_BEARER)
        return ping(self, url, monitor, err);
    return more;
}

// For the origin that a redirect led to, which has a challenge of its own: nobody's credential, and no scope
// but the one it asks for.
static struct authorizer *foreign(struct authorizer *a, const struct url *url)
{
    struct credentials *owner = self_of(a)->owner;
    return credentials_authorizer(owner, owner->anonymous, url->host, NULL, 0, NULL);
}

static const struct authorizer_ops ops = {
    .authorize = authorize,
    .challenge = challenge,
    .foreign = foreign,
    .foreign_free = credentials_authorizer_free,
};

struct authorizer *credentials_authorizer(struct credentials *credentials, struct credential *credential,
                                          const char *registry, const char *repository, unsigned actions,
                                          const char *mount_from)
{
    struct credentials_authorizer *self = mem_new(struct credentials_authorizer);
    self->base.ops = &ops;
    self->owner = credentials;
    self->credential = credential_ref(credential);
    self->registry = mem_strdup(registry);
    self->repository = mem_strdup_null(repository);
    self->mount_from = str_equal(mount_from, repository) ? NULL : mem_strdup_null(mount_from);
    self->actions = actions;
    return &self->base;
}

void credentials_authorizer_free(struct authorizer *authorizer)
{
    if (!authorizer)
        return;
    struct credentials_authorizer *self = self_of(authorizer);
    let_token_go(self);
    credential_unref(self->credential);
    free(self->registry);
    free(self->repository);
    free(self->mount_from);
    free(self->extra_scope);
    free(self);
}

static bool contains(const char *text, const struct secret *secret)
{
    return secret && secret_len(secret) && strstr(text, secret_reveal(secret));
}

bool credentials_authorizer_leaks(const struct authorizer *authorizer, const char *text)
{
    const struct credentials_authorizer *self = self_of(authorizer);
    if (contains(text, self->credential->secret) || (self->token && contains(text, self->token->secret)))
        return true;
    if (self->credential->kind != CREDENTIAL_PASSWORD)
        return false;
    struct secret *basic = token_basic(self->credential->username, self->credential->secret);
    bool leaks = strstr(text, secret_reveal(basic) + strlen("Basic ")) != NULL;
    secret_free(basic);
    return leaks;
}
