// SPDX-License-Identifier: Apache-2.0
//
// What hosts say is left of their request quota, so that the governor lets a host be asked less before it has
// to refuse. Headers as servers write them: RateLimit-Limit, -Remaining and -Reset (Docker Hub's with
// ";w=SECONDS", GitLab's with the time of day; also with "X-"), RateLimit as in the drafts of the IETF
// ("limit=, remaining=, reset=" and ";r=;t="), Azure's calls per second. Leaf lock inside; any thread. Times
// are clock_ms.
#pragma once

#include "net/http.h"

struct quota;

struct quota_left {
    int64_t remaining; // requests
    int64_t limit;     // of a whole window, -1: not said
    int64_t reset_ms;  // until then, at least, there are no more; -1: not said
};

struct quota *quota_new(void);
void quota_free(struct quota *quota); // NULL is fine
// Pure: what these headers say, if anything. reset_ms is relative here. wall_ms: clock_wall_ms now.
bool quota_parse(const struct http_headers *headers, int64_t wall_ms, struct quota_left *ret);
// Notes what an answer of a host (as in the reference) says. True: it has just begun to run low.
bool quota_note(struct quota *quota, const char *host, const struct http_answer *answer, int64_t now_ms);
// What is left as far as is known: the whole limit once the reset is over. False: nothing known, or the host
// has shown that it does not mean it. reset_ms is absolute.
bool quota_find(struct quota *quota, const char *host, int64_t now_ms, struct quota_left *ret);
// Less than a tenth, or than one step may need.
enum { QUOTA_PER_STEP = 4 };
bool quota_is_low(const struct quota_left *left);
