// SPDX-License-Identifier: Apache-2.0
//
// One step's conversation with one repository: the credential that serves it, the authorizer, and calls built
// for it. Of this room only; one worker.
#pragma once

#include "net/exchange.h"
#include "registry/registry.h"
#include "registry/registry_error.h"
#include "registry/registry_traits.h"

struct registry {
    struct transport *transport;
    const struct host_table *hosts;
    struct credentials *credentials;
    int64_t chunk_bytes;
    int64_t monolithic_max_bytes;
    struct registry_traits *traits;
    struct quota *quota; // or NULL
};

struct registry_call {
    const struct registry_scope *scope;
    const char *host; // asked: the scope's own, or a mirror of it
    struct credential *credential;
    struct authorizer *authorizer;
    struct url base; // "https://registry-1.docker.io/v2/"
};

// actions: enum credential_action bits. mount_from as in credentials_authorizer; NULL: the
// scope's, for a push. After a failure nothing is
// left to end.
int registry_call_open(struct registry_call *call, const struct registry_scope *scope, unsigned actions,
                       const char *mount_from, struct error *err);
// The same repository at a mirror of its registry, with the mirror's own credentials.
int registry_call_open_mirror(struct registry_call *call, const struct registry_scope *scope,
                              const char *mirror, struct error *err);
const struct host_settings *registry_call_host(const struct registry_scope *scope); // what is configured
char **registry_call_mirrors(const struct registry_scope *scope); // configured, NULL-terminated; or NULL
void registry_call_close(struct registry_call *call);
// A read: `attempt` at each mirror of the host and last at the host itself, until one gives more than 0.
// Returns what the last attempt gave.
int registry_call_read(const struct registry_scope *scope,
                       int (*attempt)(struct registry_call *call, void *arg, struct error *err), void *arg,
                       struct error *err);

// Begins a call for "/v2/<repository>/<path>" ("/v2/<path>" without repository). path: plain text that needs
// no escapes.
void registry_call_begin(const struct registry_call *call, struct http_call *ret, const char *method,
                         const char *format, ...) __attribute__((format(printf, 4, 5)));
// The same for a URL that a server gave and the policy let pass.
void registry_call_begin_url(const struct registry_call *call, struct http_call *ret, const char *method,
                             const struct url *url, bool private_allowed);
// Sends it; any status is success. Shows warnings. Errors are wrapped with the registry's name.
int registry_call_perform(const struct registry_call *call, const struct http_call *http,
                          struct http_answer *ret, struct error *err);
// Without credentials: for URLs at other origins.
int registry_call_perform_bare(const struct registry_call *call, const struct http_call *http,
                               struct http_answer *ret, struct error *err);
// What an answer says beside its status: hands each Warning header to the scope and notes what is left of the
// host's quota (perform does so itself).
void registry_call_heed(const struct registry_call *call, const struct http_answer *answer);
// Translates an answer that was not hoped for; -1.
int registry_call_fail(const struct registry_call *call, const char *method, enum registry_subject subject,
                       const char *what, const struct http_answer *answer, struct error *err);
