// SPDX-License-Identifier: Apache-2.0
//
// The one place where a blob of a layout becomes visible. Nothing is trusted: the sender may have lied about
// digest or size, and a wrong blob must leave no file behind.
#include "layout/blob_sink.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/list.h"
#include "base/mem.h"
#include "layout/temp_file.h"

struct blob_sink {
    struct sink base;
    struct temp_file temp;
    struct hasher *hasher;
    struct digest expected;
    int64_t size; // -1 unknown
    int64_t written;
    bool failed;
};

static struct blob_sink *from_base(struct sink *base)
{
    return container_of(base, struct blob_sink, base);
}

static int refuse_size(const struct blob_sink *sink, const char *than, struct error *err)
{
    return error_set(err, ERR_DIGEST_MISMATCH, "the blob %s is %s than its %lld bytes", sink->expected.text,
                     than, (long long)sink->size);
}

static int blob_write(struct sink *base, const void *bytes, size_t len, struct error *err)
{
    struct blob_sink *sink = from_base(base);
    sink->failed = true;
    if (sink->size >= 0 && (int64_t)len > sink->size - sink->written)
        return refuse_size(sink, "longer", err);
    if (file_write_all(sink->temp.fd, bytes, len, err) < 0)
        return -1;
    hasher_update(sink->hasher, bytes, len);
    sink->written += (int64_t)len;
    sink->failed = false;
    return 0;
}

static int blob_finish(struct sink *base, struct error *err)
{
    struct blob_sink *sink = from_base(base);
    struct digest actual;
    if (sink->failed)
        return error_set(err, ERR_INTERNAL, "a blob was finished after its writing had failed");
    if (sink->size >= 0 && sink->written < sink->size)
        return refuse_size(sink, "shorter", err);
    hasher_finish(sink->hasher, &actual);
    if (!digest_equal(&actual, &sink->expected))
        return error_set(err, ERR_DIGEST_MISMATCH, "the blob has the digest %s instead of %s", actual.text,
                         sink->expected.text);
    return temp_file_publish(&sink->temp, digest_hex(&sink->expected), err);
}

static void blob_close(struct sink *base)
{
    struct blob_sink *sink = from_base(base);
    temp_file_close(&sink->temp);
    hasher_free(sink->hasher);
    free(sink);
}

static const struct sink_ops blob_ops = {.write = blob_write, .finish = blob_finish, .close = blob_close};

struct sink *blob_sink_new(int dirfd, const struct digest *digest, int64_t size, struct error *err)
{
    struct temp_file temp;
    if (temp_file_open(&temp, dirfd, 0644, err) < 0)
        return NULL;
    struct blob_sink *sink = mem_new(struct blob_sink);
    *sink = (struct blob_sink){
        .base = {.ops = &blob_ops},
        .temp = temp,
        .hasher = hasher_new(digest->algorithm),
        .expected = *digest,
        .size = size,
    };
    return &sink->base;
}
