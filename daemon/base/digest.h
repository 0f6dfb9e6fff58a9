// SPDX-License-Identifier: Apache-2.0
//
// Content digests (OCI image-spec, descriptor.md "Digests"). A struct digest can only be made by digest_parse
// or by a hasher, so wherever one stands it is `sha256:` + 64 or `sha512:` + 128 lower-case hex digits and is
// safe in a path or URL. The only user of OpenSSL's digests.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum digest_algorithm { DIGEST_NONE = 0, DIGEST_SHA256, DIGEST_SHA512 };

enum { DIGEST_TEXT_MAX = 7 + 128 + 1 };

// A value type: copy it freely, compare with digest_equal. All-zero means "not known".
struct digest {
    enum digest_algorithm algorithm;
    char text[DIGEST_TEXT_MAX]; // "sha256:…", NUL-terminated
};

// ERR_INVALID_REQUEST, for NULL too.
int digest_parse(struct digest *ret, const char *text, struct error *err);
bool digest_valid(const char *text);
bool digest_equal(const struct digest *a, const struct digest *b);
bool digest_known(const struct digest *digest);
const char *digest_hex(const struct digest *digest);            // the part behind the colon
const char *digest_algorithm_name(const struct digest *digest); // "sha256"
void digest_of(struct digest *ret, enum digest_algorithm algorithm, const void *bytes, size_t len);

// Incremental hashing. One thread at a time; cannot fail once made.
struct hasher;
struct hasher *hasher_new(enum digest_algorithm algorithm);
struct hasher *hasher_dup(const struct hasher *hasher); // goes on from the same state on its own
void hasher_update(struct hasher *hasher, const void *bytes, size_t len);
void hasher_finish(struct hasher *hasher, struct digest *ret); // may be called once
void hasher_free(struct hasher *hasher);                       // NULL is fine
