// SPDX-License-Identifier: Apache-2.0
//
// Google accounts. The one door of OpenSSL's signatures. A key's token_uri comes from whoever wrote the key –
// a job's caller – so it may only name Google's own token servers or those the operator lists: an assertion
// signed for another server would be of no use there, but the request alone would make the daemon knock at
// any address.
#include "credentials/google.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"

enum { GOOGLE_BODY_MAX = 1 << 20, FORM_MAX = 64 << 10, JWT_LIFE_S = 3600, SIGNATURE_MAX = 2048 };

static const char default_token_uri[] = "https://oauth2.googleapis.com/token";
static const char scope[] = "https://www.googleapis.com/auth/cloud-platform";
static const char metadata_path[] = "/computeMetadata/v1/instance/service-accounts/default/token";

bool google_registry(const char *registry)
{
    return str_equal(registry, "gcr.io") || str_ends(registry, ".gcr.io") || str_ends(registry, ".pkg.dev");
}

// --- the assertion (RFC 7523)

static int sign(const char *pem, const char *text, char **ret, struct error *err)
{
    unsigned char signature[SIGNATURE_MAX];
    size_t len = sizeof signature;
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)"") : NULL;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool signed_well =
        key && EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_size(key) <= SIGNATURE_MAX &&
        EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
        EVP_DigestSign(context, signature, &len, (const unsigned char *)text, strlen(text)) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    BIO_free(bio);
    if (!signed_well)
        return error_set(err, ERR_REGISTRY_AUTH, "its private_key is not an RSA key in PEM");
    *ret = base64_encode_url(signature, len);
    return 0;
}

static char *encode_json(json_t *value)
{
    char *text = json_text(value);
    json_decref(value);
    char *encoded = base64_encode_url(text, strlen(text));
    free(text);
    return encoded;
}

char *google_jwt(const char *email, const char *key_id, const char *private_key_pem, const char *audience,
                 int64_t now_s, struct error *err)
{
    AUTO_FREE char *header =
        encode_json(json_pack("{s:s, s:s, s:s*}", "alg", "RS256", "typ", "JWT", "kid", key_id));
    AUTO_FREE char *claims =
        encode_json(json_pack("{s:s, s:s, s:s, s:I, s:I}", "iss", email, "scope", scope, "aud", audience,
                              "iat", (json_int_t)now_s, "exp", (json_int_t)(now_s + JWT_LIFE_S)));
    AUTO_FREE char *body = mem_printf("%s.%s", header, claims);
    AUTO_FREE char *signature = NULL;
    if (sign(private_key_pem, body, &signature, err) < 0)
        return NULL;
    return mem_printf("%s.%s", body, signature);
}

// --- the token server

static bool listed(const char *hosts, const char *host, int port)
{
    AUTO_FREE char *with_port = mem_printf("%s:%d", host, port);
    for (const char *at = hosts ? hosts : ""; *(at += strspn(at, ", "));) {
        size_t len = strcspn(at, ", ");
        AUTO_FREE char *name = mem_strndup(at, len);
        if (str_equal_case(name, host) || str_equal_case(name, with_port))
            return true;
        at += len;
    }
    return false;
}

static int token_server(const struct google_options *options, const char *uri, struct http_call *call,
                        struct error *err)
{
    static const char *const google[] = {"oauth2.googleapis.com", "www.googleapis.com",
                                         "accounts.google.com"};
    if (url_parse(&call->url, uri ? uri : default_token_uri, err) < 0)
        return error_wrap(err, "its token_uri");
    bool own = false;
    for (size_t i = 0; i < sizeof google / sizeof *google; i++)
        own = own || str_equal(call->url.host, google[i]);
    if (own && str_equal(call->url.scheme, "https") && call->url.port == 443)
        return 0;
    if (listed(options->token_hosts, call->url.host, call->url.port)) {
        call->private_allowed = true;
        if (str_equal(call->url.scheme, "https") || url_is_loopback_name(call->url.host))
            return 0;
    }
    AUTO_FREE char *quoted = str_url_for_log(uri);
    error_set(err, ERR_REGISTRY_AUTH, "its token_uri %s is not one of Google's", quoted);
    error_hint(err, "The operator can allow it in the daemon's configuration (google token hosts)");
    return -1;
}

static struct token *read_answer(const struct http_call *call, const struct http_answer *answer,
                                 const char *source, const struct secret *secret, struct error *err)
{
    if (answer->status == 200)
        return token_parse(answer->body, answer->body_len, err);
    AUTO_FREE char *said = token_refusal_text(answer->body, answer->body_len, secret);
    enum error_code code =
        answer->status == 429 || answer->status >= 500 ? ERR_REGISTRY_ERROR : ERR_REGISTRY_AUTH;
    error_set(err, code, "%s answered %d%s%s%s", call->url.host, answer->status, said ? " (" : "",
              said ? said : "", said ? ")" : "");
    error_hint(err, "The Google account came from %s; check that it is right and not disabled", source);
    return NULL;
}

