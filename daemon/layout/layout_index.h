// SPDX-License-Identifier: Apache-2.0
//
// The entry document of a layout, index.json (OCI image-spec image-layout.md): an index whose children carry
// their tags as annotations. Pure; shared by layout directories and archives.
#pragma once

#include "oci/manifest.h"

#define LAYOUT_INDEX_FILE "index.json"
#define LAYOUT_VERSION_FILE "oci-layout"
#define LAYOUT_VERSION_TEXT "{\"imageLayoutVersion\":\"1.0.0\"}"
#define LAYOUT_INDEX_EMPTY "{\"manifests\":[],\"mediaType\":\"" MEDIA_OCI_INDEX "\",\"schemaVersion\":2}"

enum { LAYOUT_VERSION_BYTES_MAX = 4096 };

// Is this the content of an oci-layout file of a version that is understood? ERR_REGISTRY_PROTOCOL.
int layout_index_check_version(const char *bytes, size_t len, struct error *err);
// As manifest_parse, of an index.json. ret may be cleared after a failure too.
int layout_index_parse(struct manifest *ret, const char *bytes, size_t len, struct error *err);
// The child that a tag names (annotation org.opencontainers.image.ref.name); tag NULL: the only child, else
// "latest"; a digest finds the child with that digest. Borrowed; NULL with ERR_IMAGE_NOT_FOUND, which lists
// the tags there are, or ERR_REGISTRY_PROTOCOL if the tag names two different manifests.
const struct descriptor *layout_index_find(const struct manifest *index, const char *tag, struct error *err);
// The text of index with one more child: the manifest under that tag (NULL: none). A child that had the tag,
// and a tagless child with that digest, give way. Other children and members are kept. Caller frees.
char *layout_index_put(const struct manifest *index, const struct descriptor *manifest, const char *tag,
                       struct error *err);
