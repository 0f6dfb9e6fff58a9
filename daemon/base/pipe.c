// SPDX-License-Identifier: Apache-2.0
//
// One mutex, one condition for the worker's side, one letter for the loop's side. At most one letter is under
// way; it holds a reference, so the pipe outlives it.
#include "base/pipe.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"

struct pipe {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int refs;
    struct mailbox *mailbox;
    struct letter letter;
    bool letter_posted;
    void (*ready)(void *arg); // NULL once detached
    void *arg;
    int64_t stall_ms;
    bool ended;
    bool cut;
    struct error why;
    size_t capacity, start, used;
    char ring[];
};

static void deliver(struct letter *letter)
{
    struct pipe *pipe = container_of(letter, struct pipe, letter);
    pthread_mutex_lock(&pipe->lock);
    pipe->letter_posted = false;
    void (*ready)(void *) = pipe->ready;
    void *arg = pipe->arg;
    pthread_mutex_unlock(&pipe->lock);
    if (ready)
        ready(arg);
    pipe_unref(pipe);
}

struct pipe *pipe_new(size_t capacity, int64_t stall_ms, struct mailbox *mailbox, void (*ready)(void *arg),
                      void *arg)
{
    struct pipe *pipe = mem_alloc(sizeof(*pipe) + capacity);
    *pipe = (struct pipe){.refs = 1,
                          .mailbox = mailbox,
                          .ready = ready,
                          .arg = arg,
                          .stall_ms = stall_ms,
                          .why = ERROR_INIT,
                          .capacity = capacity};
    pipe->letter.deliver = deliver;
    pthread_mutex_init(&pipe->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&pipe->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return pipe;
}

struct pipe *pipe_ref(struct pipe *pipe)
{
    pthread_mutex_lock(&pipe->lock);
    pipe->refs++;
    pthread_mutex_unlock(&pipe->lock);
    return pipe;
}

void pipe_unref(struct pipe *pipe)
{
    if (!pipe)
        return;
    pthread_mutex_lock(&pipe->lock);
    bool last = --pipe->refs == 0;
    pthread_mutex_unlock(&pipe->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&pipe->lock);
    pthread_cond_destroy(&pipe->changed);
    error_clear(&pipe->why);
    free(pipe);
}

// Locked.
static void call_loop(struct pipe *pipe)
{
    if (pipe->letter_posted || !pipe->ready)
        return;
    pipe->letter_posted = true;
    pipe->refs++;
    mailbox_post(pipe->mailbox, &pipe->letter);
}

static size_t put(struct pipe *pipe, const char *bytes, size_t len)
{
    size_t done = 0;
    while (done < len && pipe->used < pipe->capacity) {
        size_t at = (pipe->start + pipe->used) % pipe->capacity;
        size_t run = at >= pipe->start ? pipe->capacity - at : pipe->start - at;
        if (run > len - done)
            run = len - done;
        memcpy(pipe->ring + at, bytes + done, run);
        pipe->used += run;
        done += run;
    }
    return done;
}

static size_t take(struct pipe *pipe, char *buffer, size_t len)
{
    size_t done = 0;
    while (done < len && pipe->used) {
        size_t run = pipe->capacity - pipe->start;
        if (run > pipe->used)
            run = pipe->used;
        if (run > len - done)
            run = len - done;
        memcpy(buffer + done, pipe->ring + pipe->start, run);
        pipe->start = (pipe->start + run) % pipe->capacity;
        pipe->used -= run;
        done += run;
    }
    return done;
}

static struct timespec stall_limit(const struct pipe *pipe)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += pipe->stall_ms / 1000;
    until.tv_nsec += pipe->stall_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    return until;
}

// Locked.
static void cut(struct pipe *pipe, const struct error *why)
{
    if (pipe->cut)
        return; // the first reason counts; a `ready` that cuts again must not call itself for ever
    pipe->cut = true;
    error_copy(&pipe->why, why);
    if (!why->code)
        error_set(&pipe->why, ERR_CANCELLED, "the stream was cut");
    pthread_cond_broadcast(&pipe->changed);
    call_loop(pipe);
}

