// SPDX-License-Identifier: Apache-2.0
//
// What handlers are given: borrowed pointers to the rooms they may ask. Filled by daemon.c before the server
// listens; all of it outlives the server.
#pragma once

#include "handlers/stream_slots.h"
#include "http/router.h"
#include "http/server.h"
#include "jobs/engine.h"

struct blob_store;
struct credentials;
struct image_context;

struct app {
    struct engine *engine;
    struct image_context *images; // checks specs, answers queries
    struct blob_store *blobs;
    struct credentials *credentials;
    struct mailbox *mailbox;        // for bodies that stream out
    struct stream_slots streams;    // stream_slots_init
    int64_t stall_ms;               // a client that takes nothing of one for so long is cut off
    const char *state_directory;    // whose disks GET /v1/cache tells about; NULL: not told
    const char *cache_directory;
    int64_t context_bytes_max;      // of one uploaded build context
    int64_t started_wall_ms;
    bool (*ready)(void *arg, struct error *err); // for /readyz; NULL: ready
    void *ready_arg;
    const struct server *server; // for /metrics; NULL: none
};

extern const struct route app_routes[];    // routes.c
extern const char *const app_page_paths[]; // routes.c, for server_options.page_paths
