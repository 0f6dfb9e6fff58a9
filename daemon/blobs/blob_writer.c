// SPDX-License-Identifier: Apache-2.0
//
// Content on its way into the store: a temporary file that is verified, synced and renamed, or removed. One
// thread at a time. Content with an expected digest is hashed as it comes; content without is hashed from the
// file when the sink is finished, so that a producer that hashes itself (blob_writer_publish) pays for one
// hash only.
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/mem.h"
#include "blobs/blob_room.h"

enum { CHECK_BYTES = 1 << 20, SPARE_BYTES = 16 << 20, HASH_BUFFER = 256 << 10 };

struct blob_writer {
    struct sink sink;
    struct blob_store *store;
    struct digest expected; // or not known
    int64_t expected_size;  // -1: not known
    struct hasher *hasher;  // only with an expected digest
    uint64_t number;        // of the temporary file
    int fd;                 // -1 after publishing
    int64_t size;
    int64_t announced; // of the expected bytes, what is still counted in the store
    int64_t next_check;
    struct digest digest; // after publishing
};

static struct blob_writer *writer_of(struct sink *sink)
{
    return container_of(sink, struct blob_writer, sink);
}

static void announce(struct blob_writer *writer, int64_t bytes)
{
    atomic_fetch_add(&writer->store->announced, bytes - writer->announced);
    writer->announced = bytes;
}

// Puts the bytes at the end. A full disk is asked once more after the cache gave up what it could.
static int put(struct blob_writer *writer, const char *bytes, size_t len, struct error *err)
{
    bool freed = false;
    for (size_t done = 0; done < len;) {
        ssize_t n = pwrite(writer->fd, bytes + done, len - done, writer->size);
        int failure = errno;
        if (n >= 0) {
            done += (size_t)n;
            writer->size += n;
        } else if ((failure == ENOSPC || failure == EDQUOT) && !freed) {
            freed = true;
            blob_room_free(writer->store, (int64_t)len + SPARE_BYTES);
        } else if (failure != EINTR) {
            return error_set_errno(err, failure, "cannot write to %s/tmp", writer->store->files.directory);
        }
    }
    return 0;
}

static int check_room(struct blob_writer *writer, struct error *err)
{
    if (writer->size < writer->next_check)
        return 0;
    writer->next_check = writer->size + CHECK_BYTES;
    return blob_room_make(writer->store, 0, err);
}

static int writer_write(struct sink *sink, const void *bytes, size_t len, struct error *err)
{
    struct blob_writer *writer = writer_of(sink);
    if (writer->fd < 0)
        return error_set(err, ERR_INTERNAL, "%s was published already", writer->digest.text);
    if (writer->expected_size >= 0 && (int64_t)len > writer->expected_size - writer->size)
        return error_set(err, ERR_DIGEST_MISMATCH, "%s is longer than the %lld bytes it should have",
                         digest_known(&writer->expected) ? writer->expected.text : "the content",
                         (long long)writer->expected_size);
    if (put(writer, bytes, len, err) < 0 || check_room(writer, err) < 0)
        return -1;
    if (writer->hasher)
        hasher_update(writer->hasher, bytes, len);
    if (writer->expected_size >= 0)
        announce(writer, writer->expected_size - writer->size);
    return 0;
}

static int hash_file(struct blob_writer *writer, struct digest *ret, struct error *err)
{
    AUTO_FREE char *buffer = mem_alloc(HASH_BUFFER);
    struct hasher *hasher = hasher_new(DIGEST_SHA256);
    ssize_t n = 0;
    for (int64_t at = 0; at < writer->size; at += n) {
        n = pread(writer->fd, buffer, HASH_BUFFER, at);
        if (n < 0 && errno == EINTR) {
            n = 0;
            continue;
        }
        if (n <= 0) {
            hasher_free(hasher);
            return error_set_errno(err, n < 0 ? errno : EIO, "cannot read back what was written to %s/tmp",
                                   writer->store->files.directory);
        }
        hasher_update(hasher, buffer, (size_t)n);
    }
    hasher_finish(hasher, ret);
    hasher_free(hasher);
    return 0;
}

