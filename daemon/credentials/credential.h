// SPDX-License-Identifier: Apache-2.0
//
// One credential as a value: what a docker config, a helper, a job's `auth` or the environment says about a
// registry. Immutable once made, reference counted, any thread.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "base/json.h"
#include "base/secret.h"

enum credential_kind {
    CREDENTIAL_ANONYMOUS,      // said explicitly
    CREDENTIAL_PASSWORD,       // username + password: Basic, or Basic at the token realm
    CREDENTIAL_BEARER,         // a registry token used as it is
    CREDENTIAL_IDENTITY_TOKEN, // OAuth2 refresh token
    CREDENTIAL_GCP_SERVICE_ACCOUNT,
    CREDENTIAL_GCP_ACCESS_TOKEN,
    CREDENTIAL_GCP_METADATA, // the metadata server of the machine; only where configured
};

struct credential {
    atomic_int refs;
    enum credential_kind kind;
    char *username;
    struct secret *secret; // password, token, refresh token, or the JSON text of a Google account
    char *path;            // a Google account in a file that is not read yet (secret is NULL then); else NULL
    char *source;      // for people: "job", "/root/.docker/config.json", "helper ecr-login", "environment"
    char identity[17]; // one-way name for cache keys; "anonymous" for none
};

struct credential *credential_new(enum credential_kind kind, const char *username, struct secret *secret,
                                  const char *source); // takes the secret
struct credential *credential_ref(struct credential *credential);
void credential_unref(struct credential *credential);      // NULL is fine
void credential_unref_ptr(struct credential **credential); // for CLEANUP
#define AUTO_CREDENTIAL CLEANUP(credential_unref_ptr)
// One value of a job's `auth` member: {username,password} | {token} | {identity_token} |
// {gcp_service_account} | {gcp_access_token} | {anonymous: true}. ERR_INVALID_REQUEST with the pointer; never
// repeats a value in the text.
struct credential *credential_decode(const json_t *value, const char *pointer, struct error *err);
// Username and password as files and helpers give them: "<token>" (or an all-zero GUID) as the name marks a
// refresh token. Takes the secret.
struct credential *credential_from_login(const char *username, struct secret *password, const char *source);
const char *credential_kind_name(enum credential_kind kind); // "password", "token", "identity-token" …
// Only printable ASCII without blanks: what may stand in an Authorization header as it is.
bool credential_token_valid(const char *token);
