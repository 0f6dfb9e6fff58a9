// SPDX-License-Identifier: Apache-2.0
//
// What handlers are given: borrowed pointers to the rooms they may ask. Filled by daemon.c before the server listens.
#pragma once

#include "http/router.h"
#include "jobs/engine.h"

struct blob_store;
struct credentials;
struct image_context;

struct app {
    struct engine *engine;
    struct image_context *images;     // checks specs, answers queries
    struct blob_store *blobs;
    struct credentials *credentials;
    const char *contexts_directory;   // uploaded build contexts
    int64_t started_wall_ms;
    bool (*ready)(void *arg, struct error *err); // for /readyz
    void *ready_arg;
    void (*server_stats)(void *arg, json_t *into); // for /metrics
    void *server_stats_arg;
};

extern const struct route app_routes[]; // routes.c
