// SPDX-License-Identifier: Apache-2.0
//
// What credentials.c, credentials_authorizer.c and credentials_list.c share. Of this room only.
#pragma once

#include "credentials/credentials.h"
#include "credentials/google.h"
#include "credentials/realm_memory.h"
#include "credentials/single_flight.h"
#include "credentials/sources.h"
#include "net/exchange.h"

struct credentials {
    struct transport *transport;
    const struct host_table *hosts;
    struct sources *sources;
    struct single_flight *helpers;       // "name server" ▸ struct credential
    struct single_flight *tokens;        // "origin realm service scope identity" ▸ struct token
    struct single_flight *google_tokens; // identity ▸ struct token
    struct realm_memory *realms;
    struct google_options google;
    struct credential *anonymous;
    const struct roots *key_roots;
    char *google_credentials;
    char *helper_path;
    int64_t helper_deadline_ms;
    int64_t helper_ttl_ms;
};

// The access token of a Google credential, cached. New reference or NULL.
struct token *credentials_google_token(struct credentials *credentials, const struct credential *credential,
                                       struct monitor *monitor, struct error *err);
