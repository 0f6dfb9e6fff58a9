// SPDX-License-Identifier: Apache-2.0
//
// drayd: reads the configuration, prepares the process, runs the daemon. Exit status: 0 after an orderly end, 2 for a fault of the
// configuration, 1 if the daemon could not start or failed.
#include <locale.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "config.h"
#include "daemon.h"

static enum log_level level_of(const char *name)
{
    return str_equal(name, "error")     ? LOG_LEVEL_ERROR
           : str_equal(name, "warning") ? LOG_LEVEL_WARNING
           : str_equal(name, "debug")   ? LOG_LEVEL_DEBUG
                                        : LOG_LEVEL_INFO;
}

// No core dumps and no ptrace by others: the process holds credentials.
static void guard_memory(void)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
#ifndef __SANITIZE_ADDRESS__ // the leak checker attaches to its own process
    prctl(PR_SET_DUMPABLE, 0);
#endif
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void prepare_process(const struct config *config)
{
    char threads[16];
    // Read once by libuv, before its first use.
    snprintf(threads, sizeof(threads), "%lld", (long long)(config->workers + config->query_workers));
    setenv("UV_THREADPOOL_SIZE", threads, 1);
    // Many threads that each allocate a little: two arenas keep the resident size near what is in use.
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_TRIM_THRESHOLD, 1 << 20);
    mallopt(M_MMAP_THRESHOLD, 256 << 10);
    signal(SIGPIPE, SIG_IGN);
    umask(077);
    guard_memory();
    raise_descriptor_limit();
    log_init(level_of(config->log_level));
}

static int run(const struct config *config)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct daemon *daemon = daemon_new(config, &err);
    int result = daemon ? daemon_run(daemon, &err) : -1;
    if (result)
        fprintf(stderr, "drayd: %s%s%s\n", err.detail, err.hint ? "\n  " : "", err.hint ? err.hint : "");
    if (daemon)
        daemon_free(daemon);
    return result ? 1 : 0;
}

static int act(const struct config *config, enum config_action action)
{
    switch (action) {
    case CONFIG_VERSION:
        puts("drayd " DRAY_VERSION);
        return 0;
    case CONFIG_HELP:
        config_usage(stdout);
        return 0;
    case CONFIG_CHECK:
        puts("the configuration is good");
        return 0;
    case CONFIG_PRINT:
        config_print(config, stdout);
        return 0;
    case CONFIG_RUN:
        break;
    }
    // Names in tars are UTF-8 whatever the caller's locale; libarchive asks LC_CTYPE.
    if (!setlocale(LC_CTYPE, "C.UTF-8")) {
        fputs("drayd: the locale C.UTF-8 is missing on this machine; it comes with glibc (package libc-bin)\n", stderr);
        return 1;
    }
    prepare_process(config);
    return run(config);
}

int main(int argc, char **argv)
{
    struct config config;
    enum config_action action;
    mem_init();
    int result = config_load(&config, argc, argv, &action, stderr) ? 2 : act(&config, action);
    config_free(&config);
    return result;
}
