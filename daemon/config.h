// SPDX-License-Identifier: Apache-2.0
//
// The configuration: built-in values ◂ file(s) ◂ environment ◂ flags, later ones win. One table of keys (config_keys.c) gives each
// key its section, name, type, limits, built-in value and meaning; the man page dray.conf(5) lists the same keys. Loaded
// once, read-only afterwards; all faults are reported at once, each with file, line and key.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "net/host.h"

struct config_list {
    char **items; // NULL-terminated; never NULL after loading
    size_t count;
};

struct config {
    // [daemon]
    struct config_list listen;
    char *state_dir, *cache_dir;
    struct config_list build_roots, output_roots;
    int64_t workers, query_workers, lanes;
    char *token_file, *socket_group;
    struct config_list hosts, admins;
    char *log_level;
    bool paused;
    int64_t drain_ms, heartbeat_ms, progress_ms, attached_grace_ms, stuck_ms;
    int64_t source_date_epoch;
    // [limits]
    int64_t max_queued, max_queued_per_caller, max_running, max_steps_per_job, kept_jobs, max_connections, context_bytes;
    int64_t header_timeout_ms, body_timeout_ms, idle_timeout_ms, write_timeout_ms;
    // [network]
    struct config_list plain_http;
    int64_t connect_ms, first_byte_ms, stall_bytes_per_s, stall_window_ms;
    int64_t retry_count, retry_base_ms, retry_max_ms;
    int64_t chunk_bytes, monolithic_max_bytes, host_connections;
    char *certs_dir, *proxy;
    // [credentials]
    char *docker_config, *auth_file, *helper_path, *google_credentials, *google_token_hosts, *google_metadata_url;
    int64_t helper_deadline_ms, helper_ttl_ms;
    // [cache]
    int64_t cache_bytes, facts_count, facts_age_s;
    // [retention]
    int64_t jobs_age_s, jobs_count, events_bytes;
    // [host NAME]
    struct host_table *host_table;
};

enum config_action { CONFIG_RUN, CONFIG_CHECK, CONFIG_PRINT, CONFIG_VERSION, CONFIG_HELP };

// Reads everything for these arguments. -1: faults were written to `faults`, a line each.
int config_load(struct config *config, int argc, char **argv, enum config_action *ret_action, FILE *faults);
// Every key with its value and where it came from; no secrets are in it.
void config_print(const struct config *config, FILE *out);
void config_usage(FILE *out);
void config_free(struct config *config);
