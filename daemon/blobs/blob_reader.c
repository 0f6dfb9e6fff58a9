// SPDX-License-Identifier: Apache-2.0
//
// Reading a cached blob under a lease. The bytes are not hashed here: whoever sends them on hashes them and
// reports what is wrong with blob_store_quarantine. What can be seen without hashing (gone, another size,
// unreadable) is handled here.
#include <errno.h>
#include <unistd.h>

#include "base/mem.h"
#include "blobs/blob_room.h"

enum { VERIFY_BUFFER = 256 << 10 };

struct blob_reader {
    struct reader_at base;
    struct blob_store *store;
    struct digest digest;
    int fd;
};

static int lost(struct blob_reader *self, const char *why, struct error *err)
{
    blob_store_quarantine(self->store, &self->digest, why);
    error_set(err, ERR_INTERNAL, "%s cannot be read from the cache any more: %s", self->digest.text, why);
    err->retryable = true; // it is out of the cache now, so the next try fetches it
    return -1;
}

static ssize_t blob_read_at(struct reader_at *base, void *buffer, size_t len, int64_t offset,
                            struct error *err)
{
    struct blob_reader *self = container_of(base, struct blob_reader, base);
    if (offset >= base->size)
        return 0;
    if ((int64_t)len > base->size - offset)
        len = (size_t)(base->size - offset);
    for (size_t done = 0; done < len;) {
        ssize_t n = pread(self->fd, (char *)buffer + done, len - done, offset + (int64_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return lost(self, n < 0 ? "the disk failed" : "the file has become shorter", err);
        done += (size_t)n;
    }
    return (ssize_t)len;
}

static void blob_read_close(struct reader_at *base)
{
    struct blob_reader *self = container_of(base, struct blob_reader, base);
    close(self->fd);
    blob_store_release(self->store, &self->digest);
    blob_room_trim(self->store);
    free(self);
}

static const struct reader_at_ops blob_read_ops = {.read_at = blob_read_at, .close = blob_read_close};

static void count(struct blob_store *store, bool hit)
{
    pthread_mutex_lock(&store->lock);
    if (hit)
        store->hits++;
    else
        store->misses++;
    pthread_mutex_unlock(&store->lock);
}

static void refuse(struct blob_store *store, const struct digest *digest, struct error *err)
{
    count(store, false);
    error_set(err, ERR_NOT_FOUND, "%s is not in the cache", digest->text);
}

// Under the lease: the file as the index knows it, or -1 and out of the index with it.
static int open_leased(struct blob_store *store, const struct digest *digest, int64_t *ret_size)
{
    CLEANUP(error_clear) struct error why = ERROR_INIT;
    AUTO_CLOSE int fd = blob_files_read(&store->files, digest, ret_size, &why);
    if (fd < 0) {
        blob_store_quarantine(store, digest, why.detail);
        return -1;
    }
    if (*ret_size != blob_store_size(store, digest)) {
        blob_store_quarantine(store, digest, "the file has another size");
        return -1;
    }
    int taken = fd;
    fd = -1;
    return taken;
}

struct reader_at *blob_store_read(struct blob_store *store, const struct digest *digest, struct error *err)
{
    int64_t size = 0;
    if (!blob_store_lease(store, digest)) {
        refuse(store, digest, err);
        return NULL;
    }
    int fd = open_leased(store, digest, &size);
    if (fd < 0) {
        blob_store_release(store, digest);
        refuse(store, digest, err);
        return NULL;
    }
    count(store, true);
    struct blob_reader *self = mem_new(struct blob_reader);
    self->base = (struct reader_at){.ops = &blob_read_ops, .size = size};
    self->store = store;
    self->digest = *digest;
    self->fd = fd;
    return &self->base;
}

static int hash_reader(struct reader_at *reader, struct hasher *hasher, struct error *err)
{
    AUTO_FREE char *buffer = mem_alloc(VERIFY_BUFFER);
    for (int64_t at = 0; at < reader->size;) {
        ssize_t n = reader_at_read(reader, buffer, VERIFY_BUFFER, at, err);
        if (n < 0)
            return -1;
        hasher_update(hasher, buffer, (size_t)n);
        at += n;
    }
    return 0;
}

int blob_store_verify(struct blob_store *store, const struct digest *digest, struct error *err)
{
    struct reader_at *reader = blob_store_read(store, digest, err);
    if (!reader)
        return -1;
    struct digest actual = {0};
    struct hasher *hasher = hasher_new(digest->algorithm);
    int result = hash_reader(reader, hasher, err);
    if (result == 0) {
        hasher_finish(hasher, &actual);
        if (!digest_equal(digest, &actual)) {
            blob_store_quarantine(store, digest, actual.text);
            result = error_set(err, ERR_DIGEST_MISMATCH,
                               "the cached copy of %s had other content; it was removed", digest->text);
        }
    }
    hasher_free(hasher);
    reader_at_close(reader);
    return result;
}
