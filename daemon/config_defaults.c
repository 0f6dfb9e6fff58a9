// SPDX-License-Identifier: Apache-2.0
//
// Defaults by the XDG base directory specification for a user, by systemd's directories (systemd.exec(5)) for a service, by the
// file system hierarchy for root.
#include "config_defaults.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

static char *xdg(const char *variable, const char *below_home)
{
    const char *value = getenv(variable), *home = getenv("HOME");
    if (value && value[0] == '/')
        return mem_printf("%s/dray", value);
    return mem_printf("%s/%s/dray", home && home[0] == '/' ? home : "/tmp", below_home);
}

char *config_default_file(void)
{
    if (geteuid() == 0)
        return mem_strdup("/etc/dray/dray.conf");
    AUTO_FREE char *directory = xdg("XDG_CONFIG_HOME", ".config");
    return mem_printf("%s/dray.conf", directory);
}

// A service manager's directory wins: STATE_DIRECTORY and CACHE_DIRECTORY may list several, the first is ours.
static char *directory(const char *service, const char *root, const char *variable, const char *below_home)
{
    const char *value = getenv(service);
    if (value && *value)
        return mem_strndup(value, strcspn(value, ":"));
    return geteuid() == 0 ? mem_strdup(root) : xdg(variable, below_home);
}

static void add(struct config_list *list, const char *text)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    list->items = mem_calloc(2, sizeof(*list->items));
    list->items[0] = mem_strdup(text);
    list->count = 1;
}

static void complete_listen(struct config *config)
{
    const char *runtime = getenv("RUNTIME_DIRECTORY"), *user = getenv("XDG_RUNTIME_DIR");
    AUTO_FREE char *own = NULL;
    if (runtime && *runtime)
        own = mem_printf("unix:%.*s/dray.sock", (int)strcspn(runtime, ":"), runtime);
    else if (geteuid() == 0)
        own = mem_strdup("unix:/run/dray/dray.sock");
    else if (user && *user)
        own = mem_printf("unix:%s/dray/dray.sock", user);
    else
        own = mem_printf("unix:/tmp/dray-%d/dray.sock", (int)geteuid());
    add(&config->listen, own);
}

static void copy_list(struct config_list *to, const struct config_list *from)
{
    to->items = mem_realloc(to->items, (from->count + 1) * sizeof(*to->items));
    to->count = from->count;
    for (size_t i = 0; i < from->count; i++)
        to->items[i] = mem_strdup(from->items[i]);
    to->items[from->count] = NULL;
}

static int64_t default_workers(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t workers = 4 * (cores > 0 ? cores : 1);
    return workers < 8 ? 8 : workers > 512 ? 512 : workers;
}

static void complete_roots(struct config *config)
{
    const char *home = getenv("HOME");
    if (!config->build_roots.count && geteuid() != 0 && home && home[0] == '/' && access(home, X_OK) == 0)
        add(&config->build_roots, home);
    if (!config->output_roots.count)
        copy_list(&config->output_roots, &config->build_roots);
}

// A value that cannot be understood ends the build (reproducible-builds.org, SOURCE_DATE_EPOCH specification).
static void complete_source_date_epoch(struct config *config, void (*fault)(void *arg, const char *key, const char *text),
                                       void *arg)
{
    const char *text = getenv("SOURCE_DATE_EPOCH");
    config->source_date_epoch = 0;
    if (text && *text && !str_to_int64(text, 0, INT64_C(253402300799), &config->source_date_epoch))
        fault(arg, "SOURCE_DATE_EPOCH", "must be a whole number of seconds since 1970-01-01T00:00:00Z, before the year 10000");
}

// The port is judged when it is bound; the address must be a literal loopback one.
static bool is_listen_address(const char *text)
{
    if (!str_starts(text, "tcp:"))
        return str_starts(text, "unix:/");
    const char *host = text + strlen("tcp:"), *colon = strrchr(host, ':');
    AUTO_FREE char *name = colon ? mem_strndup(host, (size_t)(colon - host)) : NULL;
    int64_t port;
    return name && str_to_int64(colon + 1, 0, 65535, &port) &&
           (str_starts(name, "127.") || str_equal(name, "localhost") || str_equal(name, "[::1]"));
}

static void judge_build_root(const char *path, void (*fault)(void *arg, const char *key, const char *text), void *arg)
{
    struct stat st;
    if (*path == '/' && stat(path, &st) == 0 && S_ISDIR(st.st_mode) && access(path, X_OK) == 0)
        return;
    AUTO_FREE char *quoted = str_quote(path, 512);
    AUTO_FREE char *text = mem_printf("\"%s\" is not the absolute path of a directory that is there and may be entered",
                                      quoted);
    fault(arg, "[daemon] build_roots", text);
}

static void judge(const struct config *config, void (*fault)(void *arg, const char *key, const char *text), void *arg)
{
    for (size_t i = 0; i < config->listen.count; i++)
        if (!is_listen_address(config->listen.items[i])) {
            AUTO_FREE char *text = mem_printf("\"%s\" is not an address: unix:/PATH or tcp:127.0.0.1:PORT (TCP is "
                                              "loopback only)",
                                              config->listen.items[i]);
            fault(arg, "[daemon] listen", text);
        }
    static const char *const levels[] = {"error", "warning", "info", "debug"};
    bool known = false;
    for (int i = 0; i < 4; i++)
        known |= str_equal(levels[i], config->log_level);
    if (!known)
        fault(arg, "[daemon] log_level", "must be error, warning, info or debug");
    int64_t uid;
    for (size_t i = 0; i < config->admins.count; i++)
        if (!str_to_int64(config->admins.items[i], 0, UINT32_MAX - 1, &uid))
            fault(arg, "[daemon] admins", "user ids are whole numbers");
    for (size_t i = 0; i < config->build_roots.count; i++)
        judge_build_root(config->build_roots.items[i], fault, arg);
}

void config_complete(struct config *config, bool (*was_set)(void *arg, const char *section, const char *name),
                     void (*fault)(void *arg, const char *key, const char *text), void *arg)
{
    if (!config->listen.count)
        complete_listen(config);
    if (!config->state_dir)
        config->state_dir = directory("STATE_DIRECTORY", "/var/lib/dray", "XDG_STATE_HOME", ".local/state");
    if (!config->cache_dir)
        config->cache_dir = directory("CACHE_DIRECTORY", "/var/cache/dray", "XDG_CACHE_HOME", ".cache");
    if (!was_set(arg, "daemon", "workers"))
        config->workers = default_workers();
    if (!was_set(arg, "daemon", "source_date_epoch"))
        complete_source_date_epoch(config, fault, arg);
    complete_roots(config);
    judge(config, fault, arg);
}
