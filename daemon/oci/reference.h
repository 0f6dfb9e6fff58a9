// SPDX-License-Identifier: Apache-2.0
//
// Image references of registries: the grammar of distribution/reference
// (https://github.com/distribution/reference) with Docker Hub's short forms: `user/image` is
// docker.io/user/image, `image` is docker.io/library/image; a first part is a host only if it has a '.' or
// ':' , is `localhost`, or is a bracketed IPv6 address. Pure; any thread.
#pragma once

#include <stdbool.h>

#include "base/digest.h"
#include "base/error.h"

struct reference {
    char *registry;       // canonical: "docker.io", "localhost:5000", "[::1]:5000", lower case
    char *repository;     // "library/node"
    char *tag;            // NULL if none was given
    struct digest digest; // digest_known tells; with both, the digest decides
};

// Limits: name ≤ 255 including host, tag ≤ 128, no trailing slash, lower-case path components.
// ERR_REFERENCE_INVALID says which rule and, where it can, what was probably meant (upper case, scheme in
// front, tag with a slash). Without tag and digest, tag stays NULL: reference_tag gives "latest".
int reference_parse(struct reference *ret, const char *text, struct error *err);
// "registry/repository" with neither tag nor digest.
int reference_parse_repository(struct reference *ret, const char *text, struct error *err);
void reference_clear(struct reference *ref);
void reference_copy(struct reference *dst, const struct reference *src);
const char *reference_tag(const struct reference *ref); // "latest" if neither tag nor digest
// What a manifest request names: the digest if known, else the tag.
const char *reference_target(const struct reference *ref);
char *reference_format(const struct reference *ref); // as a person writes it, canonical; caller frees
char *reference_format_digest(const struct reference *ref, const struct digest *digest); // repo@digest
// The host to connect to: docker.io ▸ registry-1.docker.io; others unchanged.
const char *reference_host(const char *registry);
bool reference_tag_valid(const char *tag);
bool reference_repository_valid(const char *repository);
