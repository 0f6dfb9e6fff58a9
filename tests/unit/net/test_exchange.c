// SPDX-License-Identifier: Apache-2.0
//
// exchange: redirects, challenges, and where the credentials go. "canary" is a secret that may be seen by the
// origin only.
#include "net_test.h"

#include "base/str.h"

struct fake {
    struct authorizer authorizer;
    int authorized, challenged, foreigners;
    int answer; // of challenge
    bool foreign;
};

static int fake_authorize(struct authorizer *a, const struct url *url, struct monitor *monitor,
                          struct secret **ret, struct error *err)
{
    struct fake *fake = (struct fake *)a;
    char text[64];
    (void)url;
    (void)monitor;
    (void)err;
    snprintf(text, sizeof text, fake->foreign ? "Bearer anonymous" : "Bearer canary-%d", fake->challenged);
    fake->authorized++;
    *ret = fake->foreign && !fake->challenged ? NULL : secret_new(text);
    return 0;
}

static int fake_challenge(struct authorizer *a, const struct url *url, const struct http_answer *answer,
                          struct monitor *monitor, struct error *err)
{
    struct fake *fake = (struct fake *)a;
    (void)url;
    (void)monitor;
    assert_true(answer->status == 401 || answer->status == 403);
    fake->challenged++;
    return fake->answer < 0 ? error_set(err, ERR_REGISTRY_AUTH, "the helper is broken") : fake->answer;
}

static struct authorizer *fake_foreign(struct authorizer *a, const struct url *url);
static void fake_foreign_free(struct authorizer *a)
{
    free(a);
}

static const struct authorizer_ops fake_ops = {.authorize = fake_authorize, .challenge = fake_challenge};
static const struct authorizer_ops foreign_ops = {.authorize = fake_authorize,
                                                  .challenge = fake_challenge,
                                                  .foreign = fake_foreign,
                                                  .foreign_free = fake_foreign_free};

static struct authorizer *fake_foreign(struct authorizer *a, const struct url *url)
{
    struct fake *fake = mem_new(struct fake);
    (void)url;
    ((struct fake *)a)->foreigners++;
    *fake = (struct fake){.authorizer.ops = &fake_ops, .answer = 1, .foreign = true};
    return &fake->authorizer;
}

struct world {
    struct net_fixture *f;
    struct scripted_server *origin, *other;
    struct fake fake;
    char location[512];
    int status;       // of the redirect
    int unauthorized; // origin: the first n answers to /v2/ are 401
    int other_status; // of the other server; 0: 200
    const char *other_headers;
    int hops; // redirects within the origin before the end; -1 for ever
};

static void origin_handler(struct scripted_connection *c, struct scripted_request *r, void *arg)
{
    struct world *w = arg;
    char headers[1024] = "";
    scripted_take_body(c, r);
    bool head = strcmp(r->method, "HEAD") == 0;
    if (w->unauthorized != 0) {
        w->unauthorized--;
        scripted_reply(c, "401 Who", "WWW-Authenticate: Bearer realm=\"https://a/t\"\r\n", "", 0);
    } else if (w->hops != 0) {
        w->hops--;
        scripted_reply(c, "302 Found", "Location: next\r\n", "", 0);
    } else if (w->status && strstr(r->target, "/landed") == NULL) {
        if (w->location[0])
            snprintf(headers, sizeof headers, "Location: %s\r\n", w->location);
        scripted_printf(c, "HTTP/1.1 %d Redirect\r\nContent-Length: 0\r\n%s\r\n", w->status, headers);
    } else {
        scripted_reply(c, "200 OK", "", "origin", head ? 0 : 6);
    }
}

static void other_handler(struct scripted_connection *c, struct scripted_request *r, void *arg)
{
    struct world *w = arg;
    char status[32];
    scripted_take_body(c, r);
    char text[256];
    const char *sent = scripted_header(r, "Authorization", text, sizeof text);
    bool ok = !w->other_status || (sent && strcmp(sent, "Bearer anonymous") == 0);
    snprintf(status, sizeof status, "%d Other", ok ? 200 : w->other_status);
    scripted_reply(c, status, ok || !w->other_headers ? "" : w->other_headers, "other",
                   strcmp(r->method, "HEAD") == 0 ? 0 : 5);
}

static struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof *w);
    w->f = net_fixture_new(NULL);
    w->fake = (struct fake){.authorizer.ops = &fake_ops, .answer = 1};
    w->origin = scripted_start(origin_handler, w);
    w->other = scripted_start(other_handler, w);
    return w;
}

static void world_free(struct world *w)
{
    scripted_free(w->origin);
    scripted_free(w->other);
    net_fixture_free(w->f);
    free(w);
}

static int go(struct world *w, const char *method, bool with_authorizer)
{
    struct http_call call = net_call(w->origin, method, "/v2/a/blobs/x?y=z");
    bool body = str_equal(method, "PUT") || str_equal(method, "POST");
    struct exchange exchange = {w->f->transport, w->f->hosts, with_authorizer ? &w->fake.authorizer : NULL,
                                body ? URL_REDIRECT_BODY : URL_REDIRECT};
    call.body = body ? "canary-body" : NULL;
    call.body_len = body ? 11 : 0;
    http_headers_add(&call.headers, "Accept", "x/y");
    http_headers_add(&call.headers, "Range", "bytes=1-");
    http_headers_add(&call.headers, "X-Registry-Own", "canary-header");
    net_fixture_clear(w->f);
    int rc = exchange_perform(&exchange, &call, &w->f->answer, &w->f->err);
    http_call_clear(&call);
    return rc;
}

static void test_plain(void **state)
{
    struct world *w = world_new();
    (void)state;
    assert_int_equal(go(w, "GET", true), 0);
    assert_string_equal(w->f->answer.body, "origin");
    assert_int_equal(w->f->answer.url.port, w->origin->port);
    assert_string_equal(w->f->answer.url.query, "y=z");
    assert_false(w->f->answer.redirected_origin);
    assert_true(scripted_saw(w->origin, "Authorization: Bearer canary-0\r\n"));
    assert_int_equal(w->fake.authorized, 1);
    assert_int_equal(go(w, "GET", false), 0);
    assert_int_equal(scripted_count(w->origin), 2);
    world_free(w);
}

enum { SAME, PORT, NAME, SUBDOMAIN, USERINFO, DOWN, UNKNOWN, SHAPES };

static void set_location(struct world *w, int shape)
{
    static const char *const formats[SHAPES] = {
        [SAME] = "http://127.0.0.1:%d/landed?signature=%%2Fab+c",
        [PORT] = "http://127.0.0.1:%d/landed?s=1",
        [NAME] = "http://localhost:%d/landed",
        [SUBDOMAIN] = "http://a.localhost:%d/landed",
        [USERINFO] = "http://user:pw@127.0.0.1:%d/landed",
        [DOWN] = "ftp://127.0.0.1:%d/landed",
        [UNKNOWN] = "http://169.254.169.254:%d/latest/meta-data",
    };
    snprintf(w->location, sizeof w->location, formats[shape],
             shape == SAME ? w->origin->port : w->other->port);
}

