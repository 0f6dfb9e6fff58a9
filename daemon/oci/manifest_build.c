// SPDX-License-Identifier: Apache-2.0
//
// New manifests and indexes. The text is canonical (sorted keys, no white space), so equal content gives an
// equal digest; mediaType is always written (old Amazon ECR refuses a document without). What was built is
// parsed again, so that nothing leaves this house that it would refuse to take in.
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "oci/manifest.h"

static int finish(struct manifest *ret, json_t *root, const json_t *annotations, struct error *err)
{
    json_object_set_new(root, "schemaVersion", json_integer(2));
    if (annotations && json_object_size(annotations) > 0)
        json_object_set_new(root, "annotations", json_deep_copy(annotations));
    AUTO_FREE char *text = json_text_canonical(root);
    json_decref(root);
    if (manifest_parse(ret, text, strlen(text), NULL, err) < 0)
        return error_wrap(err, "building a manifest");
    return 0;
}

static json_t *array_of(const struct descriptor *descriptors, size_t n)
{
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(array, descriptor_to_json(&descriptors[i]));
    return array;
}

// Docker's formats have no annotations; dropping them silently would lose what the user asked for.
static int check_family(enum media_family family, const json_t *annotations, struct error *err)
{
    if (family != MEDIA_FAMILY_DOCKER || json_object_size(annotations) == 0)
        return 0;
    error_set(err, ERR_INVALID_REQUEST, "an image in Docker's format cannot have annotations");
    error_hint(err, "Set \"format\": \"oci\" for the target.");
    return -1;
}

int manifest_build(struct manifest *ret, enum media_family family, const struct descriptor *config,
                   const struct descriptor *layers, size_t n_layers, const json_t *annotations,
                   struct error *err)
{
    *ret = (struct manifest){0};
    if (check_family(family, annotations, err) < 0)
        return -1;
    json_t *root = json_object();
    bool docker = family == MEDIA_FAMILY_DOCKER;
    json_object_set_new(root, "mediaType", json_string(docker ? MEDIA_DOCKER_MANIFEST : MEDIA_OCI_MANIFEST));
    json_object_set_new(root, "config", descriptor_to_json(config));
    json_object_set_new(root, "layers", array_of(layers, n_layers));
    return finish(ret, root, annotations, err);
}

int manifest_build_index(struct manifest *ret, enum media_family family, const struct descriptor *children,
                         size_t n_children, const json_t *annotations, struct error *err)
{
    *ret = (struct manifest){0};
    if (check_family(family, annotations, err) < 0)
        return -1;
    json_t *root = json_object();
    bool docker = family == MEDIA_FAMILY_DOCKER;
    json_object_set_new(root, "mediaType", json_string(docker ? MEDIA_DOCKER_LIST : MEDIA_OCI_INDEX));
    json_object_set_new(root, "manifests", array_of(children, n_children));
    return finish(ret, root, annotations, err);
}
