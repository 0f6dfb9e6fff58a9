// SPDX-License-Identifier: Apache-2.0
//
// Composes the room: which credential serves a repository, from the job's own, the daemon's sources, helpers
// and Google accounts. Called by registry on workers and by handlers (listing, forgetting) on the loop.
#include "credentials/credentials.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/stream.h"
#include "credentials/credentials_room.h"
#include "credentials/helper.h"

enum {
    HELPERS_MAX = 1024,
    REALMS_MAX = 1024,
    GOOGLE_MAX = 256,
    WAIT_MS = 60000,
    FAILURE_MS = 5000,
    KEY_BYTES_MAX = 64 << 10
};

static const char default_helper_path[] = "/usr/local/bin:/usr/bin:/usr/local/sbin:/usr/sbin:/bin:/snap/bin";

static void *ref_credential(void *credential)
{
    return credential_ref(credential);
}

static void unref_credential(void *credential)
{
    credential_unref(credential);
}

static void make_caches(struct credentials *credentials, size_t max_tokens)
{
    credentials->helpers =
        single_flight_new(&(struct single_flight_options){.ref = ref_credential,
                                                          .unref = unref_credential,
                                                          .max_entries = HELPERS_MAX,
                                                          .wait_ms = credentials->helper_deadline_ms + 5000,
                                                          .failure_ttl_ms = FAILURE_MS,
                                                          .what = "the answer of a credential helper"});
    credentials->tokens =
        single_flight_new(&(struct single_flight_options){.ref = token_ref,
                                                          .unref = token_unref,
                                                          .max_entries = max_tokens,
                                                          .wait_ms = WAIT_MS,
                                                          .what = "a token of the registry"});
    credentials->google_tokens =
        single_flight_new(&(struct single_flight_options){.ref = token_ref,
                                                          .unref = token_unref,
                                                          .max_entries = GOOGLE_MAX,
                                                          .wait_ms = WAIT_MS,
                                                          .what = "an access token of Google"});
    credentials->realms = realm_memory_new(REALMS_MAX);
}

static char *find_google_credentials(const char *path)
{
    if (path)
        return *path ? mem_strdup(path) : NULL;
    path = getenv("GOOGLE_APPLICATION_CREDENTIALS");
    if (path && *path)
        return mem_strdup(path);
    const char *home = getenv("HOME");
    if (!home || !*home)
        return NULL;
    char *known = mem_printf("%s/.config/gcloud/application_default_credentials.json", home);
    if (access(known, R_OK) == 0)
        return known;
    free(known);
    return NULL;
}

struct credentials *credentials_new(const struct credentials_options *options, struct error *err)
{
    (void)err; // nothing fails today; sources are read when they are needed
    struct credentials *credentials = mem_new(struct credentials);
    credentials->transport = options->transport;
    credentials->hosts = options->hosts;
    credentials->key_roots = options->key_roots;
    credentials->helper_path = mem_strdup(options->helper_path ? options->helper_path : default_helper_path);
    credentials->helper_deadline_ms = options->helper_deadline_ms ? options->helper_deadline_ms : 10000;
    credentials->helper_ttl_ms = options->helper_ttl_ms ? options->helper_ttl_ms : 300000;
    credentials->google_credentials = find_google_credentials(options->google_credentials);
    credentials->google = (struct google_options){
        .transport = options->transport,
        .hosts = options->hosts,
        .token_hosts = mem_strdup_null(options->google_token_hosts),
        .metadata_url = mem_strdup_null(options->google_metadata_url),
    };
    credentials->anonymous = credential_new(CREDENTIAL_ANONYMOUS, NULL, NULL, "nowhere");
    credentials->sources = sources_new(
        &(struct sources_options){.docker_config = options->docker_config, .auth_file = options->auth_file});
    make_caches(credentials, options->max_tokens ? options->max_tokens : 4096);
    return credentials;
}

void credentials_free(struct credentials *credentials)
{
    if (!credentials)
        return;
    single_flight_free(credentials->helpers);
    single_flight_free(credentials->tokens);
    single_flight_free(credentials->google_tokens);
    realm_memory_free(credentials->realms);
    sources_free(credentials->sources);
    credential_unref(credentials->anonymous);
    free(credentials->google_credentials);
    free((char *)credentials->google.token_hosts);
    free((char *)credentials->google.metadata_url);
    free(credentials->helper_path);
    free(credentials);
}

// --- helpers

static struct credential *run_helper(struct credentials *credentials, const char *key, const char *name,
                                     const char *server, struct error *err)
{
    struct helper_run run = {.name = name,
                             .directories = credentials->helper_path,
                             .server = server,
                             .deadline_ms = credentials->helper_deadline_ms};
    struct credential *credential = NULL;
    int found = helper_get(&run, NULL, &credential, err);
    if (found == 0) {
        AUTO_FREE char *source = mem_printf("helper %s (which knows nothing of it)", name);
        credential = credential_new(CREDENTIAL_ANONYMOUS, NULL, NULL, source);
    }
    single_flight_land(credentials->helpers, key, credential,
                       found > 0 ? credentials->helper_ttl_ms : FAILURE_MS, err, NULL);
    return credential;
}

