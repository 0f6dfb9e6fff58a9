// SPDX-License-Identifier: Apache-2.0
//
// The worker's side of a base/pipe as a sink and as a reader, so that what streams through the API plugs into
// the crafts like anything else. One worker.
#pragma once

#include "base/monitor.h"
#include "base/pipe.h"
#include "base/stream.h"

// Everything written goes into the pipe. Embedded; finish and close do nothing: the pipe is ended by its
// owner.
struct query_pipe_sink {
    struct sink base;
    struct pipe *pipe;
    const struct monitor *monitor;
    int64_t written;
};
void query_pipe_sink_init(struct query_pipe_sink *sink, struct pipe *pipe, const struct monitor *monitor);

// The body of a request: read from its begin to its end, once. Embedded; close does nothing. A read that goes
// back fails: the bytes are gone.
struct query_pipe_reader {
    struct reader_at base;
    struct pipe *pipe;
    const struct monitor *monitor;
    int64_t position;
};
void query_pipe_reader_init(struct query_pipe_reader *reader, struct pipe *pipe, int64_t size,
                            const struct monitor *monitor);

// Copies the pipe into a sink until it ends; more than `max` bytes (0: no limit) is ERR_TOO_LARGE.
int query_pipe_copy(struct pipe *pipe, struct sink *sink, int64_t max, const struct monitor *monitor,
                    struct error *err);
// Takes and drops what is still to come: a client hears an answer only after it has sent its body.
void query_pipe_drain(struct pipe *pipe, const struct monitor *monitor);
