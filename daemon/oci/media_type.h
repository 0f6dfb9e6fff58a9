// SPDX-License-Identifier: Apache-2.0
//
// The media types of images (OCI image-spec media-types.md; Docker "Image Manifest Version 2, Schema 2") and
// how the two families correspond. Pure.
#pragma once

#include <stdbool.h>

#define MEDIA_OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define MEDIA_OCI_INDEX "application/vnd.oci.image.index.v1+json"
#define MEDIA_OCI_CONFIG "application/vnd.oci.image.config.v1+json"
#define MEDIA_OCI_LAYER "application/vnd.oci.image.layer.v1.tar"
#define MEDIA_OCI_LAYER_GZIP "application/vnd.oci.image.layer.v1.tar+gzip"
#define MEDIA_OCI_LAYER_ZSTD "application/vnd.oci.image.layer.v1.tar+zstd"
#define MEDIA_OCI_EMPTY "application/vnd.oci.empty.v1+json"
#define MEDIA_DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define MEDIA_DOCKER_LIST "application/vnd.docker.distribution.manifest.list.v2+json"
#define MEDIA_DOCKER_CONFIG "application/vnd.docker.container.image.v1+json"
#define MEDIA_DOCKER_LAYER "application/vnd.docker.image.rootfs.diff.tar"
#define MEDIA_DOCKER_LAYER_GZIP "application/vnd.docker.image.rootfs.diff.tar.gzip"
#define MEDIA_DOCKER_FOREIGN_LAYER "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"

// The four manifest types, comma-joined, for one Accept header.
#define MEDIA_MANIFEST_ACCEPT                                                                                \
    MEDIA_OCI_MANIFEST ", " MEDIA_OCI_INDEX ", " MEDIA_DOCKER_MANIFEST ", " MEDIA_DOCKER_LIST

enum media_family { MEDIA_FAMILY_OCI, MEDIA_FAMILY_DOCKER };
enum media_compression {
    MEDIA_COMPRESSION_NONE,
    MEDIA_COMPRESSION_GZIP,
    MEDIA_COMPRESSION_ZSTD,
    MEDIA_COMPRESSION_UNKNOWN
};

bool media_type_is_manifest(const char *media_type);
bool media_type_is_index(const char *media_type);
bool media_type_is_schema1(const char *media_type);
bool media_type_is_config(const char *media_type); // of a runnable image, of either family
bool media_type_is_layer(
    const char *media_type); // any file system layer, also of a compression not known here
bool media_type_is_foreign_layer(const char *media_type); // non-distributable, of either family
enum media_family media_type_family(const char *media_type);
enum media_compression media_type_compression(const char *layer_media_type);
const char *media_type_layer(enum media_family family,
                             enum media_compression compression); // NULL: Docker has no zstd
// The same thing in the other family, or the argument itself if there is none.
const char *media_type_convert(const char *media_type, enum media_family family);
// "Application/JSON; charset=utf-8" ▸ "application/json" (RFC 9110 section 8.3.1): a Content-Type as it can
// be compared. NULL ▸ NULL; caller frees.
char *media_type_essence(const char *content_type);
// Says nothing about the content: absent, text/plain, application/json, application/octet-stream …
bool media_type_is_generic(const char *essence);
