// SPDX-License-Identifier: Apache-2.0
//
// Signing in: challenges, token exchange, the token cache, against a scripted registry with a token server at
// the same origin ("/token") or another one. Names of tests carry the rows of the behaviours they stand for.
#include "net/net_test.h"

#include "base/base64.h"
#include "base/secret.h"
#include "base/str.h"
#include "credentials/credentials.h"
#include "credentials/token.h"

static const char canary[] = "canary-5ecret";

struct scene {
    struct net_fixture *f;
    struct scripted_server *server;
    struct credentials *credentials;
    // of the registry
    const char *challenge;    // header lines sent with a 401
    const char *accept;       // Authorization that is let in; NULL: none
    const char *accept_later; // … from request number `later` on instead
    int later;
    // of the token server
    const char *token_status; // "200 OK"
    const char *token_body;   // a %d becomes the number of the token request
    const char *post_status;  // NULL: as GET
    const char *get_status;
    atomic_int tokens;
    char *last_query; // of the last GET or the body of the last POST
    char last_authorization[256];
    char last_method[16];
    pthread_mutex_t lock;
};

static void note(struct scene *scene, struct scripted_request *r)
{
    pthread_mutex_lock(&scene->lock);
    free(scene->last_query);
    const char *query = strchr(r->target, '?');
    scene->last_query = strdup(r->body_len ? r->body : query ? query + 1 : "");
    scene->last_authorization[0] = '\0';
    scripted_header(r, "Authorization", scene->last_authorization, sizeof scene->last_authorization);
    snprintf(scene->last_method, sizeof scene->last_method, "%s", r->method);
    pthread_mutex_unlock(&scene->lock);
}

static void serve_token(struct scripted_connection *c, struct scripted_request *r, struct scene *scene)
{
    char body[1024];
    int number = atomic_fetch_add(&scene->tokens, 1) + 1;
    scripted_take_body(c, r);
    note(scene, r);
    bool post = str_equal(r->method, "POST");
    const char *status = post && scene->post_status   ? scene->post_status
                         : !post && scene->get_status ? scene->get_status
                                                      : scene->token_status;
    snprintf(body, sizeof body, scene->token_body, number);
    scripted_reply(c, status, "", body, strlen(body));
}

static void serve(struct scripted_connection *c, struct scripted_request *r, void *arg)
{
    struct scene *scene = arg;
    char got[512];
    if (str_starts(r->target, "/token")) {
        serve_token(c, r, scene);
        return;
    }
    const char *accept = scene->later && r->number >= scene->later ? scene->accept_later : scene->accept;
    if (accept && scripted_header(r, "Authorization", got, sizeof got) && str_equal(got, accept))
        scripted_reply(c, "200 OK", "", "hello", 5);
    else if (str_equal(r->target, "/v2/silent"))
        scripted_reply(c, "401 Unauthorized", "", "", 0);
    else
        scripted_reply(c, "401 Unauthorized", scene->challenge, "", 0);
}

static void begin(struct scene *scene)
{
    struct error err = ERROR_INIT;
    unsetenv("HOME");
    unsetenv("XDG_RUNTIME_DIR");
    scene->f = net_fixture_new(NULL);
    scene->server = scripted_start(serve, scene);
    pthread_mutex_init(&scene->lock, NULL);
    scene->credentials = credentials_new(
        &(struct credentials_options){.transport = scene->f->transport, .hosts = scene->f->hosts}, &err);
    if (!scene->challenge)
        scene->challenge =
            "WWW-Authenticate: Bearer realm=\"/token\",service=\"s\",scope=\"repository:a/b:pull\"\r\n";
    if (!scene->token_status)
        scene->token_status = "200 OK";
    if (!scene->token_body)
        scene->token_body = "{\"token\": \"t%d\"}";
}

static void end(struct scene *scene)
{
    credentials_free(scene->credentials);
    scripted_free(scene->server);
    net_fixture_free(scene->f);
    pthread_mutex_destroy(&scene->lock);
    free(scene->last_query);
}

static struct credential *password(const char *text)
{
    return credential_new(CREDENTIAL_PASSWORD, "user", secret_new(text), "job");
}

