// SPDX-License-Identifier: Apache-2.0
//
// What must hold: a blob's region is its own from the opening of its sink, so writers need no lock while they
// write; a region counts only once its bytes were verified; and an archive with a region that never was is
// not ended. The lock guards the table and the end of the archive, and is never held during input or output.
#include "layout/archive_regions.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/table.h"
#include "layout/tar_header.h"

enum { HEADER_BYTES_MAX = 16 << 10 };

enum region_state { REGION_EMPTY, REGION_OPEN, REGION_DONE };

struct region {
    struct digest digest; // its text is the key
    int64_t offset;       // of the content
    int64_t size;
    enum region_state state;
};

struct archive_regions {
    pthread_mutex_t lock;
    struct table *table;
    int64_t end;      // where the next header goes
    int fd;           // of a file
    struct sink *out; // of a stream
    int64_t position; // of a stream
};

struct archive_regions *archive_regions_new(int fd, struct sink *out)
{
    struct archive_regions *regions = mem_new(struct archive_regions);
    *regions = (struct archive_regions){.table = table_new(), .fd = fd, .out = out};
    pthread_mutex_init(&regions->lock, NULL);
    return regions;
}

void archive_regions_free(struct archive_regions *regions)
{
    size_t position = 0;
    for (struct region *region; (region = table_next(regions->table, &position));)
        free(region);
    table_free(regions->table);
    pthread_mutex_destroy(&regions->lock);
    free(regions);
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

static int write_at(struct archive_regions *regions, const void *bytes, size_t len, int64_t offset,
                    struct error *err)
{
    if (!regions->out)
        return write_file(regions->fd, bytes, len, offset, err);
    if (offset != regions->position)
        return error_set(err, ERR_INTERNAL, "an archive stream was written out of order");
    regions->position += (int64_t)len;
    return sink_write(regions->out, bytes, len, err);
}

// In a file what is not written reads as zero.
static int write_zeros(struct archive_regions *regions, int64_t len, int64_t offset, struct error *err)
{
    static const char zeros[TAR_TRAILER_BYTES];
    return regions->out && len > 0 ? write_at(regions, zeros, (size_t)len, offset, err) : 0;
}

// Gives the next place to an entry and writes its header. The offset of the content, or -1.
static int64_t reserve(struct archive_regions *regions, const char *name, int64_t size, struct error *err)
{
    CLEANUP(strbuf_free) struct strbuf header = STRBUF_INIT(HEADER_BYTES_MAX);
    if (tar_header_file(&header, name, size, err) < 0)
        return -1;
    pthread_mutex_lock(&regions->lock);
    int64_t start = regions->end;
    regions->end += (int64_t)header.len + size + tar_header_padding(size);
    pthread_mutex_unlock(&regions->lock);
    return write_at(regions, header.data, header.len, start, err) < 0 ? -1 : start + (int64_t)header.len;
}

int archive_regions_add(struct archive_regions *regions, const char *name, const void *bytes, size_t len,
                        struct error *err)
{
    int64_t offset = reserve(regions, name, (int64_t)len, err);
    if (offset < 0 || write_at(regions, bytes, len, offset, err) < 0)
        return -1;
    return write_zeros(regions, tar_header_padding((int64_t)len), offset + (int64_t)len, err);
}

void archive_regions_blob_name(const struct digest *digest, char ret[ARCHIVE_REGIONS_NAME_MAX])
{
    snprintf(ret, ARCHIVE_REGIONS_NAME_MAX, "blobs/%s/%s", digest_algorithm_name(digest), digest_hex(digest));
}

int64_t archive_regions_size(struct archive_regions *regions, const struct digest *digest)
{
    pthread_mutex_lock(&regions->lock);
    const struct region *region = table_find(regions->table, digest->text);
    int64_t size = region && region->state == REGION_DONE ? region->size : -1;
    pthread_mutex_unlock(&regions->lock);
    return size;
}

struct region_sink {
    struct sink base;
    struct archive_regions *regions;
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
    return error_set(err, ERR_DIGEST_MISMATCH, "the blob %s is %s than its %lld bytes", region->digest.text,
                     than, (long long)region->size);
}

static int region_write(struct sink *base, const void *bytes, size_t len, struct error *err)
{
    struct region_sink *sink = sink_of(base);
    struct region *region = sink->region;
    sink->failed = true;
    if ((int64_t)len > region->size - sink->written)
        return refuse_size(region, "longer", err);
    if (!sink->skips && write_at(sink->regions, bytes, len, region->offset + sink->written, err) < 0)
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

static void set_state(struct archive_regions *regions, struct region *region, enum region_state state)
{
    pthread_mutex_lock(&regions->lock);
    region->state = state;
    pthread_mutex_unlock(&regions->lock);
}

static int region_finish(struct sink *base, struct error *err)
{
    struct region_sink *sink = sink_of(base);
    struct region *region = sink->region;
    if (region_verify(sink, err) < 0)
        return -1;
    if (sink->skips)
        return 0;
    if (write_zeros(sink->regions, tar_header_padding(region->size), region->offset + region->size, err) < 0)
        return -1;
    set_state(sink->regions, region, REGION_DONE);
    return 0;
}

static void region_close(struct sink *base)
{
    struct region_sink *sink = sink_of(base);
    pthread_mutex_lock(&sink->regions->lock);
    if (sink->region->state == REGION_OPEN && !sink->skips)
        sink->region->state = REGION_EMPTY;
    pthread_mutex_unlock(&sink->regions->lock);
    hasher_free(sink->hasher);
    free(sink);
}

static struct sink *region_sink_new(struct archive_regions *regions, struct region *region, bool skips)
{
    static const struct sink_ops ops = {
        .write = region_write, .finish = region_finish, .close = region_close};
    struct region_sink *sink = mem_new(struct region_sink);
    *sink = (struct region_sink){
        .base = {.ops = &ops},
        .regions = regions,
        .region = region,
        .hasher = hasher_new(region->digest.algorithm),
        .skips = skips,
    };
    return &sink->base;
}

// Finds the blob's region or makes an unplaced one, and marks it open. NULL if that cannot be.
static struct region *claim(struct archive_regions *regions, const struct digest *digest, int64_t size,
                            enum region_state *ret_former, struct error *err)
{
    pthread_mutex_lock(&regions->lock);
    struct region *region = table_find(regions->table, digest->text);
    if (!region) {
        region = mem_new(struct region);
        *region = (struct region){.digest = *digest, .offset = -1, .size = size};
        table_put(regions->table, region->digest.text, region);
    }
    *ret_former = region->state;
    int64_t known = region->size;
    if (region->state == REGION_EMPTY)
        region->state = REGION_OPEN;
    pthread_mutex_unlock(&regions->lock);
    if (*ret_former != REGION_OPEN && known == size)
        return region;
    if (*ret_former == REGION_EMPTY)
        set_state(regions, region, REGION_EMPTY);
    error_set(err, ERR_INTERNAL, "the blob %s was written to the archive twice at once or with two sizes",
              digest->text);
    return NULL;
}

static int place(struct archive_regions *regions, struct region *region, struct error *err)
{
    char name[ARCHIVE_REGIONS_NAME_MAX];
    if (region->offset >= 0)
        return regions->out ? error_set(err, ERR_INTERNAL, "an archive stream cannot take a blob again") : 0;
    archive_regions_blob_name(&region->digest, name);
    region->offset = reserve(regions, name, region->size, err);
    return region->offset < 0 ? -1 : 0;
}

struct sink *archive_regions_blob(struct archive_regions *regions, const struct digest *digest, int64_t size,
                                  struct error *err)
{
    enum region_state former;
    if (size < 0) {
        error_set(err, ERR_INTERNAL, "a blob of unknown size cannot go into an archive");
        return NULL;
    }
    struct region *region = claim(regions, digest, size, &former, err);
    if (!region)
        return NULL;
    if (former == REGION_EMPTY && place(regions, region, err) < 0) {
        set_state(regions, region, REGION_EMPTY);
        return NULL;
    }
    return region_sink_new(regions, region, former == REGION_DONE);
}

int archive_regions_check(struct archive_regions *regions, struct error *err)
{
    size_t position = 0;
    for (const struct region *region; (region = table_next(regions->table, &position));)
        if (region->state != REGION_DONE && region->offset >= 0)
            return error_set(err, ERR_INTERNAL, "the archive lacks the blob %s, which was begun",
                             region->digest.text);
    return 0;
}

int archive_regions_finish(struct archive_regions *regions, struct error *err)
{
    if (regions->out)
        return write_zeros(regions, TAR_TRAILER_BYTES, regions->end, err);
    if (ftruncate(regions->fd, regions->end + TAR_TRAILER_BYTES) < 0)
        return error_set_errno(err, errno, "cannot end the archive");
    return 0;
}
