// SPDX-License-Identifier: Apache-2.0
//
// Reading of docker's and podman's credential files. The text is the operator's, but it is often written by
// other programs, so one entry that makes no sense must not take the others down: it is kept as broken, with
// the reason, and only who needs that registry hears of it.
#include "credentials/docker_config.h"

#include <string.h>

#include "base/base64.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

struct config_entry {
    struct credential_key key;
    char *text; // the key as written: what a helper knows the entry by
    enum docker_config_kind kind;
    struct credential *credential;
    char *helper;
    const char *why;
};

struct docker_config {
    char *source;
    char *store;
    size_t n;
    struct config_entry *entries;
};

void docker_config_free(struct docker_config *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < config->n; i++) {
        credential_key_clear(&config->entries[i].key);
        free(config->entries[i].text);
        credential_unref(config->entries[i].credential);
        free(config->entries[i].helper);
    }
    free(config->entries);
    free(config->source);
    free(config->store);
    free(config);
}

// "user:password" in base64, as docker writes it (some versions with NUL bytes at the end).
static struct credential *decode_auth(const char *text, const char *source, const char **ret_why)
{
    size_t text_len = strcspn(text, " \r\n\t");
    void *bytes;
    size_t len;
    if (!base64_decode(text, text_len, &bytes, &len)) {
        *ret_why = "its \"auth\" is not base64";
        return NULL;
    }
    char *login = bytes;
    char *colon = memchr(login, ':', len);
    struct credential *credential = NULL;
    if (!colon || colon == login) {
        *ret_why = "its \"auth\" is not the base64 of user:password";
    } else {
        *colon = '\0';
        credential = credential_from_login(login, secret_new(colon + 1), source);
    }
    explicit_bzero(bytes, len);
    free(bytes);
    return credential;
}

static struct credential *decode_token(const char *token, enum credential_kind kind, const char *source,
                                       const char **ret_why)
{
    if (credential_token_valid(token))
        return credential_new(kind, NULL, secret_new(token), source);
    *ret_why = "its token has blanks or control characters";
    return NULL;
}

static bool filled(const char *text)
{
    return text && *text;
}

// NULL without *ret_why: the entry holds nothing.
static struct credential *decode_entry(const json_t *value, const char *source, const char **ret_why)
{
    const char *token = json_get_string(value, "registrytoken");
    if (filled(token))
        return decode_token(token, CREDENTIAL_BEARER, source, ret_why);
    token = json_get_string(value, "identitytoken");
    if (filled(token))
        return decode_token(token, CREDENTIAL_IDENTITY_TOKEN, source, ret_why);
    const char *auth = json_get_string(value, "auth");
    if (filled(auth))
        return decode_auth(auth, source, ret_why);
    const char *username = json_get_string(value, "username");
    const char *password = json_get_string(value, "password");
    if (filled(username) && filled(password))
        return credential_from_login(username, secret_new(password), source);
    return NULL;
}

static struct config_entry *new_entry(struct docker_config *config, const char *key)
{
    struct config_entry *entry = &config->entries[config->n];
    if (!credential_key_parse(&entry->key, key))
        return NULL; // names no registry: nobody can ask for it
    entry->text = mem_strdup(key);
    config->n++;
    return entry;
}

static void add_auth(struct docker_config *config, const char *key, const json_t *value)
{
    struct config_entry *entry = new_entry(config, key);
    if (!entry)
        return;
    entry->credential = decode_entry(value, config->source, &entry->why);
    if (entry->credential) {
        entry->kind = DOCKER_CONFIG_CREDENTIAL;
    } else if (entry->why) {
        entry->kind = DOCKER_CONFIG_BROKEN;
    } else if (config->store) { // docker leaves an empty entry for what its store holds
        entry->kind = DOCKER_CONFIG_HELPER;
        entry->helper = mem_strdup(config->store);
    } else { // said to be anonymous
        entry->kind = DOCKER_CONFIG_CREDENTIAL;
        entry->credential = credential_new(CREDENTIAL_ANONYMOUS, NULL, NULL, config->source);
    }
}

static void add_helper(struct docker_config *config, const char *key, const json_t *value)
{
    struct config_entry *entry = new_entry(config, key);
    if (!entry)
        return;
    if (filled(json_string_value(value))) {
        entry->kind = DOCKER_CONFIG_HELPER;
        entry->helper = mem_strdup(json_string_value(value));
    } else { // an empty name switches the store off for this registry
        entry->kind = DOCKER_CONFIG_CREDENTIAL;
        entry->credential = credential_new(CREDENTIAL_ANONYMOUS, NULL, NULL, config->source);
    }
}

struct docker_config *docker_config_parse(const char *text, size_t len, const char *source, struct error *err)
{
    CLEANUP(error_clear) struct error why = ERROR_INIT;
    AUTO_JSON json_t *root = json_parse(text, len, &json_limits_small, &why);
    if (!json_is_object(root)) {
        error_set(err, ERR_REGISTRY_AUTH, "The credentials in %s cannot be read: %s", source,
                  root ? "the text is not a JSON object" : why.detail);
        error_hint(err, "Correct or remove %s", source);
        return NULL;
    }
    struct docker_config *config = mem_new(struct docker_config);
    config->source = mem_strdup(source);
    const char *store = json_get_string(root, "credsStore");
    config->store = filled(store) ? mem_strdup(store) : NULL;
    json_t *helpers = json_object_get(root, "credHelpers");
    json_t *auths = json_object_get(root, "auths");
    config->entries =
        mem_calloc(json_object_size(helpers) + json_object_size(auths) + 1, sizeof *config->entries);
    const char *key;
    json_t *value;
    // Helpers first: of two keys of one length the first is found.
    json_object_foreach(helpers, key, value) add_helper(config, key, value);
    json_object_foreach(auths, key, value) add_auth(config, key, value);
    return config;
}

static struct docker_config_match match_of(const struct config_entry *entry, size_t rank)
{
    return (struct docker_config_match){
        .rank = rank,
        .kind = entry->kind,
        .credential = entry->credential,
        .helper = entry->helper,
        .server = str_equal(entry->key.host, "docker.io") ? credential_key_server("docker.io") : entry->text,
        .why = entry->why,
    };
}

void docker_config_find(const struct docker_config *config, const char *registry, const char *repository,
                        struct docker_config_match *ret)
{
    *ret = (struct docker_config_match){0};
    for (size_t i = 0; i < config->n; i++) {
        const struct config_entry *entry = &config->entries[i];
        size_t rank = credential_key_match(&entry->key, registry, repository);
        if (rank > ret->rank)
            *ret = match_of(entry, rank);
    }
}

const char *docker_config_store(const struct docker_config *config)
{
    return config->store;
}

const char *docker_config_source(const struct docker_config *config)
{
    return config->source;
}

void docker_config_each(const struct docker_config *config,
                        void (*visit)(void *arg, const struct credential_key *key,
                                      const struct docker_config_match *match),
                        void *arg)
{
    for (size_t i = 0; i < config->n; i++) {
        struct docker_config_match match = match_of(&config->entries[i], 1);
        visit(arg, &config->entries[i].key, &match);
    }
}
