// SPDX-License-Identifier: Apache-2.0
//
// Image manifests and indexes of both families, parsed from exact bytes that are kept: what is copied is
// pushed as it was received. A document is either a manifest or an index, never both (CVE-2021-41190). Pure.
#pragma once

#include "oci/descriptor.h"
#include "oci/media_type.h"

struct manifest {
    char *media_type;
    struct digest digest; // of the bytes; sha256 unless manifest_verify set another
    char *bytes;
    size_t len;
    json_t *root;
    bool is_index;
    // manifest
    struct descriptor config;
    struct descriptor *layers;
    size_t n_layers;
    char *artifact_type; // or NULL
    bool has_subject;
    struct descriptor subject;
    // index
    struct descriptor *children;
    size_t n_children;
    json_t *annotations; // borrowed from root; or NULL
};

enum { MANIFEST_BYTES_MAX = 4 << 20, MANIFEST_DESCRIPTORS_MAX = 10000, MANIFEST_DEPTH_MAX = 4 };

// Takes a copy of the bytes. content_type: what the server declared, parameters allowed, may be NULL or
// generic; it must not contradict the document's mediaType. Schema 1 is refused as ERR_MANIFEST_UNSUPPORTED,
// everything else that is wrong is ERR_REGISTRY_PROTOCOL. Duplicate keys and known keys in another case are
// refused.
int manifest_parse(struct manifest *ret, const void *bytes, size_t len, const char *content_type,
                   struct error *err);
// Is it what a descriptor promised: digest, size (-1: any), media type (NULL: any)? Then m->digest becomes
// the descriptor's, which may be of another algorithm. ERR_DIGEST_MISMATCH, ERR_REGISTRY_PROTOCOL.
int manifest_verify(struct manifest *m, const struct descriptor *expected, struct error *err);
void manifest_clear(struct manifest *m);
void manifest_move(struct manifest *dst, struct manifest *src);
enum media_family manifest_family(const struct manifest *m);
// Is this a runnable image (config of a known type, layers), not an artifact?
bool manifest_is_image(const struct manifest *m);
// The child for a platform: first exact, then by variant rules; attestation children (unknown/unknown) never
// match. NULL if none; the error (ERR_PLATFORM_MISSING) lists what there is.
const struct descriptor *manifest_find_platform(const struct manifest *index, const struct platform *wanted,
                                                struct error *err);

// Builders: canonical JSON text of a new document, always with mediaType. Caller clears.
int manifest_build(struct manifest *ret, enum media_family family, const struct descriptor *config,
                   const struct descriptor *layers, size_t n_layers, const json_t *annotations,
                   struct error *err);
int manifest_build_index(struct manifest *ret, enum media_family family, const struct descriptor *children,
                         size_t n_children, const json_t *annotations, struct error *err);
