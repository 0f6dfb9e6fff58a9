// SPDX-License-Identifier: Apache-2.0
//
// WWW-Authenticate (RFC 9110 section 11.6.1; Bearer: RFC 6750 and the token specification of distribution) as
// real servers write it: several headers, several challenges in one, odd case, unquoted values, blanks round
// '='. Never fails: what cannot be read is skipped. Pure.
#pragma once

#include <stdbool.h>

#include "net/http.h"

enum challenge_scheme { CHALLENGE_OTHER, CHALLENGE_BASIC, CHALLENGE_BEARER };

struct challenge {
    enum challenge_scheme scheme;
    char *realm;   // Bearer: URL reference of the token server; NULL if absent
    char *service; // NULL if absent
    char *scope;   // NULL if absent
    char *error;   // "insufficient_scope" …; NULL if absent
};

enum { CHALLENGES_MAX = 16 };

struct challenges {
    struct challenge items[CHALLENGES_MAX];
    size_t count;
};

void challenges_parse(struct challenges *ret, const struct http_headers *headers);
void challenges_clear(struct challenges *challenges);
