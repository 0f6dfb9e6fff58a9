// SPDX-License-Identifier: Apache-2.0
//
// Base64 (RFC 4648): standard alphabet with padding for inline files and Basic auth, URL alphabet for JWT.
#pragma once

#include <stdbool.h>
#include <stddef.h>

char *base64_encode(const void *bytes, size_t len);     // caller frees
char *base64_encode_url(const void *bytes, size_t len); // no padding; caller frees
// Standard alphabet, strict: no white space, right padding (it may be absent), no stray bits. *ret is
// malloc'd and NUL-terminated behind its len bytes. False on bad input.
bool base64_decode(const char *text, size_t text_len, void **ret, size_t *ret_len);
