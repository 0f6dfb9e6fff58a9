// SPDX-License-Identifier: Apache-2.0
//
// Where the daemon's own credentials come from. A source that is absent is silent; one that is there and
// cannot be read is an error for whoever needs a credential, because going on without it would mean going on
// as somebody else.
#include "credentials/sources.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

enum { SOURCES_MAX = 6, FILE_BYTES_MAX = 1 << 20 };

struct source {
    char *path; // NULL: text that was given once (environment)
    struct docker_config *config;
    struct error failure; // of the last reading
    struct stat stamp;    // of the file as it was read; st_ino 0: never or absent
};

struct sources {
    pthread_mutex_t lock;
    size_t n;
    struct source items[SOURCES_MAX];
};

// --- finding the files

static void add_file(struct sources *sources, const char *path)
{
    sources->items[sources->n++] = (struct source){.path = mem_strdup(path), .failure = ERROR_INIT};
}

static void add_beneath(struct sources *sources, const char *variable, const char *name)
{
    const char *directory = getenv(variable);
    if (!directory || !*directory)
        return;
    AUTO_FREE char *path = mem_printf("%s/%s", directory, name);
    add_file(sources, path);
}

// DOCKER_AUTH_CONFIG holds the text of a config.json: what CI systems set.
static void add_environment(struct sources *sources)
{
    const char *text = getenv("DOCKER_AUTH_CONFIG");
    if (!text || !*text)
        return;
    struct source *source = &sources->items[sources->n++];
    *source = (struct source){.failure = ERROR_INIT};
    source->config =
        docker_config_parse(text, strlen(text), "the environment (DOCKER_AUTH_CONFIG)", &source->failure);
}

static void add_auth_file(struct sources *sources, const char *path)
{
    if (!path)
        path = getenv("REGISTRY_AUTH_FILE");
    if (path && *path)
        add_file(sources, path);
    else
        add_beneath(sources, "XDG_RUNTIME_DIR", "containers/auth.json");
}

static void add_docker_config(struct sources *sources, const char *path)
{
    if (path)
        add_file(sources, path);
    else if (getenv("DOCKER_CONFIG") && *getenv("DOCKER_CONFIG"))
        add_beneath(sources, "DOCKER_CONFIG", "config.json");
    else
        add_beneath(sources, "HOME", ".docker/config.json");
}

struct sources *sources_new(const struct sources_options *options)
{
    struct sources *sources = mem_new(struct sources);
    pthread_mutex_init(&sources->lock, NULL);
    add_environment(sources);
    add_beneath(sources, "CREDENTIALS_DIRECTORY", "registry-auth");
    add_auth_file(sources, options->auth_file);
    add_docker_config(sources, options->docker_config);
    return sources;
}

static void forget(struct source *source)
{
    docker_config_free(source->config);
    source->config = NULL;
    error_clear(&source->failure);
    source->failure = ERROR_INIT;
    source->stamp = (struct stat){0};
}

void sources_free(struct sources *sources)
{
    if (!sources)
        return;
    for (size_t i = 0; i < sources->n; i++) {
        forget(&sources->items[i]);
        free(sources->items[i].path);
    }
    pthread_mutex_destroy(&sources->lock);
    free(sources);
}

// --- reading

static bool unchanged(const struct source *source, const struct stat *st)
{
    const struct stat *stamp = &source->stamp;
    return stamp->st_ino == st->st_ino && stamp->st_dev == st->st_dev && stamp->st_size == st->st_size &&
           stamp->st_mtim.tv_sec == st->st_mtim.tv_sec && stamp->st_mtim.tv_nsec == st->st_mtim.tv_nsec &&
           stamp->st_ctim.tv_sec == st->st_ctim.tv_sec && stamp->st_ctim.tv_nsec == st->st_ctim.tv_nsec;
}

