// SPDX-License-Identifier: Apache-2.0
//
// Listings that come in pages (tags, catalog, referrers): follows Link (RFC 8288) within the origin, bounded
// in pages and bytes, and never twice to the same page. Of this room only.
#pragma once

#include "registry/registry_call.h"

enum { PAGES_MAX = 1000, PAGE_BYTES_MAX = 4 << 20, PAGES_BYTES_MAX = 32 << 20 };

struct registry_pages {
    const char *what;   // "the tags"
    const char *accept; // media type, or NULL
    // One page: takes what it wants from it. 0 go on, -1.
    int (*page)(void *arg, const json_t *root, struct error *err);
    void *arg;
    const struct http_headers *last_headers; // of the first page, during `page`; for OCI-Filters-Applied
};

// Sends the first request (which is ended here) and follows the pages. *ret_status: of the first answer if it
// is not 200; then nothing was read and -1 is not implied: the caller decides with *ret_answer (cleared by
// the caller).
int registry_pages_read(struct registry_call *call, struct http_call *first, struct registry_pages *pages,
                        struct http_answer *ret_answer, struct error *err);
// The target of rel="next" in Link headers, or NULL; caller frees. Exposed for tests.
char *registry_pages_next(const struct http_headers *headers);