// The status of one request with an authorizer of its own, or -1 (the error is in the fixture).
static int ask_for(struct scene *scene, struct credential *credential, const char *path, unsigned actions,
                   const char *mount_from)
{
    char registry[32];
    struct net_fixture *f = scene->f;
    snprintf(registry, sizeof registry, "127.0.0.1:%d", scene->server->port);
    struct authorizer *a =
        credentials_authorizer(scene->credentials, credential, registry, "a/b", actions, mount_from);
    struct exchange exchange = {f->transport, f->hosts, a, URL_REDIRECT};
    struct http_call call = net_call(scene->server, "GET", path);
    call.monitor = &f->monitor;
    net_fixture_clear(f);
    int rc = exchange_perform(&exchange, &call, &f->answer, &f->err);
    http_call_clear(&call);
    credentials_authorizer_free(a);
    return rc == 0 ? f->answer.status : -1;
}

static int ask(struct scene *scene, struct credential *credential)
{
    return ask_for(scene, credential, "/v2/a/b/tags/list", CREDENTIAL_PULL, NULL);
}

// --- tests

static void one_token_for_all(void **state)
{
    (void)state;
    struct scene scene = {.accept = "Bearer t1"};
    begin(&scene);
    struct credential *credential = password(canary);
    assert_int_equal(ask(&scene, credential), 200);
    assert_int_equal(scripted_count(scene.server), 3); // turned away, token, again
    assert_string_equal(scene.last_query, "service=s&scope=repository%3Aa%2Fb%3Apull&account=user");
    AUTO_FREE char *login = base64_encode("user:canary-5ecret", 18);
    AUTO_FREE char *basic = mem_printf("Basic %s", login);
    assert_string_equal(scene.last_authorization, basic);
    // The next is not turned away: the realm is remembered, the token is there.
    assert_int_equal(ask(&scene, credential), 200);
    assert_int_equal(scripted_count(scene.server), 4);
    assert_int_equal(scene.tokens, 1);
    // An equal credential of another job shares it, another one never.
    struct credential *same = password(canary), *other = password("other");
    assert_int_equal(ask(&scene, same), 200);
    assert_int_equal(scene.tokens, 1);
    assert_int_equal(ask(&scene, other), 401);
    assert_true(scene.tokens > 1);
    credential_unref(same);
    credential_unref(other);
    credential_unref(credential);
    end(&scene);
}

static void scopes_of_a_mount_in_one_token_R17(void **state)
{
    (void)state;
    struct scene scene = {.accept = "Bearer t1"};
    begin(&scene);
    struct credential *credential = password("p");
    assert_int_equal(ask_for(&scene, credential, "/v2/x", CREDENTIAL_PUSH, "c/d"), 200);
    assert_non_null(
        strstr(scene.last_query, "scope=repository%3Aa%2Fb%3Apull%2Cpush&scope=repository%3Ac%2Fd%3Apull"));
    credential_unref(credential);
    end(&scene);
}

static void silent_401_is_pinged_R01(void **state)
{
    (void)state;
    struct scene scene = {.accept = "Bearer t1"};
    begin(&scene);
    struct credential *credential = password("p");
    assert_int_equal(ask_for(&scene, credential, "/v2/silent", CREDENTIAL_PULL, NULL), 200);
    assert_true(scripted_saw(scene.server, "GET /v2/ HTTP"));
    credential_unref(credential);
    end(&scene);
}

static void first_challenge_that_fits_R03(void **state)
{
    (void)state;
    struct scene scene = {.challenge = "WWW-Authenticate: Negotiate\r\n"
                                       "WWW-Authenticate: Basic realm=\"x\", Bearer realm=\"/token\"\r\n",
                          .accept = "Basic dXNlcjpw",
                          .accept_later = "Bearer t1",
                          .later = 3};
    begin(&scene);
    struct credential *credential = password("p");
    assert_int_equal(ask(&scene, credential), 200);
    assert_int_equal(scene.tokens, 0);
    struct credential *nobody = credential_new(CREDENTIAL_ANONYMOUS, NULL, NULL, "nowhere");
    assert_int_equal(ask(&scene, nobody), 200);
    assert_int_equal(scene.tokens, 1);
    assert_string_equal(scene.last_authorization, "");
    credential_unref(nobody);
    credential_unref(credential);
    end(&scene);
}

