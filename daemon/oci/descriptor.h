// SPDX-License-Identifier: Apache-2.0
//
// Descriptors (OCI image-spec descriptor.md). Pure.
#pragma once

#include "base/digest.h"
#include "base/json.h"
#include "oci/platform.h"

struct descriptor {
    char *media_type;
    struct digest digest;
    int64_t size;
    bool has_platform;
    struct platform platform;
    json_t *annotations; // object or NULL
    json_t *urls;        // array of strings or NULL
    char *artifact_type; // or NULL
};

// From an untrusted document: media type, digest and size are required; size 0 … 2^53, data (if any) must
// match digest and size. Errors: ERR_REGISTRY_PROTOCOL, with `where` ("layers[3]") in the text.
int descriptor_parse(struct descriptor *ret, const json_t *value, const char *where, struct error *err);
json_t *descriptor_to_json(const struct descriptor *d); // new reference
void descriptor_init(struct descriptor *d, const char *media_type, const struct digest *digest, int64_t size);
void descriptor_copy(struct descriptor *dst, const struct descriptor *src);
void descriptor_clear(struct descriptor *d);