static int check_size(const struct blob_writer *writer, struct error *err)
{
    if (writer->expected_size < 0 || writer->size == writer->expected_size)
        return 0;
    return error_set(err, ERR_DIGEST_MISMATCH, "%s has %lld bytes instead of %lld",
                     digest_known(&writer->expected) ? writer->expected.text : "the content",
                     (long long)writer->size, (long long)writer->expected_size);
}

static int check_digest(const struct blob_writer *writer, const struct digest *actual, struct error *err)
{
    if (!digest_known(&writer->expected) || digest_equal(&writer->expected, actual))
        return 0;
    return error_set(err, ERR_DIGEST_MISMATCH, "the content has the digest %s instead of %s", actual->text,
                     writer->expected.text);
}

// A failed fsync is the end of this file: the kernel may have dropped what it could not write.
static int publish(struct blob_writer *writer, const struct digest *digest, struct error *err)
{
    struct blob_store *store = writer->store;
    if (fsync(writer->fd) < 0)
        return error_set_errno(err, errno, "cannot write %s to %s", digest->text, store->files.directory);
    if (blob_room_publish(store, writer->number, digest, writer->size, err) < 0)
        return -1;
    mem_close_fd(&writer->fd);
    writer->fd = -1;
    writer->digest = *digest;
    announce(writer, 0);
    blob_room_trim(store);
    return 0;
}

static int writer_finish(struct sink *sink, struct error *err)
{
    struct blob_writer *writer = writer_of(sink);
    struct digest actual;
    if (writer->fd < 0)
        return error_set(err, ERR_INTERNAL, "%s was published already", writer->digest.text);
    if (check_size(writer, err) < 0)
        return -1;
    if (writer->hasher)
        hasher_finish(writer->hasher, &actual);
    else if (hash_file(writer, &actual, err) < 0)
        return -1;
    if (check_digest(writer, &actual, err) < 0)
        return -1;
    return publish(writer, &actual, err);
}

static void writer_close(struct sink *sink)
{
    (void)sink; // blob_writer_free ends it
}

static const struct sink_ops writer_ops = {
    .write = writer_write, .finish = writer_finish, .close = writer_close};

struct blob_writer *blob_store_write(struct blob_store *store, const struct digest *expected,
                                     int64_t expected_size, struct error *err)
{
    if (blob_room_make(store, expected_size > 0 ? expected_size : 0, err) < 0)
        return NULL;
    uint64_t number = blob_room_number(store);
    int fd = blob_files_temp(&store->files, number, err);
    if (fd < 0)
        return NULL;
    struct blob_writer *writer = mem_new(struct blob_writer);
    writer->sink.ops = &writer_ops;
    writer->store = store;
    writer->expected_size = expected_size;
    writer->number = number;
    writer->fd = fd;
    writer->next_check = CHECK_BYTES;
    if (expected && digest_known(expected)) {
        writer->expected = *expected;
        writer->hasher = hasher_new(expected->algorithm);
    }
    announce(writer, expected_size > 0 ? expected_size : 0);
    return writer;
}

struct sink *blob_writer_sink(struct blob_writer *writer)
{
    return &writer->sink;
}

int blob_writer_publish(struct blob_writer *writer, const struct digest *digest, struct error *err)
{
    if (writer->fd < 0)
        return error_set(err, ERR_INTERNAL, "%s was published already", writer->digest.text);
    if (check_size(writer, err) < 0 || check_digest(writer, digest, err) < 0)
        return -1;
    return publish(writer, digest, err);
}

struct reader_at *blob_writer_read(const struct blob_writer *writer, struct error *err)
{
    int fd = fcntl(writer->fd, F_DUPFD_CLOEXEC, 0);
    if (fd >= 0)
        return reader_at_fd(fd, INT64_MAX);
    error_set_errno(err, errno, "cannot read what is written to %s/tmp", writer->store->files.directory);
    return NULL;
}

const struct digest *blob_writer_digest(const struct blob_writer *writer)
{
    return &writer->digest;
}

int64_t blob_writer_size(const struct blob_writer *writer)
{
    return writer->size;
}

void blob_writer_free(struct blob_writer *writer)
{
    if (!writer)
        return;
    announce(writer, 0);
    if (writer->fd >= 0) {
        blob_files_temp_remove(&writer->store->files, writer->number);
        close(writer->fd);
    }
    hasher_free(writer->hasher);
    free(writer);
}