static void realm_shapes_R05_R06_R07(void **state)
{
    (void)state;
    struct scene scene = {.challenge = "WWW-Authenticate: bearer Realm = \"/token?tenant=1\"\r\n",
                          .accept = "Bearer t1"};
    begin(&scene);
    struct credential *credential = password("p");
    assert_int_equal(ask(&scene, credential), 200);
    assert_true(str_starts(scene.last_query, "tenant=1&scope="));
    assert_null(strstr(scene.last_query, "service"));
    credential_unref(credential);
    end(&scene);
}

static void realms_that_are_refused(void **state)
{
    (void)state;
    static const char *const realms[] = {"http://169.254.169.254/token",
                                         "http://10.0.0.1/token",
                                         "https://10.0.0.1:1/token",
                                         "http://example.com/token",
                                         "ftp://127.0.0.1/token",
                                         "http://user:pw@127.0.0.1/token",
                                         "file:///etc/passwd",
                                         "http://0.0.0.0:1/token",
                                         "http://[::]:1/token",
                                         "http://2130706433/token",
                                         "http://0x7f.1/token",
                                         "gopher://127.0.0.1/",
                                         "//10.0.0.1/x",
                                         "http:///token"};
    for (size_t i = 0; i < sizeof realms / sizeof *realms; i++) {
        AUTO_FREE char *header =
            mem_printf("WWW-Authenticate: Bearer realm=\"%s\",service=\"s\"\r\n", realms[i]);
        struct scene scene = {.challenge = header};
        begin(&scene);
        struct credential *credential = password(canary);
        assert_int_equal(ask(&scene, credential), -1);
        if (scene.f->err.code != ERR_REGISTRY_PROTOCOL && scene.f->err.code != ERR_REGISTRY_UNREACHABLE)
            fail_msg("%s: %s", realms[i], scene.f->err.detail);
        assert_null(strstr(scene.f->err.detail, canary));
        assert_int_equal(scripted_count(scene.server), 1);
        credential_unref(credential);
        end(&scene);
    }
}

static void refresh_tokens_R10_R20(void **state)
{
    (void)state;
    static const char *const refusals[] = {NULL, "404 Not Found", "405 Method Not Allowed", "400 Bad Request",
                                           "401 Unauthorized"};
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct scene scene = {.accept = refusals[i] ? "Bearer t2" : "Bearer t1", .post_status = refusals[i]};
        begin(&scene);
        struct credential *credential =
            credential_new(CREDENTIAL_IDENTITY_TOKEN, NULL, secret_new("re+fresh"), "job");
        assert_int_equal(ask(&scene, credential), 200);
        if (refusals[i]) {
            assert_string_equal(scene.last_method, "GET");
            AUTO_FREE char *login = base64_encode("00000000-0000-0000-0000-000000000000:re+fresh", 45);
            assert_non_null(strstr(scene.last_authorization, login));
        } else {
            assert_string_equal(scene.last_query, "grant_type=refresh_token&service=s&client_id=dray&"
                                                  "scope=repository%3Aa%2Fb%3Apull&refresh_token=re%2Bfresh");
            assert_string_equal(scene.last_authorization, "");
        }
        credential_unref(credential);
        end(&scene);
    }
}

static void password_where_only_post_is_known(void **state)
{
    (void)state;
    struct scene scene = {.accept = "Bearer t2", .get_status = "405 Method Not Allowed"};
    begin(&scene);
    struct credential *credential = password("p w");
    assert_int_equal(ask(&scene, credential), 200);
    assert_non_null(strstr(scene.last_query, "grant_type=password"));
    assert_non_null(strstr(scene.last_query, "username=user&password=p%20w"));
    credential_unref(credential);
    end(&scene);
}

// a refresh token that a server gives away on request may not work there later, so none is asked for;
// one that comes unasked is left aside.
static void no_refresh_token_is_asked_for_R21(void **state)
{
    (void)state;
    static const char *const get_statuses[] = {NULL, "405 Method Not Allowed"};
    for (int i = 0; i < 3; i++) {
        struct scene scene = {.accept = i == 1 ? "Bearer t2" : "Bearer t1",
                              .get_status = get_statuses[i == 1],
                              .token_body = "{\"token\": \"t%d\", \"refresh_token\": \"not-asked-for\"}"};
        begin(&scene);
        struct credential *credential =
            i == 2 ? credential_new(CREDENTIAL_IDENTITY_TOKEN, NULL, secret_new("own"), "job")
                   : password("p");
        assert_int_equal(ask(&scene, credential), 200);
        assert_string_equal(scene.last_method, i ? "POST" : "GET");
        assert_null(strstr(scene.last_query, "offline"));
        credentials_forget(scene.credentials); // the next token is asked for as the first was
        int before = scene.tokens;
        ask(&scene, credential);
        assert_true(scene.tokens > before);
        assert_null(strstr(scene.last_query, "not-asked-for"));
        credential_unref(credential);
        end(&scene);
    }
}

