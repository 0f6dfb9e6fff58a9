// SPDX-License-Identifier: Apache-2.0
//
// Per-host settings: one table from the configuration ([host NAME] sections), certs.d directories and
// --plain-http. Immutable once the daemon runs; any thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum { HOST_CONNECTIONS_DEFAULT = 16 };

// What an entry leaves unset (NULL, 0, false) comes from the entry for its host without port, then from "*".
struct host_settings {
    char *name;      // "registry.example.com" or with ":port"; "*" holds the defaults
    bool plain_http; // http is configured (literal loopback hosts need no entry)
    char *ca_file;   // PEM, in place of the system's; NULL: system
    char *ca_pem;    // PEM text beside the system's (certs.d); NULL: none
    char *client_cert, *client_key;
    char *proxy;           // "http://…", "" = none, NULL = default
    char **mirrors;        // host names tried first for pulls, NULL-terminated; or NULL
    int max_connections;   // at once, all jobs together; 0: HOST_CONNECTIONS_DEFAULT
    double requests_per_s; // 0: no limit
    int64_t bytes_per_s;   // 0: no limit
    bool private_ok;       // server-given URLs may lead there although the address is private
    int early_uploads;     // of layers that are still being made: 1 wanted, -1 not, 0 as it fits
};

struct host_table;

struct host_table *host_table_new(void);
void host_table_free(struct host_table *table);
// Takes over the members of `settings`; later entries with the same name complete earlier ones.
void host_table_add(struct host_table *table, struct host_settings *settings);
// Reads DIR/HOST[:PORT]/{*.crt,*.cert,*.key} as docker does (/etc/docker/certs.d). A missing directory is
// fine.
int host_table_load_certs(struct host_table *table, const char *directory, struct error *err);
// Exact host:port first, then host, then "*". Never NULL. Host names match exactly and label-wise, never by
// substring.
const struct host_settings *host_table_get(const struct host_table *table, const char *host, int port);
// http or https for a registry "host[:port]" as written in a reference: https, but http for plain_http hosts
// and for literal loopback names and addresses that have no certificates configured for just them. Never a
// silent fallback.
const char *host_table_scheme(const struct host_table *table, const char *registry);