static struct token *perform(const struct google_options *options, struct http_call *call, const char *source,
                             const struct secret *secret, struct error *err)
{
    struct exchange exchange = {
        .transport = options->transport,
        .hosts = options->hosts,
        .redirect_kind = call->body ? URL_REDIRECT_BODY : URL_REDIRECT,
    };
    struct http_answer answer = {0};
    call->max_body = GOOGLE_BODY_MAX;
    if (exchange_perform(&exchange, call, &answer, err) < 0)
        return NULL;
    struct token *token = read_answer(call, &answer, source, secret, err);
    http_answer_clear(&answer);
    return token;
}

static void put_field(struct strbuf *form, const char *name, const char *value)
{
    if (form->len)
        strbuf_putc(form, '&');
    strbuf_printf(form, "%s=", name);
    strbuf_put_escaped(form, value ? value : "", "");
}

static struct token *post(const struct google_options *options, const char *uri, struct strbuf *form,
                          const struct credential *credential, const char *secret, struct monitor *monitor,
                          struct error *err)
{
    struct http_call call = {.method = "POST", .monitor = monitor};
    struct secret *hidden = secret_new(secret);
    struct token *token = NULL;
    if (token_server(options, uri, &call, err) == 0) {
        http_headers_add(&call.headers, "content-type", "application/x-www-form-urlencoded");
        call.body = strbuf_text(form);
        call.body_len = (int64_t)form->len;
        token = perform(options, &call, credential->source, hidden, err);
    }
    secret_free(hidden);
    http_call_clear(&call);
    return token;
}

// --- the three kinds

static struct token *fetch_service_account(const struct google_options *options,
                                           const struct credential *credential, const json_t *root,
                                           struct monitor *monitor, struct error *err)
{
    const char *email = json_get_string(root, "client_email");
    const char *key = json_get_string(root, "private_key");
    const char *uri = json_get_string(root, "token_uri");
    if (!email || !key) {
        error_set(err, ERR_REGISTRY_AUTH, "it lacks client_email or private_key");
        return NULL;
    }
    AUTO_FREE char *jwt = google_jwt(email, json_get_string(root, "private_key_id"), key,
                                     uri ? uri : default_token_uri, clock_wall_ms() / 1000, err);
    if (!jwt)
        return NULL;
    struct strbuf form = STRBUF_INIT(FORM_MAX);
    put_field(&form, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
    put_field(&form, "assertion", jwt);
    struct token *token = post(options, uri, &form, credential, jwt, monitor, err);
    strbuf_wipe(&form);
    return token;
}

static struct token *fetch_authorized_user(const struct google_options *options,
                                           const struct credential *credential, const json_t *root,
                                           struct monitor *monitor, struct error *err)
{
    const char *refresh = json_get_string(root, "refresh_token");
    if (!refresh) {
        error_set(err, ERR_REGISTRY_AUTH, "it lacks refresh_token");
        return NULL;
    }
    struct strbuf form = STRBUF_INIT(FORM_MAX);
    put_field(&form, "grant_type", "refresh_token");
    put_field(&form, "client_id", json_get_string(root, "client_id"));
    put_field(&form, "client_secret", json_get_string(root, "client_secret"));
    put_field(&form, "refresh_token", refresh);
    struct token *token =
        post(options, json_get_string(root, "token_uri"), &form, credential, refresh, monitor, err);
    strbuf_wipe(&form);
    return token;
}

static struct token *fetch_account(const struct google_options *options, const struct credential *credential,
                                   struct monitor *monitor, struct error *err)
{
    CLEANUP(error_clear) struct error why = ERROR_INIT;
    AUTO_JSON json_t *root = json_parse(secret_reveal(credential->secret), secret_len(credential->secret),
                                        &json_limits_small, &why);
    const char *type = json_get_string(root, "type");
    if (str_equal(type, "service_account"))
        return fetch_service_account(options, credential, root, monitor, err);
    if (str_equal(type, "authorized_user"))
        return fetch_authorized_user(options, credential, root, monitor, err);
    error_set(err, ERR_REGISTRY_AUTH, "its type is neither service_account nor authorized_user");
    return NULL;
}

// An explicit exception to the address policy: it exists only if the operator wrote the URL.
static struct token *fetch_metadata(const struct google_options *options, const struct credential *credential,
                                    struct monitor *monitor, struct error *err)
{
    struct http_call call = {.method = "GET", .monitor = monitor, .private_allowed = true};
    struct token *token = NULL;
    AUTO_FREE char *url = mem_printf("%s%s", options->metadata_url, metadata_path);
    if (url_parse(&call.url, url, err) == 0) {
        http_headers_add(&call.headers, "metadata-flavor", "Google");
        token = perform(options, &call, credential->source, NULL, err);
    }
    http_call_clear(&call);
    return token;
}

struct token *google_fetch(const struct google_options *options, const struct credential *credential,
                           struct monitor *monitor, struct error *err)
{
    struct token *token = credential->kind == CREDENTIAL_GCP_METADATA
                              ? fetch_metadata(options, credential, monitor, err)
                              : fetch_account(options, credential, monitor, err);
    if (!token)
        error_wrap(err, "The Google account of %s gives no access token", credential->source);
    return token;
}
