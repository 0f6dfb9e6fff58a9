// SPDX-License-Identifier: Apache-2.0
//
// libuv's handles behind our names. A handle's memory is given back in its close callback, as libuv's rules
// ask (design.rst, "handles"); loop_free turns the loop until the last of them is gone.
#include "base/loop.h"

#include <stdlib.h>
#include <uv.h>

#include "base/mem.h"

struct loop {
    uv_loop_t uv;
};

struct loop_timer {
    uv_timer_t uv;
    void (*fired)(void *arg);
    void *arg;
    bool firing;
};

struct loop_watch {
    uv_poll_t uv;
    void (*ready)(void *arg);
    void *arg;
};

struct loop_prepare {
    uv_prepare_t uv;
    void (*before)(void *arg);
    void *arg;
};

struct loop_signal {
    uv_signal_t uv;
    void (*caught)(void *arg, int signum);
    void *arg;
};

struct loop *loop_new(struct error *err)
{
    struct loop *loop = mem_new(struct loop);
    int status = uv_loop_init(&loop->uv);
    if (!status)
        return loop;
    error_set(err, ERR_INTERNAL, "the event loop cannot be made: %s", uv_strerror(status));
    free(loop);
    return NULL;
}

void loop_run(struct loop *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}

// Someone still holds a handle: a fault of ours that must not pass unseen, nor turn the loop for ever.
static void refuse_open(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        abort();
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    uv_walk(&loop->uv, refuse_open, NULL);
    while (uv_run(&loop->uv, UV_RUN_ONCE))
        ;
    if (uv_loop_close(&loop->uv))
        abort();
    free(loop);
}

struct uv_loop_s *loop_uv(struct loop *loop)
{
    return &loop->uv;
}

int64_t loop_now_ms(const struct loop *loop)
{
    return (int64_t)uv_now(&loop->uv);
}

// The uv handle is the first member of each of our structs.
static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static void timer_fired(uv_timer_t *uv)
{
    struct loop_timer *timer = (struct loop_timer *)uv;
    timer->firing = true;
    timer->fired(timer->arg);
    timer->firing = false; // still there if it was freed: memory goes in the close callback
}

struct loop_timer *loop_timer_new(struct loop *loop, void (*fired)(void *arg), void *arg)
{
    struct loop_timer *timer = mem_new(struct loop_timer);
    uv_timer_init(&loop->uv, &timer->uv);
    timer->fired = fired;
    timer->arg = arg;
    return timer;
}

void loop_timer_start(struct loop_timer *timer, int64_t delay_ms)
{
    // Started again by its own callback with no delay, a timer would keep libuv in its timer phase for ever.
    int64_t least = timer->firing ? 1 : 0;
    uv_timer_start(&timer->uv, timer_fired, (uint64_t)(delay_ms > least ? delay_ms : least), 0);
}

void loop_timer_stop(struct loop_timer *timer)
{
    uv_timer_stop(&timer->uv);
}

void loop_timer_free(struct loop_timer *timer)
{
    if (timer)
        uv_close((uv_handle_t *)&timer->uv, free_handle);
}

static void watch_ready(uv_poll_t *uv, int status, int events)
{
    (void)status; // an error shows itself at the next read
    (void)events;
    struct loop_watch *watch = (struct loop_watch *)uv;
    watch->ready(watch->arg);
}

struct loop_watch *loop_watch_new(struct loop *loop, int fd, void (*ready)(void *arg), void *arg,
                                  struct error *err)
{
    struct loop_watch *watch = mem_new(struct loop_watch);
    int status = uv_poll_init(&loop->uv, &watch->uv, fd);
    if (status) {
        free(watch);
        error_set(err, ERR_INTERNAL, "a descriptor cannot be watched: %s", uv_strerror(status));
        return NULL;
    }
    watch->ready = ready;
    watch->arg = arg;
    uv_poll_start(&watch->uv, UV_READABLE, watch_ready);
    return watch;
}

void loop_watch_free(struct loop_watch *watch)
{
    if (watch)
        uv_close((uv_handle_t *)&watch->uv, free_handle);
}

static void prepare_turn(uv_prepare_t *uv)
{
    struct loop_prepare *prepare = (struct loop_prepare *)uv;
    prepare->before(prepare->arg);
}

struct loop_prepare *loop_prepare_new(struct loop *loop, void (*before)(void *arg), void *arg)
{
    struct loop_prepare *prepare = mem_new(struct loop_prepare);
    uv_prepare_init(&loop->uv, &prepare->uv);
    prepare->before = before;
    prepare->arg = arg;
    uv_prepare_start(&prepare->uv, prepare_turn);
    return prepare;
}

void loop_prepare_free(struct loop_prepare *prepare)
{
    if (prepare)
        uv_close((uv_handle_t *)&prepare->uv, free_handle);
}

static void signal_caught(uv_signal_t *uv, int signum)
{
    struct loop_signal *signal = (struct loop_signal *)uv;
    signal->caught(signal->arg, signum);
}

struct loop_signal *loop_signal_new(struct loop *loop, int signum, void (*caught)(void *arg, int signum),
                                    void *arg, struct error *err)
{
    struct loop_signal *signal = mem_new(struct loop_signal);
    uv_signal_init(&loop->uv, &signal->uv);
    signal->caught = caught;
    signal->arg = arg;
    int status = uv_signal_start(&signal->uv, signal_caught, signum);
    if (!status)
        return signal;
    loop_signal_free(signal);
    error_set(err, ERR_INTERNAL, "signal %d cannot be watched: %s", signum, uv_strerror(status));
    return NULL;
}

void loop_signal_free(struct loop_signal *signal)
{
    if (signal)
        uv_close((uv_handle_t *)&signal->uv, free_handle);
}
