// SPDX-License-Identifier: Apache-2.0
//
// Writes archives. What must hold: a blob's region is its own from the opening of its sink, so writers need no lock while
// they write; a region counts only once its bytes were verified; and finish refuses an archive with a region that
// never was. The lock guards the table and the end of the archive, and is never held during input or output.
#include "layout/archive_target.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/table.h"
#include "layout/tar_header.h"
#include "layout/temp_file.h"

enum { HEADER_BYTES_MAX = 16 << 10 };

enum region_state { REGION_EMPTY, REGION_OPEN, REGION_DONE };

struct region {
    struct digest digest; // its text is the key
    int64_t offset;       // of the content
    int64_t size;
    enum region_state state;
};

struct archive_target {
    struct image_store base;
    const struct archive_format *format;
    pthread_mutex_t lock;
    struct table *regions;
    int64_t end; // where the next header goes
    struct temp_file temp;
    char *name;       // of the file to be; NULL: a stream
    struct sink *out; // of a stream; borrowed
    int64_t position; // of a stream
    struct archive_image *images; // all manifests; those with `tagged` are listed
    bool *tagged;
    size_t n_images;
};

static struct archive_target *target_of(struct image_store *store)
{
    return container_of(store, struct archive_target, base);
}

static int write_file(int fd, const char *bytes, size_t len, int64_t offset, struct error *err)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, bytes, len, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set_errno(err, errno, "cannot write the archive");
        bytes += n;
        offset += n;
        len -= (size_t)n;
    }
    return 0;
}

static int write_at(struct archive_target *target, const void *bytes, size_t len, int64_t offset, struct error *err)
{
    if (!target->out)
        return write_file(target->temp.fd, bytes, len, offset, err);
    if (offset != target->position)
        return error_set(err, ERR_INTERNAL, "an archive stream was written out of order");
    target->position += (int64_t)len;
    return sink_write(target->out, bytes, len, err);
}

// In a file what is not written reads as zero.
static int write_zeros(struct archive_target *target, int64_t len, int64_t offset, struct error *err)
{
    static const char zeros[TAR_TRAILER_BYTES];
    return target->out && len > 0 ? write_at(target, zeros, (size_t)len, offset, err) : 0;
}

// Gives the next place to an entry and writes its header. The offset of the content, or -1.
static int64_t reserve(struct archive_target *target, const char *name, int64_t size, struct error *err)
{
    CLEANUP(strbuf_free) struct strbuf header = STRBUF_INIT(HEADER_BYTES_MAX);
    if (tar_header_file(&header, name, size, err) < 0)
        return -1;
    pthread_mutex_lock(&target->lock);
    int64_t start = target->end;
    target->end += (int64_t)header.len + size + tar_header_padding(size);
    pthread_mutex_unlock(&target->lock);
    return write_at(target, header.data, header.len, start, err) < 0 ? -1 : start + (int64_t)header.len;
}

int archive_target_add(struct archive_target *target, const char *name, const void *bytes, size_t len,
                       struct error *err)
{
    int64_t offset = reserve(target, name, (int64_t)len, err);
    if (offset < 0 || write_at(target, bytes, len, offset, err) < 0)
        return -1;
    return write_zeros(target, tar_header_padding((int64_t)len), offset + (int64_t)len, err);
}

void archive_target_blob_name(const struct digest *digest, char ret[ARCHIVE_BLOB_NAME_MAX])
{
    snprintf(ret, ARCHIVE_BLOB_NAME_MAX, "blobs/%s/%s", digest_algorithm_name(digest), digest_hex(digest));
}

static int64_t target_blob_size(struct image_store *store, const struct digest *digest)
{
    struct archive_target *target = target_of(store);
    pthread_mutex_lock(&target->lock);
    const struct region *region = table_find(target->regions, digest->text);
    int64_t size = region && region->state == REGION_DONE ? region->size : -1;
    pthread_mutex_unlock(&target->lock);
    return size;
}

bool archive_target_has(struct archive_target *target, const struct digest *digest)
{
    return target_blob_size(&target->base, digest) >= 0;
}

struct region_sink {
    struct sink base;
    struct archive_target *target;
    struct region *region;
    struct hasher *hasher;
    int64_t written;
    bool failed;
    bool skips; // the blob is there already: what comes is only verified
};

static struct region_sink *sink_of(struct sink *base)
{
    return container_of(base, struct region_sink, base);
}

static int refuse_size(const struct region *region, const char *than, struct error *err)
{
    return error_set(err, ERR_DIGEST_MISMATCH, "the blob %s is %s than its %lld bytes", region->digest.text, than,
                     (long long)region->size);
}

static int region_write(struct sink *base, const void *bytes, size_t len, struct error *err)
{
    struct region_sink *sink = sink_of(base);
    struct region *region = sink->region;
    sink->failed = true;
    if ((int64_t)len > region->size - sink->written)
        return refuse_size(region, "longer", err);
    if (!sink->skips && write_at(sink->target, bytes, len, region->offset + sink->written, err) < 0)
        return -1;
    hasher_update(sink->hasher, bytes, len);
    sink->written += (int64_t)len;
    sink->failed = false;
    return 0;
}

static int region_verify(struct region_sink *sink, struct error *err)
{
    struct digest actual;
    if (sink->failed)
        return error_set(err, ERR_INTERNAL, "a blob was finished after its writing had failed");
    if (sink->written < sink->region->size)
        return refuse_size(sink->region, "shorter", err);
    hasher_finish(sink->hasher, &actual);
    if (digest_equal(&actual, &sink->region->digest))
        return 0;
    return error_set(err, ERR_DIGEST_MISMATCH, "the blob has the digest %s instead of %s", actual.text,
                     sink->region->digest.text);
}

