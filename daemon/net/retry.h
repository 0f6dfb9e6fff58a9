// SPDX-License-Identifier: Apache-2.0
//
// How long to wait before the next attempt: exponential with ±10 % jitter, at least what the other side asked
// for, at most max_ms; and whether there is one. Pure.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct retry_policy {
    int max_attempts; // default 4
    int64_t base_ms;  // default 1,000; × 3 each time
    int64_t max_ms;   // default 60,000; a server that asks for more ends the retries
};

// The wait after `attempt` attempts, with its jitter, whatever the error was.
int64_t retry_backoff(const struct retry_policy *policy, int attempt, uint64_t random);
// attempt: number of attempts made so far (1 after the first). False: give up.
bool retry_next(const struct retry_policy *policy, int attempt, const struct error *err, uint64_t random,
                int64_t *ret_delay_ms);
