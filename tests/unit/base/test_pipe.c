// SPDX-License-Identifier: Apache-2.0
#include "base_test.h"

#include <pthread.h>

#include "base/digest.h"
#include "base/pipe.h"

enum { TOTAL = 2 << 20, LONG_MS = 60000, SHORT_MS = 30 };

// One pipe between this thread, which runs the loop, and one worker.
struct canal {
    struct loop *loop;
    struct mailbox *mailbox;
    struct pipe *pipe;
    struct loop_timer *timer;
    pthread_t worker;
    int ready;
    size_t offered;
    bool over;
    struct hasher *loop_side, *worker_side;
    int worker_result;
    struct error worker_error;
};

static int canal_setup(void **state)
{
    struct error err = ERROR_INIT;
    struct canal *c = mem_new(struct canal);
    c->worker_error = ERROR_INIT;
    c->loop = loop_new(&err);
    c->mailbox = mailbox_new(c->loop, &err);
    c->loop_side = hasher_new(DIGEST_SHA256);
    c->worker_side = hasher_new(DIGEST_SHA256);
    *state = c;
    return c->mailbox ? 0 : -1;
}

static int canal_teardown(void **state)
{
    struct canal *c = *state;
    pipe_unref(c->pipe);
    loop_timer_free(c->timer);
    mailbox_free(c->mailbox);
    loop_free(c->loop);
    hasher_free(c->loop_side);
    hasher_free(c->worker_side);
    error_clear(&c->worker_error);
    free(c);
    return 0;
}

static void run_worker(struct canal *c, void *(*work)(void *arg))
{
    assert_int_equal(pthread_create(&c->worker, NULL, work, c), 0);
}

static void join_worker(struct canal *c)
{
    assert_int_equal(pthread_join(c->worker, NULL), 0);
}

static void assert_same_bytes(struct canal *c)
{
    struct digest sent, got;
    hasher_finish(c->loop_side, &sent);
    hasher_finish(c->worker_side, &got);
    assert_string_equal(sent.text, got.text);
}

// Bytes that repeat at no power of two, so a slip in the ring shows.
static void pattern(char *bytes, size_t len, size_t from)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)((from + i) % 251);
}

static void poll_all(void *arg)
{
    struct canal *c = arg;
    char buffer[777];
    ssize_t got;
    c->ready++;
    while ((got = pipe_poll(c->pipe, buffer, sizeof(buffer))) > 0)
        hasher_update(c->loop_side, buffer, (size_t)got);
    if (got < 0)
        loop_stop(c->loop);
}

static void *write_all(void *arg)
{
    struct canal *c = arg;
    char bytes[3001];
    for (size_t done = 0, len = 1; done < TOTAL && !c->worker_result; done += len, len = len % 3000 + 1) {
        pattern(bytes, len, done);
        hasher_update(c->worker_side, bytes, len);
        c->worker_result = pipe_write(c->pipe, bytes, len, &c->worker_error);
    }
    pipe_end(c->pipe);
    return NULL;
}

static void test_worker_to_loop(void **state)
{
    struct canal *c = *state;
    c->pipe = pipe_new(1000, LONG_MS, c->mailbox, poll_all, c);
    run_worker(c, write_all);
    loop_run(c->loop);
    join_worker(c);
    assert_int_equal(c->worker_result, 0);
    assert_same_bytes(c);
    assert_int_equal(pipe_failed(c->pipe, &c->worker_error), 0);
}

static void offer_more(void *arg)
{
    struct canal *c = arg;
    char bytes[901];
    while (c->offered < TOTAL) {
        size_t len = sizeof(bytes) < TOTAL - c->offered ? sizeof(bytes) : TOTAL - c->offered;
        pattern(bytes, len, c->offered);
        size_t taken = pipe_offer(c->pipe, bytes, len);
        hasher_update(c->loop_side, bytes, taken);
        c->offered += taken;
        if (taken < len)
            return; // wait for ready
    }
    if (!c->over)
        pipe_end(c->pipe);
    c->over = true;
    loop_stop(c->loop);
}

