// SPDX-License-Identifier: Apache-2.0
//
// The bearer token of the TCP listeners: read from a file (again when the file changes), compared in constant
// time, with a limit on how often one may be guessed. Loop only.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct bearer;

enum bearer_verdict { BEARER_RIGHT, BEARER_MISSING, BEARER_WRONG, BEARER_LIMITED };

// ERR_INVALID_REQUEST naming the file if it is empty, too long or unreadable. A trailing newline is not part
// of the token.
struct bearer *bearer_open(const char *path, struct error *err);
void bearer_free(struct bearer *bearer); // NULL is fine
// authorization: value of the header or NULL. "Bearer TOKEN", and where basic is true "Basic
// BASE64(any:TOKEN)" (what a browser can send for the status page). trusted: this connection has shown the
// right token before; only others are limited after 100 wrong ones, to one attempt a second.
enum bearer_verdict bearer_check(struct bearer *bearer, const char *authorization, bool basic, bool trusted,
                                 int64_t now_ms);
