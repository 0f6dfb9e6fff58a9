// SPDX-License-Identifier: Apache-2.0
//
// The tables of media types. Everyone who looks at a manifest asks here instead of comparing strings, so that
// a type is known everywhere or nowhere. Comparison is exact: types in documents are case-sensitive in
// practice, and media_type_essence folds those of HTTP headers first.
#include "oci/media_type.h"

#include <stddef.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

#define MEDIA_OCI_FOREIGN "application/vnd.oci.image.layer.nondistributable.v1.tar"

struct layer_type {
    const char *media_type;
    enum media_family family;
    enum media_compression compression;
    bool foreign;
    bool read_only; // seen in the field, but no part of the family's specification: never written
};

static const struct layer_type layer_types[] = {
    {MEDIA_OCI_LAYER, MEDIA_FAMILY_OCI, MEDIA_COMPRESSION_NONE, false, false},
    {MEDIA_OCI_LAYER_GZIP, MEDIA_FAMILY_OCI, MEDIA_COMPRESSION_GZIP, false, false},
    {MEDIA_OCI_LAYER_ZSTD, MEDIA_FAMILY_OCI, MEDIA_COMPRESSION_ZSTD, false, false},
    {MEDIA_DOCKER_LAYER, MEDIA_FAMILY_DOCKER, MEDIA_COMPRESSION_NONE, false, false},
    {MEDIA_DOCKER_LAYER_GZIP, MEDIA_FAMILY_DOCKER, MEDIA_COMPRESSION_GZIP, false, false},
    {MEDIA_OCI_FOREIGN, MEDIA_FAMILY_OCI, MEDIA_COMPRESSION_NONE, true, false},
    {MEDIA_OCI_FOREIGN "+gzip", MEDIA_FAMILY_OCI, MEDIA_COMPRESSION_GZIP, true, false},
    {MEDIA_OCI_FOREIGN "+zstd", MEDIA_FAMILY_OCI, MEDIA_COMPRESSION_ZSTD, true, false},
    {MEDIA_DOCKER_FOREIGN_LAYER, MEDIA_FAMILY_DOCKER, MEDIA_COMPRESSION_GZIP, true, false},
    {"application/vnd.docker.image.rootfs.diff.tar.zstd", MEDIA_FAMILY_DOCKER, MEDIA_COMPRESSION_ZSTD, false,
     true},
    {"application/vnd.docker.image.rootfs.foreign.diff.tar", MEDIA_FAMILY_DOCKER, MEDIA_COMPRESSION_NONE,
     true, true},
};

// Pairs of documents that mean the same in both families.
static const char *const document_pairs[][2] = {
    {MEDIA_OCI_MANIFEST, MEDIA_DOCKER_MANIFEST},
    {MEDIA_OCI_INDEX, MEDIA_DOCKER_LIST},
    {MEDIA_OCI_CONFIG, MEDIA_DOCKER_CONFIG},
};

static const size_t n_layer_types = sizeof layer_types / sizeof layer_types[0];
static const size_t n_document_pairs = sizeof document_pairs / sizeof document_pairs[0];

static const struct layer_type *layer_type_find(const char *media_type)
{
    for (size_t i = 0; media_type && i < n_layer_types; i++)
        if (strcmp(layer_types[i].media_type, media_type) == 0)
            return &layer_types[i];
    return NULL;
}

bool media_type_is_manifest(const char *media_type)
{
    return str_equal(media_type, MEDIA_OCI_MANIFEST) || str_equal(media_type, MEDIA_DOCKER_MANIFEST);
}

bool media_type_is_index(const char *media_type)
{
    return str_equal(media_type, MEDIA_OCI_INDEX) || str_equal(media_type, MEDIA_DOCKER_LIST);
}

bool media_type_is_schema1(const char *media_type)
{
    return str_equal(media_type, "application/vnd.docker.distribution.manifest.v1+json") ||
           str_equal(media_type, "application/vnd.docker.distribution.manifest.v1+prettyjws");
}

bool media_type_is_config(const char *media_type)
{
    return str_equal(media_type, MEDIA_OCI_CONFIG) || str_equal(media_type, MEDIA_DOCKER_CONFIG);
}

bool media_type_is_layer(const char *media_type)
{
    return media_type && (str_starts(media_type, "application/vnd.oci.image.layer.") ||
                          str_starts(media_type, "application/vnd.docker.image.rootfs."));
}

bool media_type_is_foreign_layer(const char *media_type)
{
    const struct layer_type *type = layer_type_find(media_type);
    return type && type->foreign;
}

enum media_family media_type_family(const char *media_type)
{
    return media_type && str_starts(media_type, "application/vnd.docker.") ? MEDIA_FAMILY_DOCKER
                                                                           : MEDIA_FAMILY_OCI;
}

enum media_compression media_type_compression(const char *layer_media_type)
{
    const struct layer_type *type = layer_type_find(layer_media_type);
    return type ? type->compression : MEDIA_COMPRESSION_UNKNOWN;
}

static const char *layer_type_name(enum media_family family, enum media_compression compression, bool foreign)
{
    for (size_t i = 0; i < n_layer_types; i++)
        if (layer_types[i].family == family && layer_types[i].compression == compression &&
            layer_types[i].foreign == foreign && !layer_types[i].read_only)
            return layer_types[i].media_type;
    return NULL;
}

const char *media_type_layer(enum media_family family, enum media_compression compression)
{
    return layer_type_name(family, compression, false);
}

const char *media_type_convert(const char *media_type, enum media_family family)
{
    for (size_t i = 0; i < n_document_pairs; i++)
        if (str_equal(media_type, document_pairs[i][0]) || str_equal(media_type, document_pairs[i][1]))
            return document_pairs[i][family == MEDIA_FAMILY_DOCKER];
    const struct layer_type *type = layer_type_find(media_type);
    const char *converted = type ? layer_type_name(family, type->compression, type->foreign) : NULL;
    return converted ? converted : media_type;
}

char *media_type_essence(const char *content_type)
{
    if (!content_type)
        return NULL;
    content_type += strspn(content_type, " \t");
    char *essence = mem_strndup(content_type, strcspn(content_type, "; \t\r\n"));
    str_lower(essence);
    return essence;
}

bool media_type_is_generic(const char *essence)
{
    static const char *const generic[] = {"",          "application/json",         "text/plain",
                                          "text/json", "application/octet-stream", "binary/octet-stream"};
    for (size_t i = 0; i < sizeof generic / sizeof generic[0]; i++)
        if (!essence || strcmp(essence, generic[i]) == 0)
            return true;
    return false;
}
