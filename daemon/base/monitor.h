// SPDX-License-Identifier: Apache-2.0
//
// What a blocking step shares with the loop while it runs: a cancel flag that it looks at in every progress
// callback and between entries, and counters that the loop reads at its own pace. Only atomics: no lock, no
// mail per chunk.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct monitor {
    atomic_bool cancelled;
    _Atomic int64_t current;    // bytes of the present phase done
    _Atomic int64_t total;      // bytes of the present phase, 0 unknown
    _Atomic int64_t bytes_sent; // blob bytes uploaded
    _Atomic int64_t bytes_received;
    _Atomic int64_t requests;
    _Atomic int64_t retries;
    _Atomic int64_t tokens;
};

// 0, or -1 with ERR_CANCELLED once the flag is up. monitor may be NULL.
int monitor_check(const struct monitor *monitor, struct error *err);
