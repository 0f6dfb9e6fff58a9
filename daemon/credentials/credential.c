// SPDX-License-Identifier: Apache-2.0
//
// Credentials as values. Made by docker_config, helper, google and by the decoder of a job's `auth`; read by
// credentials_authorizer. The identity must cover kind, name and secret: caches share what has the same
// identity.
#include "credentials/credential.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"

enum { IDENTITY_BYTES_MAX = 2 << 20 };

static void name_identity(struct credential *credential)
{
    if (credential->kind == CREDENTIAL_ANONYMOUS) {
        memcpy(credential->identity, "anonymous", sizeof "anonymous");
        return;
    }
    struct strbuf text = STRBUF_INIT(IDENTITY_BYTES_MAX);
    strbuf_printf(&text, "%d\n%s\n%s\n", credential->kind, credential->username ? credential->username : "",
                  credential->path ? credential->path : "");
    if (credential->secret)
        strbuf_append(&text, secret_reveal(credential->secret), secret_len(credential->secret));
    struct secret *whole = secret_new_bytes(strbuf_text(&text), text.len);
    secret_identity(whole, credential->identity);
    secret_free(whole);
    strbuf_wipe(&text);
}

static struct credential *make(enum credential_kind kind, const char *username, struct secret *secret,
                               const char *path, const char *source)
{
    struct credential *credential = mem_new(struct credential);
    atomic_init(&credential->refs, 1);
    credential->kind = kind;
    credential->username = mem_strdup_null(username);
    credential->secret = secret;
    credential->path = mem_strdup_null(path);
    credential->source = mem_strdup(source);
    name_identity(credential);
    return credential;
}

struct credential *credential_new(enum credential_kind kind, const char *username, struct secret *secret,
                                  const char *source)
{
    return make(kind, username, secret, NULL, source);
}

struct credential *credential_ref(struct credential *credential)
{
    atomic_fetch_add_explicit(&credential->refs, 1, memory_order_relaxed);
    return credential;
}

void credential_unref(struct credential *credential)
{
    if (!credential || atomic_fetch_sub_explicit(&credential->refs, 1, memory_order_acq_rel) != 1)
        return;
    free(credential->username);
    secret_free(credential->secret);
    free(credential->path);
    free(credential->source);
    free(credential);
}

void credential_unref_ptr(struct credential **credential)
{
    credential_unref(*credential);
}

struct credential *credential_from_login(const char *username, struct secret *password, const char *source)
{
    if (str_equal(username, "<token>"))
        return credential_new(CREDENTIAL_IDENTITY_TOKEN, NULL, password, source);
    return credential_new(CREDENTIAL_PASSWORD, username, password, source);
}

const char *credential_kind_name(enum credential_kind kind)
{
    switch (kind) {
    case CREDENTIAL_ANONYMOUS:
        return "anonymous";
    case CREDENTIAL_PASSWORD:
        return "password";
    case CREDENTIAL_BEARER:
        return "token";
    case CREDENTIAL_IDENTITY_TOKEN:
        return "identity-token";
    case CREDENTIAL_GCP_SERVICE_ACCOUNT:
        return "gcp-service-account";
    case CREDENTIAL_GCP_ACCESS_TOKEN:
        return "gcp-access-token";
    case CREDENTIAL_GCP_METADATA:
        return "gcp-metadata";
    }
    return "unknown";
}

bool credential_token_valid(const char *token)
{
    if (!*token)
        return false;
    for (const unsigned char *c = (const unsigned char *)token; *c; c++)
        if (*c <= 0x20 || *c >= 0x7f)
            return false;
    return true;
}

static struct credential *decode_login(struct json_reader *r)
{
    const char *username = json_read_string(r, "username", true);
    const char *password = json_read_string(r, "password", true);
    if (!username || !password)
        return NULL;
    if (!*username || strchr(username, ':')) {
        json_read_fail(r, "username", "a user name is not empty and has no colon");
        return NULL;
    }
    if (!*password) {
        json_read_fail(r, "password", "the password is empty");
        return NULL;
    }
    return credential_from_login(username, secret_new(password), "job");
}

static struct credential *decode_token(struct json_reader *r, const char *key, enum credential_kind kind)
{
    const char *token = json_read_string(r, key, true);
    if (!token)
        return NULL;
    if (!credential_token_valid(token)) {
        json_read_fail(r, key, "a token is printable ASCII without blanks");
        return NULL;
    }
    return credential_new(kind, NULL, secret_new(token), "job");
}

static struct credential *decode_service_account(struct json_reader *r)
{
    const char *key = "gcp_service_account";
    const json_t *value = json_read_any(r, key);
    if (json_is_string(value) && json_string_value(value)[0] == '/')
        return make(CREDENTIAL_GCP_SERVICE_ACCOUNT, NULL, NULL, json_string_value(value), "job");
    if (!json_is_object(value)) {
        json_read_fail(r, key, "this is the key as a JSON object, or the absolute path of its file");
        return NULL;
    }
    if (!json_get_string(value, "type")) {
        json_read_fail(r, key, "the key has no \"type\"");
        return NULL;
    }
    char *text = json_text(value);
    struct secret *secret = secret_new(text);
    explicit_bzero(text, strlen(text));
    free(text);
    return credential_new(CREDENTIAL_GCP_SERVICE_ACCOUNT, NULL, secret, "job");
}

static struct credential *decode_anonymous(struct json_reader *r)
{
    if (!json_read_bool(r, "anonymous", false)) {
        json_read_fail(r, "anonymous", "the only value is true");
        return NULL;
    }
    return credential_new(CREDENTIAL_ANONYMOUS, NULL, NULL, "job");
}

static struct credential *decode_members(struct json_reader *r)
{
    static const char *const forms[] = {"token", "identity_token", "gcp_service_account", "gcp_access_token",
                                        "anonymous"};
    size_t n = json_read_has(r, "username") || json_read_has(r, "password");
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        n += json_read_has(r, forms[i]);
    if (n != 1) {
        json_read_fail(r, NULL,
                       "exactly one of username with password, token, identity_token, gcp_service_account, "
                       "gcp_access_token or anonymous is expected");
        return NULL;
    }
    if (json_read_has(r, "token"))
        return decode_token(r, "token", CREDENTIAL_BEARER);
    if (json_read_has(r, "identity_token"))
        return decode_token(r, "identity_token", CREDENTIAL_IDENTITY_TOKEN);
    if (json_read_has(r, "gcp_access_token"))
        return decode_token(r, "gcp_access_token", CREDENTIAL_GCP_ACCESS_TOKEN);
    if (json_read_has(r, "gcp_service_account"))
        return decode_service_account(r);
    if (json_read_has(r, "anonymous"))
        return decode_anonymous(r);
    return decode_login(r);
}

struct credential *credential_decode(const json_t *value, const char *pointer, struct error *err)
{
    struct json_reader r;
    json_reader_init(&r, value, pointer, err);
    struct credential *credential = r.failed ? NULL : decode_members(&r);
    if (json_reader_end(&r) == 0)
        return credential;
    credential_unref(credential);
    return NULL;
}
