// SPDX-License-Identifier: Apache-2.0
//
// The keys under which credentials are filed: "registry", "registry/namespace", and what docker wrote over
// the years
// ("https://index.docker.io/v1/", "https://host", "host:5000"). Hosts match exactly, label by label; paths
// match whole components; the longest match wins. Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct credential_key {
    char *host; // lower case; every name of Docker Hub is "docker.io"
    char *path; // namespace without slashes at its ends; "" for the whole registry
};

bool credential_key_parse(struct credential_key *ret, const char *text); // false: cannot name a registry
void credential_key_clear(struct credential_key *key);
// 0: no match; else the longer the namespace the larger.
size_t credential_key_match(const struct credential_key *key, const char *registry, const char *repository);
// "docker.io" for all names of Docker Hub, else the argument.
const char *credential_key_host(const char *registry);
// What a docker credential helper is asked for: "https://index.docker.io/v1/" for Docker Hub, else the
// registry.
const char *credential_key_server(const char *registry);
