// SPDX-License-Identifier: Apache-2.0
//
// Reads manifests and indexes, from servers and from disk, as hostile documents. What comes out of
// manifest_parse is one thing only (GO-2022-0379, CVE-2021-41190), agrees with what it was declared to be,
// and holds descriptors that were each checked; the bytes are kept as they came, because they are what the
// digest is of.
#include "oci/manifest.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "oci/document.h"

#define MEDIA_OCI_ARTIFACT "application/vnd.oci.artifact.manifest.v1+json"

static const char *const manifest_keys[] = {"schemaVersion", "mediaType",   "config",       "layers",
                                            "manifests",     "annotations", "artifactType", "subject",
                                            "fsLayers",      NULL};

static const char *manifest_where(bool is_index)
{
    return is_index ? "the index" : "the manifest";
}

static int refuse_schema1(struct error *err)
{
    error_set(err, ERR_MANIFEST_UNSUPPORTED,
              "the image has a Docker schema 1 manifest, which is not supported");
    error_hint(err, "Push the image again with a current tool, or pull it with one that converts schema 1.");
    return -1;
}

// Which of the two kinds the members say it is. A document that could be read as both is refused.
static int take_shape(struct manifest *m, struct error *err)
{
    bool has_manifests = json_object_get(m->root, "manifests");
    bool has_layers = json_object_get(m->root, "layers");
    bool has_config = json_object_get(m->root, "config");
    bool has_schema1 = json_object_get(m->root, "fsLayers");
    const json_t *version = json_object_get(m->root, "schemaVersion");
    if (json_is_integer(version) && json_integer_value(version) == 1)
        return refuse_schema1(err);
    if (!json_is_integer(version) || json_integer_value(version) != 2)
        return document_fail(err, "the manifest", "has no schemaVersion 2");
    if (has_manifests && (has_layers || has_config))
        return document_fail(err, "the document", "can be read as a manifest and as an index");
    if (has_schema1)
        return document_fail(err, "the document", "can be read as a schema 1 and as a schema 2 manifest");
    if (!has_manifests && !has_config)
        return document_fail(err, "the document", "is neither an image manifest nor an index");
    m->is_index = has_manifests;
    return 0;
}

static const char *infer_type(const struct manifest *m)
{
    if (m->is_index)
        return MEDIA_OCI_INDEX;
    const char *config = json_get_string(document_member(m->root, "config"), "mediaType");
    return config && media_type_family(config) == MEDIA_FAMILY_DOCKER ? MEDIA_DOCKER_MANIFEST
                                                                      : MEDIA_OCI_MANIFEST;
}

static int refuse_type(const char *media_type, struct error *err)
{
    AUTO_FREE char *quoted = str_quote(media_type, 100);
    if (media_type_is_schema1(media_type))
        return refuse_schema1(err);
    return error_set(err, ERR_MANIFEST_UNSUPPORTED, "manifests of the type '%s' are not supported", quoted);
}

static bool type_known(const char *media_type)
{
    return media_type_is_manifest(media_type) || media_type_is_index(media_type);
}

// The declared type: the header's unless it says nothing, and it must agree with the document's own.
static int take_type(struct manifest *m, const char *declared, struct error *err)
{
    const char *own = document_string(m->root, "mediaType", 255, "the manifest", err);
    if (!own)
        return -1;
    if (*own && !media_type_is_generic(declared) && strcmp(own, declared) != 0) {
        AUTO_FREE char *quoted = str_quote(own, 100);
        AUTO_FREE char *header = str_quote(declared, 100);
        return document_fail(err, "the manifest", "was declared as '%s' but says that it is '%s'", header,
                             quoted);
    }
    const char *type = *own ? own : media_type_is_generic(declared) ? infer_type(m) : declared;
    if (!type_known(type))
        return refuse_type(type, err);
    if (media_type_is_index(type) != m->is_index)
        return document_fail(err, "the manifest", "has the type '%s' and the members of %s", type,
                             m->is_index ? "an index" : "an image manifest");
    m->media_type = mem_strdup(type);
    return 0;
}

static int take_descriptors(struct descriptor **ret, size_t *ret_n, const json_t *root, const char *key,
                            struct error *err)
{
    const json_t *array = document_member(root, key);
    size_t n = json_array_size(array);
    if (array && !json_is_array(array))
        return document_fail(err, key, "is not an array");
    if (n > MANIFEST_DESCRIPTORS_MAX)
        return document_fail(err, key, "has %zu entries, more than the limit of %d", n,
                             MANIFEST_DESCRIPTORS_MAX);
    *ret = mem_calloc(n + 1, sizeof **ret);
    for (; *ret_n < n; ++*ret_n) {
        char where[40];
        snprintf(where, sizeof where, "%s[%zu]", key, *ret_n);
        if (descriptor_parse(&(*ret)[*ret_n], json_array_get(array, *ret_n), where, err) < 0)
            return -1;
    }
    return 0;
}