static void *read_all(void *arg)
{
    struct canal *c = arg;
    char buffer[1234];
    ssize_t got;
    while ((got = pipe_read(c->pipe, buffer, sizeof(buffer), &c->worker_error)) > 0)
        hasher_update(c->worker_side, buffer, (size_t)got);
    c->worker_result = (int)got;
    return NULL;
}

static void test_loop_to_worker(void **state)
{
    struct canal *c = *state;
    c->pipe = pipe_new(4096, LONG_MS, c->mailbox, offer_more, c);
    run_worker(c, read_all);
    offer_more(c);
    loop_run(c->loop);
    join_worker(c);
    assert_int_equal(c->worker_result, 0);
    assert_same_bytes(c);
}

static void cut_at_once(void *arg)
{
    struct canal *c = arg;
    struct error why = ERROR_INIT;
    error_set(&why, ERR_CONFLICT, "the client left");
    error_hint(&why, "stay");
    pipe_cut(c->pipe, &why);
    error_set(&why, ERR_INTERNAL, "a later reason does not count");
    pipe_cut(c->pipe, &why);
    error_clear(&why);
    loop_stop(c->loop);
}

// The worker is held in pipe_write by a full ring and let go by the cut.
static void test_cut_by_the_loop(void **state)
{
    struct canal *c = *state;
    c->pipe = pipe_new(100, LONG_MS, c->mailbox, cut_at_once, c);
    run_worker(c, write_all);
    loop_run(c->loop);
    join_worker(c);
    assert_int_equal(c->worker_result, -1);
    assert_string_equal(c->worker_error.detail, "the client left");
    assert_string_equal(c->worker_error.hint, "stay");
    char byte;
    assert_int_equal(pipe_poll(c->pipe, &byte, 1), -1); // what was in the ring is gone too
    assert_int_equal(pipe_offer(c->pipe, "x", 1), 0);
}

static void *cut_by_worker(void *arg)
{
    struct canal *c = arg;
    struct error nothing = ERROR_INIT;
    c->worker_result = pipe_write(c->pipe, "abc", 3, &c->worker_error);
    pipe_cut(c->pipe, &nothing);
    return NULL;
}

static void test_cut_by_the_worker(void **state)
{
    struct canal *c = *state;
    c->pipe = pipe_new(100, LONG_MS, c->mailbox, poll_all, c);
    run_worker(c, cut_by_worker);
    loop_run(c->loop); // ends because poll says -1
    join_worker(c);
    struct error err = ERROR_INIT;
    assert_fails(&err, ERR_CANCELLED, "was cut", pipe_failed(c->pipe, &err));
}

static void stop_when_failed(void *arg)
{
    struct canal *c = arg;
    c->ready++;
    if (pipe_failed(c->pipe, &c->worker_error))
        loop_stop(c->loop);
    error_clear(&c->worker_error);
}

static void *write_much(void *arg)
{
    struct canal *c = arg;
    struct error err = ERROR_INIT;
    char bytes[200] = {0};
    c->worker_result = pipe_write(c->pipe, bytes, sizeof(bytes), &err);
    error_clear(&err);
    return NULL;
}

// Nobody drains: the worker gives up, and the loop learns of it.
static void test_stalled_write(void **state)
{
    struct canal *c = *state;
    c->pipe = pipe_new(100, SHORT_MS, c->mailbox, stop_when_failed, c);
    run_worker(c, write_much);
    loop_run(c->loop);
    join_worker(c);
    assert_int_equal(c->worker_result, -1);
    struct error err = ERROR_INIT;
    assert_fails(&err, ERR_CANCELLED, "no progress for 30 ms", pipe_failed(c->pipe, &err));
}

static void knock(void *arg)
{
    struct canal *c = arg;
    char byte;
    if (c->over)
        return;
    assert_int_equal(pipe_offer(c->pipe, "", 0), 0);
    (void)pipe_poll(c->pipe, &byte, 1);
    loop_timer_start(c->timer, 1);
}

