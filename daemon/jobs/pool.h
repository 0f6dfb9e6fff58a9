// SPDX-License-Identifier: Apache-2.0
//
// The worker pool: libuv's threads, never handed more than they can run at once, so its own queue stays empty
// and what waits stays where it can still be reordered and cancelled. Two classes with their own limits:
// steps of jobs, and queries. Loop only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "base/mailbox.h"

struct pool;
struct task;

enum pool_class { POOL_STEPS, POOL_QUERIES, POOL_CLASSES };

// finished(arg, task) runs on the loop for each task that a worker has run, after all that the worker posted.
struct pool *pool_new(struct loop *loop, struct mailbox *mailbox, const size_t limits[POOL_CLASSES],
                      void (*finished)(void *arg, enum pool_class class, struct task *task), void *arg);
bool pool_has_room(const struct pool *pool, enum pool_class class);
size_t pool_busy(const struct pool *pool, enum pool_class class);
// Hands the task to a worker; there must be room. Until finished it belongs to the worker.
void pool_run(struct pool *pool, enum pool_class class, struct task *task);
// Blocks until no worker runs anything of this pool or limit_ms have passed (false); then delivers what they
// posted.
bool pool_wait(struct pool *pool, int64_t limit_ms);
void pool_free(struct pool *pool); // nothing may be running
