// SPDX-License-Identifier: Apache-2.0
//
// A bounded ring between the loop and one worker, for bodies that stream through the API. The worker's side
// blocks (with a stall limit); the loop's side never does and is called back when it may go on. Cut from
// either side with an error, which the other side gets next.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/mailbox.h"

struct pipe;

// ready(arg) runs on the loop whenever the loop's side can make progress again (data or room, end, cut).
struct pipe *pipe_new(size_t capacity, int64_t stall_ms, struct mailbox *mailbox, void (*ready)(void *arg),
                      void *arg);
struct pipe *pipe_ref(struct pipe *pipe);
void pipe_unref(struct pipe *pipe);

// Worker's side. Blocks until it can go on or the pipe is cut; when that takes longer than stall_ms it cuts
// the pipe itself. pipe_write returns when all is in the ring.
int pipe_write(struct pipe *pipe, const void *bytes, size_t len, struct error *err);
ssize_t pipe_read(struct pipe *pipe, void *buffer, size_t len, struct error *err); // 0: end
// Loop's side (never blocks): bytes moved, 0 if it has to wait for ready, or if the pipe was cut (pipe_failed
// tells).
size_t pipe_offer(struct pipe *pipe, const void *bytes, size_t len);
// >0 bytes, 0 wait, -1 ended and empty, or cut (pipe_failed tells).
ssize_t pipe_poll(struct pipe *pipe, void *buffer, size_t len);
// Either side.
void pipe_end(struct pipe *pipe); // the writer has no more
// Both sides fail from now on; the first reason counts.
void pipe_cut(struct pipe *pipe, const struct error *why);
int pipe_failed(struct pipe *pipe, struct error *err); // -1 and a copy of the reason if it was cut
// The loop's side leaves: ready is never called again. Cut first, unless the worker has ended.
void pipe_detach(struct pipe *pipe);