static int take_subject(struct manifest *m, struct error *err)
{
    const json_t *subject = document_member(m->root, "subject");
    if (!subject)
        return 0;
    if (descriptor_parse(&m->subject, subject, "subject", err) < 0)
        return -1;
    m->has_subject = true;
    return 0;
}

static int take_members(struct manifest *m, struct error *err)
{
    const char *where = manifest_where(m->is_index);
    const char *artifact_type = document_string(m->root, "artifactType", 255, where, err);
    json_t *annotations = NULL;
    if (!artifact_type || document_annotations(&annotations, m->root, where, err) < 0)
        return -1;
    json_decref(annotations); // root holds it
    m->annotations = annotations;
    m->artifact_type = *artifact_type ? mem_strdup(artifact_type) : NULL;
    if (take_subject(m, err) < 0)
        return -1;
    if (m->is_index)
        return take_descriptors(&m->children, &m->n_children, m->root, "manifests", err);
    if (descriptor_parse(&m->config, json_object_get(m->root, "config"), "config", err) < 0)
        return -1;
    return take_descriptors(&m->layers, &m->n_layers, m->root, "layers", err);
}

static int parse_document(struct manifest *m, const char *declared, struct error *err)
{
    if (declared && (media_type_is_schema1(declared) || strcmp(declared, MEDIA_OCI_ARTIFACT) == 0))
        return refuse_type(declared, err);
    m->root = document_parse(m->bytes, m->len, &json_limits_manifest, "the manifest", err);
    if (!m->root || document_check_keys(m->root, manifest_keys, "the manifest", err) < 0)
        return -1;
    const char *own = json_get_string(m->root, "mediaType");
    if (own && (media_type_is_schema1(own) || strcmp(own, MEDIA_OCI_ARTIFACT) == 0))
        return refuse_type(own, err);
    if (take_shape(m, err) < 0 || take_type(m, declared, err) < 0)
        return -1;
    return take_members(m, err);
}

int manifest_parse(struct manifest *ret, const void *bytes, size_t len, const char *content_type,
                   struct error *err)
{
    AUTO_FREE char *declared = media_type_essence(content_type);
    *ret = (struct manifest){0};
    if (len > MANIFEST_BYTES_MAX)
        return document_fail(err, "the manifest", "has %zu bytes, more than the limit of %d", len,
                             MANIFEST_BYTES_MAX);
    ret->bytes = mem_alloc(len + 1);
    memcpy(ret->bytes, bytes, len);
    ret->bytes[len] = '\0';
    ret->len = len;
    digest_of(&ret->digest, DIGEST_SHA256, bytes, len);
    if (parse_document(ret, declared, err) == 0)
        return 0;
    manifest_clear(ret);
    return -1;
}

int manifest_verify(struct manifest *m, const struct descriptor *expected, struct error *err)
{
    struct digest actual = m->digest;
    if (expected->digest.algorithm != m->digest.algorithm)
        digest_of(&actual, expected->digest.algorithm, m->bytes, m->len);
    if (!digest_equal(&actual, &expected->digest))
        return error_set(err, ERR_DIGEST_MISMATCH, "the manifest has the digest %s instead of %s",
                         actual.text, expected->digest.text);
    if (expected->size >= 0 && (int64_t)m->len != expected->size)
        return error_set(err, ERR_DIGEST_MISMATCH, "the manifest %s has %zu bytes instead of %lld",
                         actual.text, m->len, (long long)expected->size);
    if (expected->media_type && strcmp(expected->media_type, m->media_type) != 0) {
        AUTO_FREE char *quoted = str_quote(expected->media_type, 100);
        return document_fail(err, "the manifest", "is '%s', but its descriptor says '%s'", m->media_type,
                             quoted);
    }
    m->digest = actual;
    return 0;
}

static void clear_descriptors(struct descriptor *descriptors, size_t n)
{
    for (size_t i = 0; i < n; i++)
        descriptor_clear(&descriptors[i]);
    free(descriptors);
}

void manifest_clear(struct manifest *m)
{
    clear_descriptors(m->layers, m->n_layers);
    clear_descriptors(m->children, m->n_children);
    descriptor_clear(&m->config);
    descriptor_clear(&m->subject);
    free(m->media_type);
    free(m->artifact_type);
    free(m->bytes);
    json_decref(m->root);
    *m = (struct manifest){0};
}

void manifest_move(struct manifest *dst, struct manifest *src)
{
    *dst = *src;
    *src = (struct manifest){0};
}

enum media_family manifest_family(const struct manifest *m)
{
    return media_type_family(m->media_type);
}

bool manifest_is_image(const struct manifest *m)
{
    if (m->is_index || !media_type_is_config(m->config.media_type))
        return false;
    for (size_t i = 0; i < m->n_layers; i++)
        if (!media_type_is_layer(m->layers[i].media_type))
            return false;
    return true;
}
