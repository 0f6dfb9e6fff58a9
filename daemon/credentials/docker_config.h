// SPDX-License-Identifier: Apache-2.0
//
// docker's config.json and podman's auth.json (containers-auth.json(5)) as data: `auths` (auth, username and
// password, identitytoken, registrytoken, empty entries), `credHelpers`, `credsStore`. Unknown members are
// ignored. Immutable.
#pragma once

#include "credentials/credential.h"
#include "credentials/credential_key.h"

struct error;
struct docker_config;

// source: what people call this file. ERR_REGISTRY_AUTH if the text is not a JSON object; one odd entry harms
// only itself.
struct docker_config *docker_config_parse(const char *text, size_t len, const char *source,
                                          struct error *err);
void docker_config_free(struct docker_config *config); // NULL is fine

enum docker_config_kind {
    DOCKER_CONFIG_CREDENTIAL, // `credential` (borrowed)
    DOCKER_CONFIG_HELPER,     // ask docker-credential-`helper` for `server` (borrowed)
    DOCKER_CONFIG_BROKEN,     // `why` (borrowed)
};

struct docker_config_match {
    size_t rank; // as credential_key_match; 0: none
    enum docker_config_kind kind;
    struct credential *credential;
    const char *helper;
    const char *server;
    const char *why;
};

// The longest key that matches. A helper named for the key wins over a stored entry of the same length.
void docker_config_find(const struct docker_config *config, const char *registry, const char *repository,
                        struct docker_config_match *ret);
const char *docker_config_store(const struct docker_config *config); // credsStore or NULL
const char *docker_config_source(const struct docker_config *config);
// For listings: every key with what stands behind it.
void docker_config_each(const struct docker_config *config,
                        void (*visit)(void *arg, const struct credential_key *key,
                                      const struct docker_config_match *match),
                        void *arg);
