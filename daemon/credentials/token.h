// SPDX-License-Identifier: Apache-2.0
//
// Getting a registry token from a token server (distribution's docs/spec/auth/token and /oauth): GET with
// Basic, or OAuth2 POST, each falling back to the other where servers refuse one. Blocks; worker.
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "credentials/credential.h"
#include "net/exchange.h"

struct token {
    atomic_int refs;
    struct secret *secret;
    int64_t life_ms; // from its arrival, clamped to [60 s, 24 h]
};

struct token *token_new(struct secret *secret, int64_t life_ms); // takes the secret
void *token_ref(void *token);
void token_unref(void *token); // NULL is fine

struct token_ask {
    struct transport *transport;
    const struct host_table *hosts;
    const struct url *origin;            // of the request that was challenged
    enum address_class origin_class;     // where the origin was found
    const char *registry;                // for texts
    const char *realm;                   // as the challenge gave it; may be relative
    const char *service;                 // or NULL
    const char *scope;                   // blank-separated, may be ""
    const struct credential *credential; // anonymous, password (also for Google accounts) or identity token
    struct monitor *monitor;
};

// New token or NULL: ERR_REGISTRY_AUTH (the realm refused), ERR_REGISTRY_DENIED (it refused an anonymous
// request), ERR_REGISTRY_RATE_LIMIT, ERR_REGISTRY_ERROR, ERR_REGISTRY_UNREACHABLE, ERR_REGISTRY_PROTOCOL,
// ERR_CANCELLED.
struct token *token_fetch(const struct token_ask *ask, struct error *err);
// Reads a token answer (JSON). at_ms is not needed: life counts from arrival. NULL: ERR_REGISTRY_AUTH.
struct token *token_parse(const char *body, size_t len, struct error *err);
// "Basic …"; caller frees.
struct secret *token_basic(const char *username, const struct secret *password);
// What the server said about a failure, in one line, without any of the secrets; NULL if nothing usable.
// Caller frees.
char *token_refusal_text(const char *body, size_t len, const struct secret *secret);
