// SPDX-License-Identifier: Apache-2.0
//
// Sealing of inline credentials at rest: AES-256-GCM with a random 96-bit nonce per message (NIST SP
// 800-38D), key from a systemd credential (`$CREDENTIALS_DIRECTORY/dray-seal-key`) or a 0600 key file that is
// made at first start.
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "base/secret.h"

struct seal;

// Opens or makes the key, 32 raw bytes. directory: the state directory. Fails if the file is readable by
// others.
struct seal *seal_open(const char *directory, struct error *err);
void seal_free(struct seal *seal);
// context is authenticated, not encrypted (the job id), so a sealed text cannot be moved to another job.
// *ret is malloc'd binary: version byte, nonce, ciphertext, tag.
int seal_close_text(struct seal *seal, const char *context, const struct secret *text, void **ret,
                    size_t *ret_len, struct error *err);
struct secret *seal_open_text(struct seal *seal, const char *context, const void *sealed, size_t len,
                              struct error *err);