static void insufficient_scope_once_R18(void **state)
{
    (void)state;
    struct scene scene = {.challenge =
                              "WWW-Authenticate: Bearer realm=\"/token\",scope=\"repository:a/b:delete\","
                              "error=\"insufficient_scope\"\r\n",
                          .accept = "Bearer t1"};
    begin(&scene);
    struct credential *credential = password("p");
    assert_int_equal(ask(&scene, credential), 200);
    // The missing one comes first.
    assert_true(
        str_starts(scene.last_query, "scope=repository%3Aa%2Fb%3Adelete&scope=repository%3Aa%2Fb%3Apull"));
    credential_unref(credential);
    end(&scene);
}

static void refusal_ends_R19(void **state)
{
    (void)state;
    struct scene scene = {0};
    begin(&scene);
    struct credential *credential = password("p");
    assert_int_equal(ask(&scene, credential), 401);
    assert_true(scripted_count(scene.server) <= 5);
    struct credential *token = credential_new(CREDENTIAL_BEARER, NULL, secret_new("mine"), "job");
    int before = scripted_count(scene.server);
    assert_int_equal(ask(&scene, token), 401);
    assert_int_equal(scripted_count(scene.server), before + 1);
    assert_true(scripted_saw(scene.server, "Bearer mine"));
    credential_unref(token);
    credential_unref(credential);
    end(&scene);
}

static void basic_is_tried_once(void **state)
{
    (void)state;
    struct scene scene = {.challenge = "WWW-Authenticate: Basic realm=\"x\"\r\n"};
    begin(&scene);
    struct credential *credential = password("p");
    assert_int_equal(ask(&scene, credential), 401);
    assert_int_equal(scripted_count(scene.server), 2);
    assert_int_equal(ask(&scene, credential), 401);
    assert_int_equal(scripted_count(scene.server), 3); // remembered: sent at once
    struct credential *nobody = credential_new(CREDENTIAL_ANONYMOUS, NULL, NULL, "nowhere");
    assert_int_equal(ask(&scene, nobody), 401);
    assert_int_equal(scripted_count(scene.server), 4);
    credential_unref(nobody);
    credential_unref(credential);
    end(&scene);
}

// A token of the cache that the registry takes no more is fetched again, once.
static void token_that_died_R15(void **state)
{
    (void)state;
    struct scene scene = {.accept = "Bearer t1", .accept_later = "Bearer t2", .later = 4};
    begin(&scene);
    struct credential *credential = password("p");
    assert_int_equal(ask(&scene, credential), 200);
    assert_int_equal(ask(&scene, credential), 200);
    assert_int_equal(scene.tokens, 2);
    assert_int_equal(ask(&scene, credential), 200);
    assert_int_equal(scene.tokens, 2);
    credential_unref(credential);
    end(&scene);
}