// {301, 302, 303, 307, 308} × shapes × methods: what is followed, and that no secret gets away.
static void test_redirect_grid(void **state)
{
    static const int statuses[] = {301, 302, 303, 307, 308};
    static const char *const methods[] = {"GET", "HEAD", "PUT"};
    (void)state;
    for (int s = 0; s < 5; s++)
        for (int shape = 0; shape < SHAPES; shape++)
            for (int m = 0; m < 3; m++) {
                struct world *w = world_new();
                w->status = statuses[s];
                set_location(w, shape);
                bool body = m == 2, kept = statuses[s] >= 307;
                int rc = go(w, methods[m], true);
                bool away = shape == PORT || shape == NAME || shape == SUBDOMAIN;
                if (body && !kept) {
                    assert_int_equal(rc, 0); // not followed: the caller sees it
                    assert_int_equal(w->f->answer.status, statuses[s]);
                } else if (shape == SAME || (away && !body)) {
                    assert_int_equal(rc, 0);
                    assert_int_equal(w->f->answer.status, 200);
                    assert_int_equal(w->f->answer.redirected_origin, away);
                    assert_string_equal(w->f->answer.url.path, "/landed");
                } else {
                    assert_int_equal(rc, -1);
                    assert_int_equal(w->f->err.code, ERR_REGISTRY_PROTOCOL);
                }
                assert_false(scripted_saw(w->other, "canary"));
                assert_false(scripted_saw(w->other, "Authorization"));
                if (away && !body) {
                    assert_true(scripted_saw(w->other, "Range: bytes=1-\r\n"));
                    assert_string_equal(w->other->requests[0]->method, methods[m]);
                }
                if (shape == SAME && kept && body) {
                    assert_string_equal(w->origin->requests[1]->body, "canary-body");
                    assert_true(strstr(w->origin->requests[1]->head, "X-Registry-Own") != NULL);
                }
                world_free(w);
            }
}

// The bytes of a signed URL arrive as they were given.
static void test_signed_urls(void **state)
{
    struct world *w = world_new();
    (void)state;
    w->status = 307;
    snprintf(w->location, sizeof w->location,
             "http://127.0.0.1:%d/b//c/%%7eX?X-Amz-Signature=a%%2Fb+c%%20d&e={}|^", w->other->port);
    assert_int_equal(go(w, "GET", true), 0);
    assert_string_equal(w->other->requests[0]->target, "/b//c/%7eX?X-Amz-Signature=a%2Fb+c%20d&e={}|^");
    world_free(w);
}

//
static void test_chains_and_loops(void **state)
{
    struct world *w = world_new();
    (void)state;
    w->hops = 10;
    assert_int_equal(go(w, "GET", true), 0);
    assert_int_equal(w->f->answer.status, 200);
    w->hops = 11;
    assert_int_equal(go(w, "GET", true), -1);
    assert_int_equal(w->f->err.code, ERR_REGISTRY_PROTOCOL);
    w->hops = -1;
    assert_int_equal(go(w, "GET", true), -1);
    assert_int_equal(w->f->err.code, ERR_REGISTRY_PROTOCOL);
    w->hops = 0;
    w->status = 302; // without a Location
    assert_int_equal(go(w, "GET", true), -1);
    assert_int_equal(w->f->err.code, ERR_REGISTRY_PROTOCOL);
    assert_non_null(strstr(w->f->err.detail, "Location"));
    world_free(w);
}

static void test_challenges(void **state)
{
    struct world *w = world_new();
    (void)state;
    w->unauthorized = 1;
    assert_int_equal(go(w, "GET", true), 0);
    assert_int_equal(w->f->answer.status, 200);
    assert_true(scripted_saw(w->origin, "Bearer canary-1\r\n"));
    world_free(w);
    // for ever: two rounds, then the answer stands
    w = world_new();
    w->unauthorized = -1;
    assert_int_equal(go(w, "PUT", true), 0);
    assert_int_equal(w->f->answer.status, 401);
    assert_int_equal(scripted_count(w->origin), 3);
    assert_int_equal(w->fake.challenged, 2);
    world_free(w);
    // nothing can be tried
    w = world_new();
    w->unauthorized = -1;
    w->fake.answer = 0;
    assert_int_equal(go(w, "GET", true), 0);
    assert_int_equal(w->f->answer.status, 401);
    assert_int_equal(scripted_count(w->origin), 1);
    world_free(w);
    // the authorizer fails: that ends it
    w = world_new();
    w->unauthorized = -1;
    w->fake.answer = -1;
    assert_int_equal(go(w, "GET", true), -1);
    assert_int_equal(w->f->err.code, ERR_REGISTRY_AUTH);
    world_free(w);
    // anonymous
    w = world_new();
    w->unauthorized = -1;
    assert_int_equal(go(w, "GET", false), 0);
    assert_int_equal(w->f->answer.status, 401);
    assert_int_equal(scripted_count(w->origin), 1);
    world_free(w);
}