static void read_file(struct source *source)
{
    CLEANUP(error_clear) struct error why = ERROR_INIT;
    size_t len;
    char *text = file_read(source->path, FILE_BYTES_MAX, &len, &why);
    if (!text) {
        error_set(&source->failure, ERR_REGISTRY_AUTH, "The credentials in %s cannot be read: %s",
                  source->path, why.detail);
        error_hint(&source->failure, "Make %s readable for the daemon, or remove it", source->path);
        return;
    }
    source->config = docker_config_parse(text, len, source->path, &source->failure);
    explicit_bzero(text, len);
    free(text);
}

// A directory in place of the file (an unset mount of an orchestrator) counts as absent.
static bool absent(int status, const struct stat *st)
{
    if (status == 0)
        return !S_ISREG(st->st_mode);
    return errno == ENOENT || errno == ENOTDIR;
}

static void refresh(struct source *source)
{
    struct stat st = {0};
    if (!source->path)
        return;
    if (absent(stat(source->path, &st), &st)) {
        forget(source);
        return;
    }
    if (st.st_ino && unchanged(source, &st))
        return;
    forget(source);
    read_file(source);
    source->stamp = st;
}

// --- asking

void sources_match_clear(struct sources_match *match)
{
    credential_unref(match->credential);
    free(match->helper);
    free(match->server);
    *match = (struct sources_match){0};
}

static int take(const struct docker_config_match *found, const struct docker_config *config,
                const char *registry, struct sources_match *ret, struct error *err)
{
    switch (found->kind) {
    case DOCKER_CONFIG_BROKEN:
        error_set(err, ERR_REGISTRY_AUTH, "The entry for %s in %s cannot be used: %s", registry,
                  docker_config_source(config), found->why);
        error_hint(err, "Sign in again (docker login %s) or correct the file", registry);
        return -1;
    case DOCKER_CONFIG_HELPER:
        ret->helper = mem_strdup(found->helper);
        ret->server = mem_strdup(found->server);
        return 1;
    case DOCKER_CONFIG_CREDENTIAL:
        ret->credential = credential_ref(found->credential);
        return 1;
    }
    return 0;
}

static int take_store(const struct sources *sources, const char *registry, struct sources_match *ret)
{
    for (size_t i = 0; i < sources->n; i++) {
        const struct docker_config *config = sources->items[i].config;
        if (!config || !docker_config_store(config))
            continue;
        ret->helper = mem_strdup(docker_config_store(config));
        ret->server = mem_strdup(credential_key_server(registry));
        ret->store = true;
        return 1;
    }
    return 0;
}

static int find_locked(struct sources *sources, const char *registry, const char *repository,
                       struct sources_match *ret, struct error *err)
{
    struct docker_config_match best = {0};
    const struct docker_config *config = NULL;
    for (size_t i = 0; i < sources->n; i++) {
        struct source *source = &sources->items[i];
        refresh(source);
        if (source->failure.code) {
            error_copy(err, &source->failure);
            return -1;
        }
        if (!source->config)
            continue;
        struct docker_config_match match;
        docker_config_find(source->config, registry, repository, &match);
        if (match.rank > best.rank) {
            best = match;
            config = source->config;
        }
    }
    return best.rank ? take(&best, config, registry, ret, err) : take_store(sources, registry, ret);
}

int sources_find(struct sources *sources, const char *registry, const char *repository,
                 struct sources_match *ret, struct error *err)
{
    *ret = (struct sources_match){0};
    pthread_mutex_lock(&sources->lock);
    int found = find_locked(sources, registry, repository, ret, err);
    pthread_mutex_unlock(&sources->lock);
    return found;
}

void sources_each(struct sources *sources,
                  void (*visit)(void *arg, const struct credential_key *key,
                                const struct docker_config_match *match),
                  void *arg)
{
    pthread_mutex_lock(&sources->lock);
    for (size_t i = 0; i < sources->n; i++) {
        refresh(&sources->items[i]);
        if (sources->items[i].config)
            docker_config_each(sources->items[i].config, visit, arg);
    }
    pthread_mutex_unlock(&sources->lock);
}
