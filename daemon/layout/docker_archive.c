// SPDX-License-Identifier: Apache-2.0
//
// docker-archives as targets: the blobs, and a manifest.json that names config, layers and references. Layers
// stay compressed as they are; `docker load` and the others find out themselves. Reading is in
// docker_source.c.
#include "layout/docker_archive.h"

#include <string.h>

#include "base/mem.h"
#include "layout/archive_target.h"

static int check_image(const struct manifest *manifest, struct error *err)
{
    if (manifest_is_image(manifest))
        return 0;
    error_set(err, ERR_MANIFEST_UNSUPPORTED, "a docker-archive cannot hold %s",
              manifest->is_index ? "an index of several platforms" : "an artifact that is not an image");
    error_hint(err,
               manifest->is_index ? "Name one platform, or write an oci-archive." : "Write an oci-archive.");
    return -1;
}

// Full, with tag: readers normalise it, and older ones need the host.
static char *canonical_name(const char *name, struct error *err)
{
    struct reference ref;
    if (reference_parse(&ref, name, err) < 0)
        return NULL;
    char *canonical = mem_printf("%s/%s:%s", ref.registry, ref.repository, ref.tag ? ref.tag : "latest");
    reference_clear(&ref);
    return canonical;
}

static json_t *blob_path(struct archive_regions *regions, const struct descriptor *blob, struct error *err)
{
    char name[ARCHIVE_REGIONS_NAME_MAX];
    if (archive_regions_size(regions, &blob->digest) >= 0) {
        archive_regions_blob_name(&blob->digest, name);
        return json_string(name);
    }
    error_set(err, ERR_MANIFEST_UNSUPPORTED,
              "the blob %s was not copied, and a docker-archive needs all layers", blob->digest.text);
    if (media_type_is_foreign_layer(blob->media_type))
        error_hint(err, "It is a foreign layer: set \"foreign_layers\": \"copy\".");
    return NULL;
}

static json_t *image_entry(struct archive_regions *regions, const struct archive_image *image,
                           struct error *err)
{
    AUTO_JSON json_t *entry = json_object();
    json_t *config = blob_path(regions, &image->manifest.config, err);
    if (!config)
        return NULL;
    json_object_set_new(entry, "Config", config);
    json_t *names = json_array();
    json_object_set_new(entry, "RepoTags", names);
    for (size_t i = 0; i < image->n_names; i++)
        json_array_append_new(names, json_string(image->names[i]));
    json_t *layers = json_array();
    json_object_set_new(entry, "Layers", layers);
    for (size_t i = 0; i < image->manifest.n_layers; i++) {
        json_t *layer = blob_path(regions, &image->manifest.layers[i], err);
        if (!layer)
            return NULL;
        json_array_append_new(layers, layer);
    }
    return json_incref(entry);
}

static int complete(struct archive_regions *regions, const struct archive_image *images, size_t n,
                    struct error *err)
{
    AUTO_JSON json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *entry = image_entry(regions, &images[i], err);
        if (!entry)
            return -1;
        json_array_append_new(list, entry);
    }
    AUTO_FREE char *text = json_text(list);
    return archive_regions_add(regions, "manifest.json", text, strlen(text), err);
}

static const struct archive_format docker_format = {
    .check = check_image,
    .keeps_manifests = false,
    .name = canonical_name,
    .complete = complete,
};

struct image_store *docker_archive_create(const struct roots *roots, const char *path, struct error *err)
{
    return archive_target_create(&docker_format, roots, path, err);
}

struct image_store *docker_archive_stream(struct sink *out)
{
    return archive_target_stream(&docker_format, out);
}
