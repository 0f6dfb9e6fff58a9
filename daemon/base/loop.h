// SPDX-License-Identifier: Apache-2.0
//
// The door of libuv for everyone but the worker pool: one loop, its timers, watched descriptors and signals.
// All calls are made on the loop thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct uv_loop_s;
struct loop;
struct loop_timer;
struct loop_watch;

struct loop *loop_new(struct error *err);
void loop_run(struct loop *loop); // until loop_stop
void loop_stop(struct loop *loop);
void loop_free(struct loop *loop);            // all timers and watches must have been freed
struct uv_loop_s *loop_uv(struct loop *loop); // for jobs/engine (uv_queue_work) only
int64_t loop_now_ms(const struct loop *loop); // clock of this turn, monotonic

// One-shot timers; a fired or stopped timer can be started again. The callback may free its own timer.
struct loop_timer *loop_timer_new(struct loop *loop, void (*fired)(void *arg), void *arg);
void loop_timer_start(struct loop_timer *timer, int64_t delay_ms);
void loop_timer_stop(struct loop_timer *timer);
void loop_timer_free(struct loop_timer *timer); // NULL is fine

// Calls ready(arg) while fd is readable.
struct loop_watch *loop_watch_new(struct loop *loop, int fd, void (*ready)(void *arg), void *arg,
                                  struct error *err);
void loop_watch_free(struct loop_watch *watch);

// Calls before(arg) in each turn before the loop waits for descriptors (libuv "prepare").
struct loop_prepare *loop_prepare_new(struct loop *loop, void (*before)(void *arg), void *arg);
void loop_prepare_free(struct loop_prepare *prepare);

// Calls caught(arg, signum) on the loop thread.
struct loop_signal *loop_signal_new(struct loop *loop, int signum, void (*caught)(void *arg, int signum),
                                    void *arg, struct error *err);
void loop_signal_free(struct loop_signal *signal);
