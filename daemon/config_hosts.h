// SPDX-License-Identifier: Apache-2.0
//
// The [host NAME] sections: one key of one host. Private to config*.c.
#pragma once

#include "net/host.h"

// name: "registry.example.com", "host:port" or "*". -1: what is wrong in *ret_problem (caller frees).
int config_hosts_set(struct host_table *table, const char *name, const char *key, const char *value,
                     char **ret_problem);
