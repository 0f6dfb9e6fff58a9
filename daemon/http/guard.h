// SPDX-License-Identifier: Apache-2.0
//
// The door. Judges the head of a request before any route is looked at, from plain facts, so that its rules
// are a table in a test. Every refusal is without side effect. Rules: RFC 9112 sections 3.2 (Host,
// origin-form), 6.1 and 6.3 (one framing); the Fetch Metadata and Origin rules against pages in a browser;
// advisories CVE-2018-5702, CVE-2024-28224, CVE-2022-41924 (DNS rebinding).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum {
    GUARD_FIELDS_MAX = 64,
    GUARD_HEAD_BYTES_MAX = 12 * 1024,
    GUARD_TARGET_MAX = 8 * 1024,
};

struct http_field {
    const char *name, *value;
};

struct guard {
    const char *const *hosts; // names that are ours beside the loopback names, "name" or "name:port"; or NULL
    const char *const *page_paths; // what the status page may ask for, "/x" or "/x/*"; or NULL
};

struct guard_head {
    const char *method, *version;
    const char *target; // raw, as received
    const struct http_field *fields;
    size_t n_fields;   // may exceed GUARD_FIELDS_MAX: then refused, only the first ones are looked at
    size_t blanks;     // spaces and tabs between the colons and the values of all fields
    size_t head_bytes; // size of the head as received, with its line ends
    bool unix_socket;
    uint16_t port; // of the TCP listener
};

// 0: let in; -1: ERR_MISDIRECTED, ERR_FORBIDDEN_ORIGIN, ERR_INVALID_REQUEST or ERR_TOO_LARGE.
int guard_check(const struct guard *guard, const struct guard_head *head, struct error *err);
// Is this something that our own status page asks for?
bool guard_page_may_ask(const struct guard *guard, const char *method, const char *target);
// Content-Length of a head that passed: 0 if there is no body, -1 if chunked.
int64_t guard_content_length(const struct http_field *fields, size_t n_fields);
// The first field of that name (ASCII case folded) or NULL.
const char *guard_field(const struct http_field *fields, size_t n_fields, const char *name);