static void scope_handler(struct scripted_connection *c, struct scripted_request *r, void *arg)
{
    (void)arg;
    if (r->number == 1)
        scripted_reply(c, "403 No", "WWW-Authenticate: Bearer realm=\"x\",error=\"insufficient_scope\"\r\n",
                       "", 0);
    else if (r->number == 2)
        scripted_reply(c, "403 No", "", "", 0); // a plain 403 is no challenge
    else
        abort();
}

//
static void test_insufficient_scope(void **state)
{
    struct world *w = world_new();
    (void)state;
    scripted_free(w->origin);
    w->origin = scripted_start(scope_handler, w);
    assert_int_equal(go(w, "GET", true), 0);
    assert_int_equal(w->f->answer.status, 403);
    assert_int_equal(w->fake.challenged, 1);
    world_free(w);
}

// The target of a redirect asks for credentials: it never gets ours.
static void test_challenge_elsewhere(void **state)
{
    (void)state;
    for (int foreign = 0; foreign < 2; foreign++) {
        struct world *w = world_new();
        w->fake.authorizer.ops = foreign ? &foreign_ops : &fake_ops;
        w->status = 307;
        w->other_status = 401;
        w->other_headers =
            "WWW-Authenticate: Basic realm=\"x\"\r\nWWW-Authenticate: Bearer realm=\"https://a/t\"\r\n";
        set_location(w, PORT);
        assert_int_equal(go(w, "GET", true), 0);
        assert_int_equal(w->f->answer.status, foreign ? 200 : 401);
        assert_int_equal(w->fake.challenged, 0);
        assert_int_equal(w->fake.foreigners, foreign);
        assert_int_equal(scripted_count(w->other), foreign ? 2 : 1);
        assert_false(scripted_saw(w->other, "canary"));
        world_free(w);
    }
}

static void bounce_handler(struct scripted_connection *c, struct scripted_request *r, void *arg)
{
    struct world *w = arg;
    char headers[256];
    (void)r;
    snprintf(headers, sizeof headers, "Location: http://127.0.0.1:%d/landed/secret\r\n", w->origin->port);
    scripted_reply(c, "302 Found", headers, "", 0);
}

// origin ▸ elsewhere ▸ origin: elsewhere must not be able to aim our credentials at a path of its choice.
static void test_no_credentials_after_a_detour(void **state)
{
    struct world *w = world_new();
    (void)state;
    scripted_free(w->other);
    w->other = scripted_start(bounce_handler, w);
    w->status = 307;
    set_location(w, PORT);
    assert_int_equal(go(w, "GET", true), 0);
    assert_int_equal(scripted_count(w->origin), 2);
    assert_non_null(strstr(w->origin->requests[0]->head, "Authorization"));
    assert_null(strstr(w->origin->requests[1]->head, "Authorization"));
    assert_null(strstr(w->origin->requests[1]->head, "canary"));
    world_free(w);
}

// A registry on loopback may lead to loopback, but no registry leads to the metadata service; a public one
// not inside.
static void test_addresses(void **state)
{
    struct world *w = world_new();
    (void)state;
    w->status = 307;
    set_location(w, UNKNOWN);
    assert_int_equal(go(w, "GET", true), -1);
    assert_int_equal(w->f->err.code, ERR_REGISTRY_PROTOCOL);
    assert_non_null(strstr(w->f->err.detail, "link-local"));
    snprintf(w->location, sizeof w->location, "http://10.255.255.1:%d/", w->other->port);
    assert_int_equal(go(w, "GET", true), -1);
    assert_int_equal(w->f->err.code, ERR_REGISTRY_PROTOCOL);
    assert_non_null(strstr(w->f->err.detail, "private"));
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_redirect_grid),
        cmocka_unit_test(test_signed_urls),
        cmocka_unit_test(test_chains_and_loops),
        cmocka_unit_test(test_challenges),
        cmocka_unit_test(test_insufficient_scope),
        cmocka_unit_test(test_challenge_elsewhere),
        cmocka_unit_test(test_no_credentials_after_a_detour),
        cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
