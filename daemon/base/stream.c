// SPDX-License-Identifier: Apache-2.0
//
// The small readers of base and the dispatch of sources and sinks.
#include "base/stream.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/list.h"
#include "base/mem.h"

ssize_t reader_at_read(struct reader_at *reader, void *buffer, size_t len, int64_t offset, struct error *err)
{
    if (offset < 0)
        return error_set(err, ERR_INTERNAL, "a read at a negative offset");
    if (offset >= reader->size)
        return 0;
    if (len > (uint64_t)(reader->size - offset))
        len = (size_t)(reader->size - offset);
    return reader->ops->read_at(reader, buffer, len, offset, err);
}

void reader_at_close(struct reader_at *reader)
{
    if (reader)
        reader->ops->close(reader);
}

struct bytes_reader {
    struct reader_at base;
    char bytes[];
};

static ssize_t bytes_read_at(struct reader_at *reader, void *buffer, size_t len, int64_t offset,
                             struct error *err)
{
    (void)err;
    struct bytes_reader *self = container_of(reader, struct bytes_reader, base);
    memcpy(buffer, self->bytes + offset, len);
    return (ssize_t)len;
}

static void bytes_close(struct reader_at *reader)
{
    free(container_of(reader, struct bytes_reader, base));
}

struct reader_at *reader_at_bytes(const void *bytes, size_t len)
{
    static const struct reader_at_ops ops = {bytes_read_at, bytes_close};
    struct bytes_reader *self = mem_alloc(sizeof(*self) + len);
    self->base = (struct reader_at){&ops, (int64_t)len};
    if (len)
        memcpy(self->bytes, bytes, len);
    return &self->base;
}

struct fd_reader {
    struct reader_at base;
    int fd;
};

static ssize_t fd_read_at(struct reader_at *reader, void *buffer, size_t len, int64_t offset,
                          struct error *err)
{
    struct fd_reader *self = container_of(reader, struct fd_reader, base);
    size_t used = 0;
    while (used < len) {
        ssize_t got = pread(self->fd, (char *)buffer + used, len - used, offset + (int64_t)used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(err, errno, "reading a local file failed");
        if (got == 0)
            break;
        used += (size_t)got;
    }
    return (ssize_t)used;
}

static void fd_close(struct reader_at *reader)
{
    struct fd_reader *self = container_of(reader, struct fd_reader, base);
    close(self->fd);
    free(self);
}

struct reader_at *reader_at_fd(int fd, int64_t size)
{
    static const struct reader_at_ops ops = {fd_read_at, fd_close};
    struct fd_reader *self = mem_new(struct fd_reader);
    self->base = (struct reader_at){&ops, size};
    self->fd = fd;
    return &self->base;
}

int sink_write(struct sink *sink, const void *bytes, size_t len, struct error *err)
{
    return sink->ops->write(sink, bytes, len, err);
}

int sink_finish(struct sink *sink, struct error *err)
{
    return sink->ops->finish ? sink->ops->finish(sink, err) : 0;
}

void sink_close(struct sink *sink)
{
    if (sink)
        sink->ops->close(sink);
}
