// SPDX-License-Identifier: Apache-2.0
//
// The host governor: for all jobs together it decides, on the loop and before a step is queued, whether a
// host may be asked now: connections at once, requests a second, what the host says is left of its quota, a
// pause that a 429 or 503 with Retry-After asked for, and a breaker for a host that is down. Loop only.
// Byte-rate pacing inside a transfer is `pace.h`.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "net/host.h"

enum { GOVERNOR_FAILURES = 5, GOVERNOR_PAUSE_MS_MAX = 60000 };

struct governor;

struct quota;

// Both borrowed. quota: what answers said is left (quota.h); may be NULL. While it is low no more steps are
// under way than it can serve; none once it is used up, until its reset, if that is at most
// GOVERNOR_PAUSE_MS_MAX away (else one at a time: to wait for hours helps nobody).
struct governor *governor_new(const struct host_table *hosts, struct quota *quota);
void governor_free(struct governor *governor);
// host: "name" or "name:port", as in the reference.
// true: entered, governor_leave is owed. false: not now; *ret_retry_at_ms says when to ask again (clock_ms),
// or 0 if a leave will make room.
bool governor_enter(struct governor *governor, const char *host, int64_t now_ms, int64_t *ret_retry_at_ms);
// err: how the step ended (NULL: well, or not this host's fault). Pauses and the breaker learn from it: 429,
// and 503 with Retry-After, pause the host (at most 60 s); several failures to reach it in a row open the
// breaker, for 1 s and then twice as long each time up to 60 s, after which one step probes while all others
// wait.
void governor_leave(struct governor *governor, const char *host, int64_t now_ms, const struct error *err);
