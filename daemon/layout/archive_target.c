// SPDX-License-Identifier: Apache-2.0
//
// An archive as a target: blobs go to its regions, manifests and names are kept until finish, when the format
// says what they become, and the file takes its place by rename.
#include "layout/archive_target.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "layout/temp_file.h"

struct archive_target {
    struct image_store base;
    const struct archive_format *format;
    struct archive_regions *regions;
    struct temp_file temp;
    char *name;                   // of the file to be; NULL: a stream
    struct archive_image *images; // all manifests
    bool *tagged;                 // which of them are images of their own
    size_t n_images;
};

static struct archive_target *target_of(struct image_store *store)
{
    return container_of(store, struct archive_target, base);
}

static int64_t target_blob_size(struct image_store *store, const struct digest *digest)
{
    return archive_regions_size(target_of(store)->regions, digest);
}

static struct sink *target_blob_sink(struct image_store *store, const struct digest *digest, int64_t size,
                                     struct error *err)
{
    return archive_regions_blob(target_of(store)->regions, digest, size, err);
}

static int write_manifest(struct archive_target *target, const struct manifest *manifest, struct error *err)
{
    struct sink *sink = target_blob_sink(&target->base, &manifest->digest, (int64_t)manifest->len, err);
    if (!sink)
        return -1;
    int result = sink_write(sink, manifest->bytes, manifest->len, err);
    if (result == 0)
        result = sink_finish(sink, err);
    sink_close(sink);
    return result;
}

static size_t find_image(const struct archive_target *target, const struct digest *digest)
{
    size_t i = 0;
    while (i < target->n_images && !digest_equal(&target->images[i].manifest.digest, digest))
        i++;
    return i;
}

static int target_put_manifest(struct image_store *store, const struct manifest *manifest, struct error *err)
{
    struct archive_target *target = target_of(store);
    struct archive_image image = {0};
    if (target->format->check(manifest, err) < 0)
        return -1;
    if (target->format->keeps_manifests && write_manifest(target, manifest, err) < 0)
        return -1;
    if (find_image(target, &manifest->digest) < target->n_images)
        return 0;
    if (manifest_parse(&image.manifest, manifest->bytes, manifest->len, manifest->media_type, err) < 0)
        return -1;
    image.manifest.digest = manifest->digest;
    size_t n = target->n_images + 1;
    target->images = mem_realloc(target->images, n * sizeof *target->images);
    target->tagged = mem_realloc(target->tagged, n * sizeof *target->tagged);
    target->images[target->n_images] = image;
    target->tagged[target->n_images] = false;
    target->n_images = n;
    return 0;
}

static void drop_name(struct archive_image *image, const char *name)
{
    for (size_t i = 0; i < image->n_names; i++) {
        if (strcmp(image->names[i], name) != 0)
            continue;
        free(image->names[i]);
        image->names[i] = image->names[--image->n_names];
        return;
    }
}

static int target_tag(struct image_store *store, const struct descriptor *manifest, const char *name,
                      struct error *err)
{
    struct archive_target *target = target_of(store);
    size_t at = find_image(target, &manifest->digest);
    if (at == target->n_images)
        return error_set(err, ERR_INTERNAL, "the manifest %s was to be tagged before it was written",
                         manifest->digest.text);
    target->tagged[at] = true;
    if (!name)
        return 0;
    char *own = target->format->name(name, err);
    if (!own)
        return -1;
    for (size_t i = 0; i < target->n_images; i++)
        drop_name(&target->images[i], own);
    struct archive_image *image = &target->images[at];
    image->names = mem_realloc(image->names, (image->n_names + 1) * sizeof *image->names);
    image->names[image->n_names++] = own;
    return 0;
}

// The tagged images, moved to the front.
static size_t gather_tagged(struct archive_target *target)
{
    size_t n = 0;
    for (size_t i = 0; i < target->n_images; i++) {
        if (!target->tagged[i])
            continue;
        struct archive_image image = target->images[i];
        target->images[i] = target->images[n];
        target->images[n] = image;
        target->tagged[i] = false;
        target->tagged[n++] = true;
    }
    return n;
}

static int target_finish(struct image_store *store, struct error *err)
{
    struct archive_target *target = target_of(store);
    size_t n = gather_tagged(target);
    if (archive_regions_check(target->regions, err) < 0 ||
        target->format->complete(target->regions, target->images, n, err) < 0 ||
        archive_regions_finish(target->regions, err) < 0)
        return -1;
    return target->name ? temp_file_publish(&target->temp, target->name, err) : 0;
}

static void clear_image(struct archive_image *image)
{
    for (size_t i = 0; i < image->n_names; i++)
        free(image->names[i]);
    free(image->names);
    manifest_clear(&image->manifest);
}

static void target_close(struct image_store *store)
{
    struct archive_target *target = target_of(store);
    archive_regions_free(target->regions);
    for (size_t i = 0; i < target->n_images; i++)
        clear_image(&target->images[i]);
    free(target->images);
    free(target->tagged);
    if (target->name)
        temp_file_close(&target->temp);
    free(target->name);
    free(target);
}

static struct archive_target *target_new(const struct archive_format *format, struct archive_regions *regions)
{
    static const struct image_store_ops ops = {
        .blob_size = target_blob_size,
        .blob_sink = target_blob_sink,
        .put_manifest = target_put_manifest,
        .tag = target_tag,
        .finish = target_finish,
        .close = target_close,
    };
    struct archive_target *target = mem_new(struct archive_target);
    *target = (struct archive_target){.base = {.ops = &ops}, .format = format, .regions = regions};
    return target;
}

// What cannot be replaced by rename is better known before the work than after it.
static int check_replaceable(int parent, const char *path, const char *name, struct error *err)
{
    struct stat st;
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISREG(st.st_mode))
        return 0;
    AUTO_FREE char *quoted = str_quote(path, 200);
    return error_set(err, ERR_CONFLICT, "%s exists and is not a regular file", quoted);
}

struct image_store *archive_target_create(const struct archive_format *format, const struct roots *roots,
                                          const char *path, struct error *err)
{
    const char *name = NULL;
    struct temp_file temp;
    AUTO_CLOSE int parent = roots_open_parent(roots, path, &name, err);
    if (parent < 0 || check_replaceable(parent, path, name, err) < 0)
        return NULL;
    temp_file_sweep(parent);
    if (temp_file_open(&temp, parent, 0644, err) < 0)
        return NULL;
    struct archive_target *target = target_new(format, archive_regions_new(temp.fd, NULL));
    target->temp = temp;
    target->name = mem_strdup(name);
    return &target->base;
}

struct image_store *archive_target_stream(const struct archive_format *format, struct sink *out)
{
    return &target_new(format, archive_regions_new(-1, out))->base;
}