// Locked.
static int fail_if_cut(struct pipe *pipe, struct error *err)
{
    if (!pipe->cut)
        return 0;
    error_copy(err, &pipe->why);
    return -1;
}

static bool has_room(const struct pipe *pipe)
{
    return pipe->used < pipe->capacity;
}

static bool has_bytes_or_end(const struct pipe *pipe)
{
    return pipe->used || pipe->ended;
}

// Locked; worker's side. Waits until `may_go` or the pipe is cut; cuts it itself when that takes too long,
// because a peer that stalls would otherwise never learn that nobody waits for it any more.
static int wait_until(struct pipe *pipe, bool (*may_go)(const struct pipe *pipe), struct error *err)
{
    struct timespec until = stall_limit(pipe);
    int status = 0;
    while (!pipe->cut && !may_go(pipe) && status != ETIMEDOUT)
        status = pthread_cond_timedwait(&pipe->changed, &pipe->lock, &until);
    if (!pipe->cut && !may_go(pipe)) {
        CLEANUP(error_clear) struct error stalled = ERROR_INIT;
        error_set(&stalled, ERR_CANCELLED, "the other side of the stream made no progress for %lld ms",
                  (long long)pipe->stall_ms);
        cut(pipe, &stalled);
    }
    return fail_if_cut(pipe, err);
}

int pipe_write(struct pipe *pipe, const void *bytes, size_t len, struct error *err)
{
    const char *from = bytes;
    int result = 0;
    pthread_mutex_lock(&pipe->lock);
    while (len && !(result = wait_until(pipe, has_room, err))) {
        size_t moved = put(pipe, from, len);
        from += moved;
        len -= moved;
        call_loop(pipe);
    }
    pthread_mutex_unlock(&pipe->lock);
    return result;
}

ssize_t pipe_read(struct pipe *pipe, void *buffer, size_t len, struct error *err)
{
    ssize_t result = -1;
    pthread_mutex_lock(&pipe->lock);
    if (!wait_until(pipe, has_bytes_or_end, err)) {
        result = (ssize_t)take(pipe, buffer, len);
        if (result)
            call_loop(pipe);
    }
    pthread_mutex_unlock(&pipe->lock);
    return result;
}

size_t pipe_offer(struct pipe *pipe, const void *bytes, size_t len)
{
    pthread_mutex_lock(&pipe->lock);
    size_t done = pipe->cut ? 0 : put(pipe, bytes, len);
    if (done)
        pthread_cond_broadcast(&pipe->changed);
    pthread_mutex_unlock(&pipe->lock);
    return done;
}

ssize_t pipe_poll(struct pipe *pipe, void *buffer, size_t len)
{
    pthread_mutex_lock(&pipe->lock);
    ssize_t result = pipe->cut ? -1 : (ssize_t)take(pipe, buffer, len);
    if (result > 0)
        pthread_cond_broadcast(&pipe->changed);
    else if (pipe->ended && !pipe->used)
        result = -1;
    pthread_mutex_unlock(&pipe->lock);
    return result;
}

void pipe_end(struct pipe *pipe)
{
    pthread_mutex_lock(&pipe->lock);
    if (!pipe->ended) {
        pipe->ended = true;
        pthread_cond_broadcast(&pipe->changed);
        call_loop(pipe);
    }
    pthread_mutex_unlock(&pipe->lock);
}

void pipe_cut(struct pipe *pipe, const struct error *why)
{
    pthread_mutex_lock(&pipe->lock);
    cut(pipe, why);
    pthread_mutex_unlock(&pipe->lock);
}

int pipe_failed(struct pipe *pipe, struct error *err)
{
    pthread_mutex_lock(&pipe->lock);
    int result = fail_if_cut(pipe, err);
    pthread_mutex_unlock(&pipe->lock);
    return result;
}

void pipe_detach(struct pipe *pipe)
{
    pthread_mutex_lock(&pipe->lock);
    pipe->ready = NULL;
    pthread_mutex_unlock(&pipe->lock);
}