static void failing_token_servers_R25(void **state)
{
    (void)state;
    static const struct {
        const char *status;
        enum error_code code;
        bool retryable;
    } rows[] = {
        {"429 Too Many Requests", ERR_REGISTRY_RATE_LIMIT, true},
        {"500 Oops", ERR_REGISTRY_ERROR, true},
        {"503 Later", ERR_REGISTRY_ERROR, true},
        {"401 No", ERR_REGISTRY_AUTH, false},
        {"403 No", ERR_REGISTRY_AUTH, false},
        {"418 Teapot", ERR_REGISTRY_AUTH, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct scene scene = {.token_status = rows[i].status,
                              .token_body = "{\"details\": \"no \\u001b[31m canary-5ecret\", \"x\": %d}"};
        begin(&scene);
        struct credential *credential = password(canary);
        assert_int_equal(ask(&scene, credential), -1);
        assert_int_equal(scene.f->err.code, rows[i].code);
        assert_int_equal(scene.f->err.retryable, rows[i].retryable);
        assert_null(strstr(scene.f->err.detail, canary)); // a server that repeats the password
        assert_non_null(strstr(scene.f->err.hint, "job"));
        credential_unref(credential);
        struct credential *nobody = credential_new(CREDENTIAL_ANONYMOUS, NULL, NULL, "nowhere");
        assert_int_equal(ask(&scene, nobody), -1);
        if (rows[i].code == ERR_REGISTRY_AUTH && strstr("401 No 403 No", rows[i].status))
            assert_int_equal(scene.f->err.code, ERR_REGISTRY_DENIED);
        assert_null(strchr(scene.f->err.detail, '\033'));
        credential_unref(nobody);
        end(&scene);
    }
}

static void answers_R12_R13_R14(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        int64_t life_s; // 0: refused
    } rows[] = {
        {"{\"token\":\"a\"}", 60},
        {"{\"access_token\":\"a\"}", 60},
        {"{\"token\":\"\",\"access_token\":\"a\"}", 60},
        {"{\"token\":\"a\",\"expires_in\":300}", 300},
        {"{\"token\":\"a\",\"expires_in\":\"300\"}", 300},
        {"{\"token\":\"a\",\"expires_in\":300.7}", 300},
        {"{\"token\":\"a\",\"expires_in\":0}", 60},
        {"{\"token\":\"a\",\"expires_in\":-5}", 60},
        {"{\"token\":\"a\",\"expires_in\":\"soon\"}", 60},
        {"{\"token\":\"a\",\"expires_in\":1e300}", 86400},
        {"{\"token\":\"a\",\"expires_in\":-1e300}", 60},
        {"{\"token\":\"a\",\"expires_in\":9000000000000000000}", 86400},
        {"{\"token\":\"a\",\"expires_in\":null}", 60},
        {"{\"token\":\"a\",\"issued_at\":\"1970-01-01T00:00:00Z\",\"expires_in\":300}", 300},
        {"{\"token\":\"a\",\"issued_at\":\"2999-01-01T00:00:00Z\",\"expires_in\":300}", 300},
        {"{\"token\":\"a\\r\\nX-Evil: 1\"}", 0},
        {"{\"token\":\"a b\"}", 0},
        {"{\"token\":7}", 0},
        {"{}", 0},
        {"[]", 0},
        {"", 0},
        {"<html>", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        struct token *token = token_parse(rows[i].body, strlen(rows[i].body), &err);
        if (!rows[i].life_s) {
            assert_null(token);
            assert_int_equal(err.code, ERR_REGISTRY_AUTH);
            continue;
        }
        assert_non_null(token);
        assert_int_equal(token->life_ms, rows[i].life_s * 1000);
        assert_string_equal(secret_reveal(token->secret), "a");
        token_unref(token);
    }
}

// --- many jobs at once

struct job {
    struct scene *scene;
    struct net_fixture *f;
    int status;
};

static void *run_job(void *arg)
{
    struct job *job = arg;
    struct credential *credential = password("p");
    struct scene own = {.f = job->f, .server = job->scene->server, .credentials = job->scene->credentials};
    job->status = ask(&own, credential);
    credential_unref(credential);
    return NULL;
}

static void one_exchange_for_many_jobs(void **state)
{
    (void)state;
    enum { JOBS = 8 };
    struct scene scene = {.accept = "Bearer t1"};
    begin(&scene);
    pthread_t threads[JOBS];
    struct job jobs[JOBS];
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = (struct job){.scene = &scene, .f = net_fixture_new(NULL)};
        assert_int_equal(pthread_create(&threads[i], NULL, run_job, &jobs[i]), 0);
    }
    for (int i = 0; i < JOBS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(jobs[i].status, 200);
        net_fixture_free(jobs[i].f);
    }
    assert_int_equal(scene.tokens, 1);
    assert_true(credentials_forget(scene.credentials) >= 2);
    end(&scene);
}

// --- other origins

static void redirect_target(struct scripted_connection *c, struct scripted_request *r, void *arg)
{
    char got[64];
    (void)arg;
    if (str_starts(r->target, "/token"))
        scripted_reply(c, "200 OK", "", "{\"token\":\"theirs\"}", 18);
    else if (scripted_header(r, "Authorization", got, sizeof got) && str_equal(got, "Bearer theirs"))
        scripted_reply(c, "200 OK", "", "blob!", 5);
    else
        scripted_reply(c, "401 No", "WWW-Authenticate: Bearer realm=\"/token\",scope=\"x\"\r\n", "", 0);
}