static void over(void *arg)
{
    struct canal *c = arg;
    c->over = true;
    loop_stop(c->loop);
}

// A loop that looks in again and again without bringing a byte is a stall like any other.
static void test_stalled_read_is_not_fooled(void **state)
{
    struct canal *c = *state;
    c->pipe = pipe_new(100, SHORT_MS, c->mailbox, over, c);
    c->timer = loop_timer_new(c->loop, knock, c);
    loop_timer_start(c->timer, 0);
    run_worker(c, read_all);
    loop_run(c->loop);
    join_worker(c);
    assert_int_equal(c->worker_result, -1);
    assert_int_equal(c->worker_error.code, ERR_CANCELLED);
}

static void test_end_comes_after_the_bytes(void **state)
{
    struct canal *c = *state;
    struct error err = ERROR_INIT;
    char buffer[8];
    c->pipe = pipe_new(100, LONG_MS, c->mailbox, over, c);
    assert_int_equal(pipe_poll(c->pipe, buffer, 8), 0);
    assert_works(&err, pipe_write(c->pipe, "abc", 3, &err));
    pipe_end(c->pipe);
    assert_int_equal(pipe_poll(c->pipe, buffer, 0), 0);
    assert_int_equal(pipe_poll(c->pipe, buffer, 2), 2);
    assert_int_equal(pipe_read(c->pipe, buffer, 8, &err), 1);
    assert_int_equal(pipe_poll(c->pipe, buffer, 8), -1);
    assert_int_equal(pipe_read(c->pipe, buffer, 8, &err), 0);
    assert_int_equal(pipe_failed(c->pipe, &err), 0);
}

// Wake-ups ride on one letter; after the detach there is none, also not the one under way.
static void test_detach(void **state)
{
    struct canal *c = *state;
    struct error err = ERROR_INIT;
    c->pipe = pipe_new(100, LONG_MS, c->mailbox, over, c);
    assert_works(&err, pipe_write(c->pipe, "a", 1, &err));
    assert_works(&err, pipe_write(c->pipe, "b", 1, &err));
    pipe_detach(c->pipe);
    assert_works(&err, pipe_write(c->pipe, "c", 1, &err));
    mailbox_drain(c->mailbox);
    assert_false(c->over);
}

static void count(void *arg)
{
    ((struct canal *)arg)->ready++;
}

static void test_one_letter_at_a_time(void **state)
{
    struct canal *c = *state;
    struct error err = ERROR_INIT;
    c->pipe = pipe_new(100, LONG_MS, c->mailbox, count, c);
    for (int i = 0; i < 10; i++)
        assert_works(&err, pipe_write(c->pipe, "a", 1, &err));
    mailbox_drain(c->mailbox);
    assert_int_equal(c->ready, 1);
    assert_works(&err, pipe_write(c->pipe, "a", 1, &err));
    mailbox_drain(c->mailbox);
    assert_int_equal(c->ready, 2);
}

// The letter under way keeps the pipe.
static void test_references(void **state)
{
    struct canal *c = *state;
    struct error err = ERROR_INIT;
    c->pipe = pipe_new(100, LONG_MS, c->mailbox, count, c);
    assert_ptr_equal(pipe_ref(c->pipe), c->pipe);
    pipe_unref(c->pipe);
    assert_works(&err, pipe_write(c->pipe, "a", 1, &err));
    pipe_unref(c->pipe);
    c->pipe = NULL;
    mailbox_drain(c->mailbox);
    assert_int_equal(c->ready, 1);
    pipe_unref(NULL);
}

#define canal_test(function) cmocka_unit_test_setup_teardown(function, canal_setup, canal_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        canal_test(test_worker_to_loop),
        canal_test(test_loop_to_worker),
        canal_test(test_cut_by_the_loop),
        canal_test(test_cut_by_the_worker),
        canal_test(test_stalled_write),
        canal_test(test_stalled_read_is_not_fooled),
        canal_test(test_end_comes_after_the_bytes),
        canal_test(test_detach),
        canal_test(test_one_letter_at_a_time),
        canal_test(test_references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
