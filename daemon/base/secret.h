// SPDX-License-Identifier: Apache-2.0
//
// Secrets are a type: a text that is wiped when it ends and whose only printable form is "***". secret_reveal
// is the one way to the bytes; grep for it to see who looks.
#pragma once

#include <stddef.h>

struct secret;

struct secret *secret_new(const char *text); // copies; NULL ▸ NULL
struct secret *secret_new_bytes(const void *bytes, size_t len);
struct secret *secret_dup(const struct secret *secret);
const char *secret_reveal(const struct secret *secret); // borrowed, NUL-terminated; NULL ▸ NULL
size_t secret_len(const struct secret *secret);
const char *secret_text(const struct secret *secret); // "***", or "" for NULL
void secret_free(struct secret *secret);              // wipes; NULL is fine
// A short one-way name of a secret (first 16 hex digits of a keyed hash; the key is made at start and never
// leaves the process), for cache keys that must tell two identities apart without holding either. NULL is all
// zeroes, unlike the empty secret.
void secret_identity(const struct secret *secret, char ret[17]);
