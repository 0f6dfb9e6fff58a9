// SPDX-License-Identifier: Apache-2.0
//
// Files that are part of the program: made at build time by embed.py from api/openapi.yaml and ui/index.html.
#pragma once

#include <stddef.h>

extern const unsigned char embedded_openapi[]; // JSON
extern const size_t embedded_openapi_len;
extern const unsigned char embedded_page[]; // HTML
extern const size_t embedded_page_len;
extern const char embedded_page_csp[]; // Content-Security-Policy with the hashes of its script and style
