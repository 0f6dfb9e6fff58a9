// SPDX-License-Identifier: Apache-2.0
//
// The daemon's own credentials, merged: environment, systemd credential, podman's auth.json, docker's
// config.json. The longest key wins whatever file it is in; of equal keys the earlier source. Files are
// looked at again when they changed (device, inode, size, mtime). Thread-safe, one leaf lock.
#pragma once

#include "credentials/docker_config.h"

struct error;
struct sources;

struct sources_options {
    const char *docker_config; // as in struct credentials_options; NULL: found by the environment
    const char *auth_file;
};

struct sources *sources_new(const struct sources_options *options);
void sources_free(struct sources *sources);

struct sources_match {
    struct credential *credential; // new reference, or
    char *helper;                  // name of a helper to ask for `server`; owned
    char *server;
    bool store; // the helper is a file's general store: not finding anything there ends nothing
};
void sources_match_clear(struct sources_match *match);

// 1 found, 0 nothing said, -1 ERR_REGISTRY_AUTH: a source that exists cannot be read, or its entry is broken.
int sources_find(struct sources *sources, const char *registry, const char *repository,
                 struct sources_match *ret, struct error *err);
// For listings; unreadable sources are left out.
void sources_each(struct sources *sources,
                  void (*visit)(void *arg, const struct credential_key *key,
                                const struct docker_config_match *match),
                  void *arg);
