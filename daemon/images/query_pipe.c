// SPDX-License-Identifier: Apache-2.0
//
// Plugs between base/pipe and base/stream. Used by the runs of queries; the pipe's stall limit frees the
// worker of a client that neither takes nor gives.
#include "images/query_pipe.h"

#include "base/list.h"
#include "base/mem.h"

enum { COPY_BYTES = 128 << 10 };

static int write_pipe(struct sink *sink, const void *bytes, size_t len, struct error *err)
{
    struct query_pipe_sink *self = container_of(sink, struct query_pipe_sink, base);
    if (monitor_check(self->monitor, err) || pipe_write(self->pipe, bytes, len, err))
        return -1;
    self->written += (int64_t)len;
    return 0;
}

static void close_nothing(struct sink *sink)
{
    (void)sink;
}

void query_pipe_sink_init(struct query_pipe_sink *sink, struct pipe *pipe, const struct monitor *monitor)
{
    static const struct sink_ops ops = {.write = write_pipe, .close = close_nothing};
    *sink = (struct query_pipe_sink){.base = {&ops}, .pipe = pipe, .monitor = monitor};
}

static ssize_t read_pipe(struct reader_at *reader, void *buffer, size_t len, int64_t offset,
                         struct error *err)
{
    struct query_pipe_reader *self = container_of(reader, struct query_pipe_reader, base);
    char *at = buffer;
    size_t done = 0;
    if (offset != self->position) {
        error_set(err, ERR_REGISTRY_ERROR,
                  "the registry broke the upload off, and the body can be read only once");
        error_hint(err, "Send the request again.");
        return -1;
    }
    while (done < len) {
        ssize_t got =
            monitor_check(self->monitor, err) ? -1 : pipe_read(self->pipe, at + done, len - done, err);
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    self->position += (int64_t)done;
    return (ssize_t)done;
}

static void close_reader(struct reader_at *reader)
{
    (void)reader;
}

void query_pipe_reader_init(struct query_pipe_reader *reader, struct pipe *pipe, int64_t size,
                            const struct monitor *monitor)
{
    static const struct reader_at_ops ops = {read_pipe, close_reader};
    *reader = (struct query_pipe_reader){.base = {&ops, size}, .pipe = pipe, .monitor = monitor};
}

int query_pipe_copy(struct pipe *pipe, struct sink *sink, int64_t max, const struct monitor *monitor,
                    struct error *err)
{
    AUTO_FREE char *buffer = mem_alloc(COPY_BYTES);
    int64_t total = 0;
    for (ssize_t got; (got = pipe_read(pipe, buffer, COPY_BYTES, err)) != 0;) {
        if (got < 0 || monitor_check(monitor, err))
            return -1;
        total += got;
        if (max && total > max)
            return error_set(err, ERR_TOO_LARGE, "the body has more than the %lld bytes that are taken",
                             (long long)max);
        if (sink_write(sink, buffer, (size_t)got, err))
            return -1;
    }
    return 0;
}

void query_pipe_drain(struct pipe *pipe, const struct monitor *monitor)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    AUTO_FREE char *buffer = mem_alloc(COPY_BYTES);
    while (!monitor_check(monitor, &ignored) && pipe_read(pipe, buffer, COPY_BYTES, &ignored) > 0)
        continue;
}
