// SPDX-License-Identifier: Apache-2.0
//
// docker credential helpers (the protocol of docker-credential-helpers: `docker-credential-NAME get`, the
// server on standard input, JSON on standard output). A helper is foreign code: it runs in its own process
// group with a clean environment and no descriptor of ours, for a bounded time and with bounded output, and
// is always reaped.
#pragma once

#include "credentials/credential.h"

struct error;
struct monitor;

enum { HELPER_OUTPUT_MAX = 64 << 10 };

struct helper_run {
    const char *name;        // from a file: must be [a-z0-9][a-z0-9._-]{0,63}
    const char *directories; // absolute, colon-separated; the caller's $PATH is never searched
    const char *server;      // "https://index.docker.io/v1/", "registry.example.com"
    int64_t deadline_ms;
};

// Blocks for at most the deadline. 1: *ret is a new credential. 0: the helper knows nothing of this server.
// -1: ERR_REGISTRY_AUTH – absent, crashed, too slow, no sense – or ERR_CANCELLED. What a helper printed is
// never repeated.
int helper_get(const struct helper_run *run, const struct monitor *monitor, struct credential **ret,
               struct error *err);
bool helper_name_valid(const char *name);
// Reads a helper's answer. Same result as helper_get. Exposed for tests and fuzzing.
int helper_answer_parse(const struct helper_run *run, int exit_status, const char *output, size_t len,
                        struct credential **ret, struct error *err);
