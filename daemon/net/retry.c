// SPDX-License-Identifier: Apache-2.0
//
// When to try again. Pure: called by the scheduler with a step's error; the random number is the caller's.
#include "net/retry.h"

int64_t retry_backoff(const struct retry_policy *policy, int attempt, uint64_t random)
{
    int64_t delay = policy->base_ms;
    for (int i = 1; i < attempt && delay < policy->max_ms; i++)
        delay *= 3;
    if (delay > policy->max_ms)
        delay = policy->max_ms;
    return delay + delay * ((int64_t)(random % 2001) - 1000) / 10000; // ±10 %
}

bool retry_next(const struct retry_policy *policy, int attempt, const struct error *err, uint64_t random,
                int64_t *ret_delay_ms)
{
    if (!err->retryable || attempt >= policy->max_attempts)
        return false;
    if (err->retry_after_ms > policy->max_ms)
        return false;
    int64_t delay = retry_backoff(policy, attempt, random);
    // Nobody comes back all at the same moment: what is asked for is a floor, the jitter lies above it.
    if (err->retry_after_ms > delay)
        delay = err->retry_after_ms + (int64_t)(random % 1000) * err->retry_after_ms / 10000;
    *ret_delay_ms = delay;
    return true;
}