static void set_state(struct archive_target *target, struct region *region, enum region_state state)
{
    pthread_mutex_lock(&target->lock);
    region->state = state;
    pthread_mutex_unlock(&target->lock);
}

static int region_finish(struct sink *base, struct error *err)
{
    struct region_sink *sink = sink_of(base);
    struct region *region = sink->region;
    if (region_verify(sink, err) < 0)
        return -1;
    if (sink->skips)
        return 0;
    if (write_zeros(sink->target, tar_header_padding(region->size), region->offset + region->size, err) < 0)
        return -1;
    set_state(sink->target, region, REGION_DONE);
    return 0;
}

static void region_close(struct sink *base)
{
    struct region_sink *sink = sink_of(base);
    pthread_mutex_lock(&sink->target->lock);
    if (sink->region->state == REGION_OPEN && !sink->skips)
        sink->region->state = REGION_EMPTY;
    pthread_mutex_unlock(&sink->target->lock);
    hasher_free(sink->hasher);
    free(sink);
}

static struct sink *region_sink_new(struct archive_target *target, struct region *region, bool skips)
{
    static const struct sink_ops ops = {.write = region_write, .finish = region_finish, .close = region_close};
    struct region_sink *sink = mem_new(struct region_sink);
    *sink = (struct region_sink){
        .base = {.ops = &ops},
        .target = target,
        .region = region,
        .hasher = hasher_new(region->digest.algorithm),
        .skips = skips,
    };
    return &sink->base;
}

// Finds the blob's region or makes an unplaced one, and marks it open. NULL if that cannot be.
static struct region *claim(struct archive_target *target, const struct digest *digest, int64_t size,
                            enum region_state *ret_former, struct error *err)
{
    pthread_mutex_lock(&target->lock);
    struct region *region = table_find(target->regions, digest->text);
    if (!region) {
        region = mem_new(struct region);
        *region = (struct region){.digest = *digest, .offset = -1, .size = size};
        table_put(target->regions, region->digest.text, region);
    }
    *ret_former = region->state;
    int64_t known = region->size;
    if (region->state == REGION_EMPTY)
        region->state = REGION_OPEN;
    pthread_mutex_unlock(&target->lock);
    if (*ret_former != REGION_OPEN && known == size)
        return region;
    if (*ret_former == REGION_EMPTY)
        set_state(target, region, REGION_EMPTY);
    error_set(err, ERR_INTERNAL, "the blob %s was written to the archive twice at once or with two sizes",
              digest->text);
    return NULL;
}

static int place(struct archive_target *target, struct region *region, struct error *err)
{
    char name[ARCHIVE_BLOB_NAME_MAX];
    if (region->offset >= 0)
        return target->out ? error_set(err, ERR_INTERNAL, "an archive stream cannot take a blob again") : 0;
    archive_target_blob_name(&region->digest, name);
    region->offset = reserve(target, name, region->size, err);
    return region->offset < 0 ? -1 : 0;
}

static struct sink *target_blob_sink(struct image_store *store, const struct digest *digest, int64_t size,
                                     struct error *err)
{
    struct archive_target *target = target_of(store);
    enum region_state former;
    if (size < 0) {
        error_set(err, ERR_INTERNAL, "a blob of unknown size cannot go into an archive");
        return NULL;
    }
    struct region *region = claim(target, digest, size, &former, err);
    if (!region)
        return NULL;
    if (former == REGION_EMPTY && place(target, region, err) < 0) {
        set_state(target, region, REGION_EMPTY);
        return NULL;
    }
    return region_sink_new(target, region, former == REGION_DONE);
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

static int check_regions(struct archive_target *target, struct error *err)
{
    size_t position = 0;
    for (const struct region *region; (region = table_next(target->regions, &position));)
        if (region->state != REGION_DONE && region->offset >= 0)
            return error_set(err, ERR_INTERNAL, "the archive lacks the blob %s, which was begun", region->digest.text);
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
    if (check_regions(target, err) < 0 || target->format->complete(target, target->images, n, err) < 0)
        return -1;
    if (target->out)
        return write_zeros(target, TAR_TRAILER_BYTES, target->end, err);
    if (ftruncate(target->temp.fd, target->end + TAR_TRAILER_BYTES) < 0)
        return error_set_errno(err, errno, "cannot end the archive");
    return temp_file_publish(&target->temp, target->name, err);
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
    size_t position = 0;
    for (struct region *region; (region = table_next(target->regions, &position));)
        free(region);
    table_free(target->regions);
    for (size_t i = 0; i < target->n_images; i++)
        clear_image(&target->images[i]);
    free(target->images);
    free(target->tagged);
    if (target->name)
        temp_file_close(&target->temp);
    free(target->name);
    pthread_mutex_destroy(&target->lock);
    free(target);
}

static struct archive_target *target_new(const struct archive_format *format)
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
    *target = (struct archive_target){.base = {.ops = &ops}, .format = format, .regions = table_new()};
    pthread_mutex_init(&target->lock, NULL);
    return target;
}

struct image_store *archive_target_create(const struct archive_format *format, const struct roots *roots,
                                          const char *path, struct error *err)
{
    const char *name = NULL;
    struct temp_file temp;
    AUTO_CLOSE int parent = roots_open_parent(roots, path, &name, err);
    if (parent < 0)
        return NULL;
    temp_file_sweep(parent);
    if (temp_file_open(&temp, parent, 0644, err) < 0)
        return NULL;
    struct archive_target *target = target_new(format);
    target->temp = temp;
    target->name = mem_strdup(name);
    return &target->base;
}

struct image_store *archive_target_stream(const struct archive_format *format, struct sink *out)
{
    struct archive_target *target = target_new(format);
    target->out = out;
    return &target->base;
}
