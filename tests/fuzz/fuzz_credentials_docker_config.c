// SPDX-License-Identifier: Apache-2.0
//
// docker's config.json and podman's auth.json. Whatever is found can be sent, or says why not.
#include "credentials/docker_config.h"
#include "credentials/helper.h"
#include "fuzz.h"

static void check_match(const struct docker_config_match *match)
{
    switch (match->kind) {
    case DOCKER_CONFIG_CREDENTIAL:
        FUZZ_ASSERT(match->credential);
        break;
    case DOCKER_CONFIG_HELPER:
        FUZZ_ASSERT(match->helper && *match->helper && match->server);
        helper_name_valid(match->helper);
        break;
    case DOCKER_CONFIG_BROKEN:
        FUZZ_ASSERT(match->why && *match->why);
        break;
    }
}

static void visit(void *arg, const struct credential_key *key, const struct docker_config_match *match)
{
    (void)arg;
    FUZZ_ASSERT(key->host && *key->host);
    check_match(match);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const registries[] = {"docker.io", "r.example:5000", "[::1]:5000", "gcr.io"};
    struct error err = ERROR_INIT;
    struct docker_config *config = docker_config_parse((const char *)data, size, "input", &err);
    if (!config) {
        FUZZ_ASSERT(err.code == ERR_REGISTRY_AUTH);
        fuzz_check_error(&err);
        return 0;
    }
    for (size_t i = 0; i < sizeof registries / sizeof *registries; i++) {
        struct docker_config_match match = {0};
        docker_config_find(config, registries[i], "team/app", &match);
        if (match.rank)
            check_match(&match);
    }
    docker_config_each(config, visit, NULL);
    docker_config_store(config);
    docker_config_free(config);
    return 0;
}
