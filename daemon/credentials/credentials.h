// SPDX-License-Identifier: Apache-2.0
//
// The credential cache, shared by all jobs: sources (docker config.json, podman auth.json, systemd
// credentials, environment, helpers, Google accounts), challenges, token exchange, tokens. Thread-safe; leaf
// lock inside. Waiters on one key wait for one bounded exchange: the only wait of a worker for a worker.
// Nothing is ever written to disk.
#pragma once

#include "base/error.h"
#include "credentials/credential.h"
#include "credentials/credential_set.h"

struct authorizer;
struct host_table;
struct transport;

struct credentials;
struct roots;

struct credentials_options {
    struct transport *transport;    // borrowed
    const struct host_table *hosts; // borrowed
    // config.json of docker; NULL: $DOCKER_CONFIG, else ~/.docker/config.json
    const char *docker_config;
    // auth.json of podman; NULL: $REGISTRY_AUTH_FILE, else $XDG_RUNTIME_DIR/containers/auth.json
    const char *auth_file;
    // directories for docker-credential-*, colon-separated; NULL: a safe default
    const char *helper_path;
    int64_t helper_deadline_ms; // default 10,000
    int64_t helper_ttl_ms;      // default 300,000
    size_t max_tokens;          // default 4096
    // a Google account's JSON file, "" for none; NULL: $GOOGLE_APPLICATION_CREDENTIALS, else gcloud's
    const char *google_credentials;
    // comma-separated hosts that a token_uri may name beside Google's; NULL: none
    const char *google_token_hosts;
    // "http://metadata.google.internal"; NULL: the metadata server is never asked
    const char *google_metadata_url;
    // borrowed: where a job's "gcp_service_account": "/path" may lie; NULL: nowhere
    const struct roots *key_roots;
};

// Texts are copied.
struct credentials *credentials_new(const struct credentials_options *options, struct error *err);
void credentials_free(struct credentials *credentials);

// Which credential serves registry/repository: the set's longest match, else the daemon's sources, else a
// Google account for Google's registries, else anonymous. May run a helper (blocks, bounded). A broken helper
// is ERR_REGISTRY_AUTH, never "try anonymous". set may be NULL. New reference.
struct credential *credentials_find(struct credentials *credentials, const struct credential_set *set,
                                    const char *registry, const char *repository, struct error *err);

enum credential_action {
    CREDENTIAL_PULL = 1,
    CREDENTIAL_PUSH = 2,
    CREDENTIAL_DELETE = 4,
    CREDENTIAL_CATALOG = 8
};

// An authorizer for requests to one registry. mount_from: another repository to ask pull for in the same
// token, or NULL; repository may be NULL too (a ping, the catalog). Takes a reference of the credential. Free
// with credentials_authorizer_free after its last request. One worker at a time.
struct authorizer *credentials_authorizer(struct credentials *credentials, struct credential *credential,
                                          const char *registry, const char *repository, unsigned actions,
                                          const char *mount_from);
void credentials_authorizer_free(struct authorizer *authorizer); // NULL is fine
// Would this text of a server give away a secret that the authorizer sent? Then it must not be shown.
bool credentials_authorizer_leaks(const struct authorizer *authorizer, const char *text);

// GET /v1/credentials: [{registry, source, kind, username, tokens: [{scope, expires_at}]}], never secrets.
json_t *credentials_list(struct credentials *credentials);
// Drops cached tokens, helper answers and remembered challenges; returns how many.
size_t credentials_forget(struct credentials *credentials);