static void redirecting(struct scripted_connection *c, struct scripted_request *r, void *arg)
{
    struct scene *scene = arg;
    char got[512], location[128];
    if (str_starts(r->target, "/token")) {
        serve_token(c, r, scene);
        return;
    }
    if (!scripted_header(r, "Authorization", got, sizeof got)) {
        scripted_reply(c, "401 No", scene->challenge, "", 0);
        return;
    }
    snprintf(location, sizeof location, "Location: %s\r\n", scene->accept);
    scripted_reply(c, "307 Go", location, "", 0);
}

static void leading_on(struct scripted_connection *c, struct scripted_request *r, void *arg)
{
    struct scene *scene = arg;
    if (!str_starts(r->target, "/token")) {
        serve(c, r, arg);
        return;
    }
    scripted_take_body(c, r);
    AUTO_FREE char *headers = mem_printf("Location: %s\r\n", scene->accept_later);
    scripted_reply(c, "307 Temporary Redirect", headers, "", 0);
}

// A token server that sends us elsewhere: passwords and refresh tokens stay behind, forms are not repeated
// there, and private addresses are no better for being named second.
static void realms_that_lead_on(void **state)
{
    (void)state;
    struct scripted_server *other = scripted_start(redirect_target, NULL);
    AUTO_FREE char *port = mem_printf("http://127.0.0.1:%d/token", other->port);
    AUTO_FREE char *name = mem_printf("http://localhost:%d/token", other->port);
    const char *targets[] = {port,
                             name,
                             "http://169.254.169.254/token",
                             "http://10.0.0.1/token",
                             "https://10.0.0.1:1/token",
                             "file:///etc/passwd"};
    for (size_t i = 0; i < 2 * sizeof targets / sizeof *targets; i++) {
        struct scene scene = {.accept = "Bearer nobody", .accept_later = targets[i / 2]};
        begin(&scene);
        scene.server->handler = leading_on;
        struct credential *credential =
            i % 2 ? credential_new(CREDENTIAL_IDENTITY_TOKEN, NULL, secret_new(canary), "job")
                  : password(canary);
        ask(&scene, credential);
        for (int k = 0; k < scripted_count(other); k++)
            assert_null(strstr(other->requests[k]->body ? other->requests[k]->body : "", canary));
        assert_false(scripted_saw(other, "Basic"));
        assert_false(scripted_saw(other, canary));
        assert_false(scripted_saw(other, "POST"));
        credential_unref(credential);
        end(&scene);
    }
    scripted_free(other);
}

// Behind a redirect to another origin our token is not sent; its own challenge is answered anonymously.
static void redirect_with_a_challenge_R26(void **state)
{
    (void)state;
    struct scripted_server *other = scripted_start(redirect_target, NULL);
    AUTO_FREE char *target = mem_printf("http://127.0.0.1:%d/signed", other->port);
    struct scene scene = {.accept = target};
    begin(&scene);
    scene.server->handler = redirecting;
    scene.token_body = "{\"token\":\"canary-5ecret\"}";
    struct credential *credential = password(canary);
    assert_int_equal(ask(&scene, credential), 200);
    assert_false(scripted_saw(other, canary));
    assert_false(scripted_saw(other, "Basic"));
    assert_true(scripted_saw(other, "Bearer theirs"));
    credential_unref(credential);
    end(&scene);
    scripted_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_token_for_all),
        cmocka_unit_test(scopes_of_a_mount_in_one_token_R17),
        cmocka_unit_test(silent_401_is_pinged_R01),
        cmocka_unit_test(first_challenge_that_fits_R03),
        cmocka_unit_test(realm_shapes_R05_R06_R07),
        cmocka_unit_test(realms_that_are_refused),
        cmocka_unit_test(refresh_tokens_R10_R20),
        cmocka_unit_test(password_where_only_post_is_known),
        cmocka_unit_test(no_refresh_token_is_asked_for_R21),
        cmocka_unit_test(insufficient_scope_once_R18),
        cmocka_unit_test(refusal_ends_R19),
        cmocka_unit_test(basic_is_tried_once),
        cmocka_unit_test(token_that_died_R15),
        cmocka_unit_test(failing_token_servers_R25),
        cmocka_unit_test(answers_R12_R13_R14),
        cmocka_unit_test(one_exchange_for_many_jobs),
        cmocka_unit_test(redirect_with_a_challenge_R26),
        cmocka_unit_test(realms_that_lead_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
