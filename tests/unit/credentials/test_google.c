// SPDX-License-Identifier: Apache-2.0
//
// Google accounts: the signed assertion, the token servers that a key may name, the kinds of accounts.
#include "net/net_test.h"

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/base64.h"
#include "base/json.h"
#include "base/str.h"
#include "credentials/credentials.h"
#include "credentials/google.h"

static EVP_PKEY *key;
static char *key_pem;

static int make_key(void **state)
{
    (void)state;
    key = EVP_RSA_gen(2048);
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    char *text;
    long len = BIO_get_mem_data(bio, &text);
    key_pem = mem_strndup(text, (size_t)len);
    BIO_free(bio);
    return 0;
}

static int drop_key(void **state)
{
    (void)state;
    EVP_PKEY_free(key);
    free(key_pem);
    return 0;
}

static json_t *decode_url(const char *text, size_t len)
{
    AUTO_FREE char *standard = mem_strndup(text, len);
    for (char *c = standard; *c; c++)
        *c = *c == '-' ? '+' : *c == '_' ? '/' : *c;
    void *bytes;
    size_t n;
    assert_true(base64_decode(standard, len, &bytes, &n));
    json_t *value = json_loadb(bytes, n, 0, NULL);
    free(bytes);
    return value;
}

static void assertion(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    AUTO_FREE char *jwt =
        google_jwt("a@b", "kid1", key_pem, "https://oauth2.googleapis.com/token", 1000, &err);
    assert_non_null(jwt);
    char *dot = strchr(jwt, '.'), *second = strchr(dot + 1, '.');
    AUTO_JSON json_t *header = decode_url(jwt, (size_t)(dot - jwt));
    AUTO_JSON json_t *claims = decode_url(dot + 1, (size_t)(second - dot - 1));
    assert_string_equal(json_get_string(header, "alg"), "RS256");
    assert_string_equal(json_get_string(header, "kid"), "kid1");
    assert_string_equal(json_get_string(claims, "iss"), "a@b");
    assert_string_equal(json_get_string(claims, "aud"), "https://oauth2.googleapis.com/token");
    assert_int_equal(json_get_int(claims, "iat", 0), 1000);
    assert_int_equal(json_get_int(claims, "exp", 0), 4600);
    AUTO_FREE char *signature = mem_strdup(second + 1);
    for (char *c = signature; *c; c++)
        *c = *c == '-' ? '+' : *c == '_' ? '/' : *c;
    void *bytes;
    size_t len;
    assert_true(base64_decode(signature, strlen(signature), &bytes, &len));
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_DigestVerify(context, bytes, len, (unsigned char *)jwt, (size_t)(second - jwt)), 1);
    EVP_MD_CTX_free(context);
    free(bytes);
}

static void bad_keys(void **state)
{
    (void)state;
    static const char *const pems[] = {"", "canary",
                                       "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----\n"};
    for (size_t i = 0; i < sizeof pems / sizeof *pems; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        assert_null(google_jwt("a", NULL, pems[i], "x", 0, &err));
        assert_int_equal(err.code, ERR_REGISTRY_AUTH);
        assert_null(strstr(err.detail, "canary"));
    }
}

struct google_scene {
    struct net_fixture *f;
    struct scripted_server *server;
    struct google_options options;
    char listed[32];
    const char *status;
};

static void serve(struct scripted_connection *c, struct scripted_request *r, void *arg)
{
    struct google_scene *scene = arg;
    scripted_take_body(c, r);
    static const char body[] = "{\"access_token\":\"ya29\",\"expires_in\":3599}";
    scripted_reply(c, scene->status, "", body, strlen(body));
}

static void begin(struct google_scene *scene)
{
    *scene = (struct google_scene){.status = "200 OK"};
    scene->f = net_fixture_new(NULL);
    scene->server = scripted_start(serve, scene);
    snprintf(scene->listed, sizeof scene->listed, "x.example,127.0.0.1:%d", scene->server->port);
    scene->options = (struct google_options){
        .transport = scene->f->transport, .hosts = scene->f->hosts, .token_hosts = scene->listed};
}

static void end(struct google_scene *scene)
{
    scripted_free(scene->server);
    net_fixture_free(scene->f);
}

static struct token *fetch(struct google_scene *scene, json_t *account)
{
    AUTO_FREE char *text = json_text(account);
    json_decref(account);
    struct credential *credential =
        credential_new(CREDENTIAL_GCP_SERVICE_ACCOUNT, NULL, secret_new(text), "/key.json");
    net_fixture_clear(scene->f);
    struct token *token = google_fetch(&scene->options, credential, NULL, &scene->f->err);
    credential_unref(credential);
    return token;
}

static json_t *service_account(const char *token_uri)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:s*}", "type", "service_account", "client_email", "a@b",
                     "private_key", key_pem, "private_key_id", "kid1", "token_uri", token_uri);
}

