// SPDX-License-Identifier: Apache-2.0
//
// Works on the document as it is, so that members which are not known here survive.
#include "images/convert.h"

#include <string.h>

#include "base/mem.h"

bool convert_needed(const struct manifest *m, enum media_family family)
{
    return (m->is_index || manifest_is_image(m)) && manifest_family(m) != family;
}

static void set_media_type(json_t *descriptor, enum media_family family)
{
    const char *media_type = json_get_string(descriptor, "mediaType");
    if (media_type)
        json_object_set_new(descriptor, "mediaType", json_string(media_type_convert(media_type, family)));
}

// Docker's documents have no annotations: what is dropped is told in the docs of the target format.
static void finish_document(json_t *document, const char *media_type, enum media_family family)
{
    json_object_set_new(document, "mediaType", json_string(media_type_convert(media_type, family)));
    if (family == MEDIA_FAMILY_DOCKER)
        json_object_del(document, "annotations");
}

static int parse_document(struct manifest *ret, const json_t *document, struct error *err)
{
    AUTO_FREE char *text = json_text(document);
    return manifest_parse(ret, text, strlen(text), json_get_string(document, "mediaType"), err);
}

int convert_manifest(struct manifest *ret, const struct manifest *m, enum media_family family, struct error *err)
{
    for (size_t i = 0; i < m->n_layers; i++)
        if (family == MEDIA_FAMILY_DOCKER &&
            media_type_compression(m->layers[i].media_type) == MEDIA_COMPRESSION_ZSTD)
            return error_set(err, ERR_MANIFEST_UNSUPPORTED,
                             "%.19s… cannot become a Docker image: layer %zu is compressed with zstd, for which that "
                             "format has no media type", m->digest.text, i);
    AUTO_JSON json_t *document = json_deep_copy(m->root);
    size_t i;
    json_t *layer;
    json_array_foreach(json_object_get(document, "layers"), i, layer)
        set_media_type(layer, family);
    set_media_type(json_object_get(document, "config"), family);
    finish_document(document, m->media_type, family);
    return parse_document(ret, document, err);
}

int convert_index(struct manifest *ret, const struct manifest *index, const struct manifest *const *children,
                  enum media_family family, struct error *err)
{
    AUTO_JSON json_t *document = json_deep_copy(index->root);
    size_t i;
    json_t *child;
    json_array_foreach(json_object_get(document, "manifests"), i, child)
    {
        if (!children[i])
            continue;
        json_object_set_new(child, "mediaType", json_string(children[i]->media_type));
        json_object_set_new(child, "digest", json_string(children[i]->digest.text));
        json_object_set_new(child, "size", json_integer((json_int_t)children[i]->len));
    }
    finish_document(document, index->media_type, family);
    return parse_document(ret, document, err);
}
