// SPDX-License-Identifier: Apache-2.0
//
// libarchive's filters over a reader. Used to check layers, to compress them anew and to merge them.
#include "layers/unpack_stream.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>

#include "base/mem.h"
#include "base/str.h"
#include "layers/unpack.h"

enum { STREAM_BUFFER = 256 << 10 };

struct stream {
    struct reader_at *blob;
    struct archive *archive;
    char *buffer;
    int64_t read, made;
    struct monitor *monitor;
    const char *shown;
    struct error *err;
};

static la_ssize_t read_callback(struct archive *archive, void *context, const void **ret)
{
    struct stream *stream = context;
    ssize_t got = reader_at_read(stream->blob, stream->buffer, STREAM_BUFFER, stream->read, stream->err);
    if (got < 0)
        archive_set_error(archive, EIO, "the blob could not be read");
    else
        stream->read += got;
    *ret = stream->buffer;
    return got;
}

static int fail(struct stream *stream, const char *what)
{
    if (stream->err->code != ERR_NONE)
        return -1;
    const char *why = archive_error_string(stream->archive);
    AUTO_FREE char *text = str_quote(why ? why : "no reason given", 512);
    return error_set(stream->err, ERR_UNSUPPORTED_FILE, "the layer %s %s: %s", stream->shown, what, text);
}

static int open_stream(struct stream *stream, bool as_tar)
{
    stream->buffer = mem_alloc(STREAM_BUFFER);
    struct archive *archive = stream->archive = archive_read_new();
    archive_read_support_filter_gzip(archive);
    archive_read_support_filter_zstd(archive);
    archive_read_support_filter_bzip2(archive);
    archive_read_support_filter_xz(archive);
    if (as_tar)
        archive_read_support_format_tar(archive);
    else
        archive_read_support_format_raw(archive);
    archive_read_support_format_empty(archive);
    if (archive_read_open(archive, stream, NULL, read_callback, NULL) != ARCHIVE_OK)
        return fail(stream, "cannot be decompressed");
    return 0;
}

static void close_stream(struct stream *stream)
{
    archive_read_free(stream->archive);
    free(stream->buffer);
}

static int count(struct stream *stream, size_t len)
{
    stream->made += (int64_t)len;
    if (stream->monitor)
        atomic_store(&stream->monitor->current, stream->made);
    if (monitor_check(stream->monitor, stream->err))
        return -1;
    if (stream->made <= UNPACK_RATIO_FREE ||
        (stream->made <= UNPACK_BYTES_MAX && stream->made / UNPACK_RATIO_MAX <= stream->read))
        return 0;
    return error_set(stream->err, ERR_TOO_LARGE,
                     "the layer %s holds more than the limit: %lld bytes came out of %lld", stream->shown,
                     (long long)stream->made, (long long)stream->read);
}

static int pump(struct stream *stream, unpack_stream_take *take, void *context)
{
    struct archive_entry *entry;
    int status = archive_read_next_header(stream->archive, &entry);
    if (status == ARCHIVE_EOF)
        return 0;
    if (status != ARCHIVE_OK)
        return fail(stream, "cannot be decompressed");
    AUTO_FREE char *bytes = mem_alloc(STREAM_BUFFER);
    la_ssize_t got;
    while ((got = archive_read_data(stream->archive, bytes, STREAM_BUFFER)) > 0)
        if (count(stream, (size_t)got) || take(context, bytes, (size_t)got, stream->err))
            return -1;
    return got < 0 ? fail(stream, "is damaged") : 0;
}

int unpack_stream(struct reader_at *blob, unpack_stream_take *take, void *context, const char *shown,
                  struct monitor *monitor, struct error *err)
{
    struct stream stream = {.blob = blob, .monitor = monitor, .shown = shown, .err = err};
    int result = open_stream(&stream, false);
    if (!result)
        result = pump(&stream, take, context);
    close_stream(&stream);
    return result;
}

static int hash(void *context, const void *bytes, size_t len, struct error *err)
{
    (void)err;
    hasher_update(context, bytes, len);
    return 0;
}

static int read_entries(struct stream *stream, int64_t *ret_entries)
{
    struct archive_entry *entry;
    int status;
    while ((status = archive_read_next_header(stream->archive, &entry)) == ARCHIVE_OK ||
           status == ARCHIVE_WARN) {
        ++*ret_entries;
        if (monitor_check(stream->monitor, stream->err))
            return -1;
        if (archive_read_data_skip(stream->archive) != ARCHIVE_OK)
            return fail(stream, "is damaged");
    }
    return status == ARCHIVE_EOF ? 0 : fail(stream, "is not a readable tar");
}

int unpack_check(struct reader_at *blob, const char *shown, struct monitor *monitor, struct unpack_facts *ret,
                 struct error *err)
{
    *ret = (struct unpack_facts){0};
    struct hasher *hasher = hasher_new(DIGEST_SHA256);
    struct stream stream = {.blob = blob, .monitor = monitor, .shown = shown, .err = err};
    int result = open_stream(&stream, false);
    if (!result)
        result = pump(&stream, hash, hasher);
    close_stream(&stream);
    ret->tar_size = stream.made;
    if (result) {
        hasher_free(hasher);
        return -1;
    }
    hasher_finish(hasher, &ret->diff_id);
    hasher_free(hasher);
    stream = (struct stream){.blob = blob, .monitor = monitor, .shown = shown, .err = err};
    result = open_stream(&stream, true);
    if (!result)
        result = read_entries(&stream, &ret->entries);
    close_stream(&stream);
    return result;
}