static void accounts(void **state)
{
    (void)state;
    struct google_scene scene;
    begin(&scene);
    AUTO_FREE char *uri = mem_printf("http://127.0.0.1:%d/token", scene.server->port);
    struct token *token = fetch(&scene, service_account(uri));
    assert_non_null(token);
    assert_string_equal(secret_reveal(token->secret), "ya29");
    assert_int_equal(token->life_ms, 3599000);
    token_unref(token);
    assert_true(str_starts(scene.server->requests[0]->body,
                           "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=eyJ"));
    token = fetch(&scene, json_pack("{s:s,s:s,s:s,s:s,s:s}", "type", "authorized_user", "client_id", "id",
                                    "client_secret", "cs", "refresh_token", "re/fresh", "token_uri", uri));
    assert_non_null(token);
    token_unref(token);
    assert_string_equal(scene.server->requests[1]->body,
                        "grant_type=refresh_token&client_id=id&client_secret=cs&refresh_token=re%2Ffresh");
    scene.status = "400 Bad Request";
    assert_null(fetch(&scene, service_account(uri)));
    assert_int_equal(scene.f->err.code, ERR_REGISTRY_AUTH);
    assert_non_null(strstr(scene.f->err.detail, "/key.json"));
    scene.status = "503 Later";
    assert_null(fetch(&scene, service_account(uri)));
    assert_true(scene.f->err.retryable);
    assert_null(fetch(&scene, json_pack("{s:s}", "type", "external_account")));
    assert_null(fetch(&scene, json_pack("{s:s}", "type", "service_account")));
    assert_null(fetch(&scene, json_pack("{s:s}", "type", "authorized_user")));
    end(&scene);
}

// A key of a job may not send the daemon knocking anywhere.
static void token_servers_that_are_not_googles(void **state)
{
    (void)state;
    struct google_scene scene;
    begin(&scene);
    AUTO_FREE char *own = mem_printf("http://127.0.0.1:%d/token", scene.server->port);
    scene.options.token_hosts = NULL;
    const char *const uris[] = {own,
                                "http://oauth2.googleapis.com/token",
                                "https://oauth2.googleapis.com.evil.com/token",
                                "https://oauth2.googleapis.com:8443/token",
                                "https://evil.com/oauth2.googleapis.com",
                                "https://oauth2.googleapis.com@evil.com/",
                                "http://169.254.169.254/token",
                                "file:///x",
                                ""};
    for (size_t i = 0; i < sizeof uris / sizeof *uris; i++) {
        assert_null(fetch(&scene, service_account(uris[i])));
        if (scene.f->err.code != ERR_REGISTRY_AUTH && scene.f->err.code != ERR_REGISTRY_PROTOCOL)
            fail_msg("%s: %s", uris[i], scene.f->err.detail);
    }
    assert_int_equal(scripted_count(scene.server), 0);
    // The operator's word is for the host that it names, and http for loopback only.
    scene.options.token_hosts = "10.0.0.1";
    assert_null(fetch(&scene, service_account("http://10.0.0.1/token")));
    assert_int_equal(scene.f->err.code, ERR_REGISTRY_AUTH);
    end(&scene);
}

static void metadata_server(void **state)
{
    (void)state;
    struct google_scene scene;
    char header[64];
    begin(&scene);
    AUTO_FREE char *url = mem_printf("http://127.0.0.1:%d", scene.server->port);
    scene.options.metadata_url = url;
    struct credential *credential =
        credential_new(CREDENTIAL_GCP_METADATA, NULL, NULL, "the metadata server");
    struct token *token = google_fetch(&scene.options, credential, NULL, &scene.f->err);
    assert_non_null(token);
    assert_string_equal(scripted_header(scene.server->requests[0], "Metadata-Flavor", header, sizeof header),
                        "Google");
    token_unref(token);
    credential_unref(credential);
    end(&scene);
}

static void registries(void **state)
{
    (void)state;
    static const char *const google[] = {"gcr.io", "eu.gcr.io", "us-docker.pkg.dev",
                                         "europe-west1-docker.pkg.dev"};
    static const char *const others[] = {"gcr.io.evil.com", "evilgcr.io", "pkg.dev.evil", "evilpkg.dev",
                                         "gcr.io:443",      "io",         "docker.io"};
    for (size_t i = 0; i < sizeof google / sizeof *google; i++)
        assert_true(google_registry(google[i]));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(google_registry(others[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(assertion),       cmocka_unit_test(bad_keys),
        cmocka_unit_test(accounts),        cmocka_unit_test(token_servers_that_are_not_googles),
        cmocka_unit_test(metadata_server), cmocka_unit_test(registries),
    };
    return cmocka_run_group_tests(tests, make_key, drop_key);
}