static struct credential *ask_helper(struct credentials *credentials, const char *name, const char *server,
                                     struct error *err)
{
    AUTO_FREE char *key = mem_printf("%s %s", name, server);
    void *value = NULL;
    switch (single_flight_board(credentials->helpers, key, NULL, &value, err)) {
    case FLIGHT_HIT:
        return value;
    case FLIGHT_LEAD:
        return run_helper(credentials, key, name, server, err);
    case FLIGHT_FAILED:
        break;
    }
    return NULL;
}

// --- Google accounts

static struct credential *read_account(const char *text, size_t len, const char *source, struct error *err)
{
    CLEANUP(error_clear) struct error why = ERROR_INIT;
    AUTO_JSON json_t *root = json_parse(text, len, &json_limits_small, &why);
    if (!json_is_object(root)) {
        error_set(err, ERR_REGISTRY_AUTH, "The Google account in %s is not a JSON object", source);
        return NULL;
    }
    return credential_new(CREDENTIAL_GCP_SERVICE_ACCOUNT, NULL, secret_new_bytes(text, len), source);
}

static struct credential *load_daemon_account(struct credentials *credentials, struct error *err)
{
    size_t len;
    char *text = file_read(credentials->google_credentials, KEY_BYTES_MAX, &len, err);
    if (!text) {
        err->code = ERR_REGISTRY_AUTH;
        error_wrap(err, "The Google account cannot be read");
        return NULL;
    }
    struct credential *credential = read_account(text, len, credentials->google_credentials, err);
    explicit_bzero(text, len);
    free(text);
    return credential;
}

// The path of a job's own key: only beneath the roots that jobs may name, whatever the daemon itself could
// read.
static struct credential *load_job_account(struct credentials *credentials, const struct credential *named,
                                           struct error *err)
{
    if (!credentials->key_roots) {
        error_set(err, ERR_PATH_NOT_ALLOWED, "This daemon reads no key files for jobs");
        error_hint(err, "Give the content of the key in gcp_service_account in place of its path");
        return NULL;
    }
    int fd = roots_open(credentials->key_roots, named->path, O_RDONLY, 0, err);
    if (fd < 0)
        return NULL;
    struct reader_at *reader = reader_at_fd(fd, KEY_BYTES_MAX);
    AUTO_FREE char *text = mem_calloc(1, KEY_BYTES_MAX + 1);
    ssize_t len = reader_at_read(reader, text, KEY_BYTES_MAX, 0, err);
    struct credential *credential = len < 0 ? NULL : read_account(text, (size_t)len, named->path, err);
    explicit_bzero(text, KEY_BYTES_MAX);
    reader_at_close(reader);
    return credential;
}

static struct credential *find_google(struct credentials *credentials, const char *registry,
                                      struct error *err)
{
    if (!google_registry(registry))
        return credential_ref(credentials->anonymous);
    if (credentials->google_credentials)
        return load_daemon_account(credentials, err);
    if (credentials->google.metadata_url)
        return credential_new(CREDENTIAL_GCP_METADATA, NULL, NULL, "the metadata server");
    return credential_ref(credentials->anonymous);
}

struct token *credentials_google_token(struct credentials *credentials, const struct credential *credential,
                                       struct monitor *monitor, struct error *err)
{
    const char *key = credential->identity;
    void *value = NULL;
    enum single_flight_outcome outcome =
        single_flight_board(credentials->google_tokens, key, monitor, &value, err);
    if (outcome != FLIGHT_LEAD)
        return outcome == FLIGHT_HIT ? value : NULL;
    struct token *token = google_fetch(&credentials->google, credential, monitor, err);
    void *old = NULL;
    single_flight_land(credentials->google_tokens, key, token, token ? token->life_ms : 0, err, &old);
    if (old)
        error_clear(err);
    return token ? token : old;
}

// --- finding

static struct credential *find_own(struct credentials *credentials, const char *registry,
                                   const char *repository, struct error *err)
{
    struct sources_match match;
    int found = sources_find(credentials->sources, registry, repository, &match, err);
    if (found < 0)
        return NULL;
    if (!found)
        return find_google(credentials, registry, err);
    struct credential *credential = match.credential
                                        ? credential_ref(match.credential)
                                        : ask_helper(credentials, match.helper, match.server, err);
    bool try_google = credential && match.store && credential->kind == CREDENTIAL_ANONYMOUS;
    sources_match_clear(&match);
    if (!try_google)
        return credential;
    credential_unref(credential);
    return find_google(credentials, registry, err);
}

struct credential *credentials_find(struct credentials *credentials, const struct credential_set *set,
                                    const char *registry, const char *repository, struct error *err)
{
    struct credential *own = credential_set_find(set, registry, repository);
    if (own && own->path)
        return load_job_account(credentials, own, err);
    if (own)
        return credential_ref(own);
    struct credential *credential = find_own(credentials, registry, repository, err);
    if (!credential)
        error_upstream_set(err, registry, NULL, NULL, 0, NULL);
    return credential;
}

size_t credentials_forget(struct credentials *credentials)
{
    return single_flight_clear(credentials->tokens) + single_flight_clear(credentials->helpers) +
           single_flight_clear(credentials->google_tokens) + realm_memory_clear(credentials->realms);
}
