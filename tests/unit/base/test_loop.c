// SPDX-License-Identifier: Apache-2.0
#include "base_test.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/loop.h"

struct scene {
    struct loop *loop;
    struct loop_timer *timer, *other;
    struct loop_prepare *prepare;
    struct loop_watch *watch;
    int fired, turns, seen;
    int fds[2];
    char order[16];
};

static int scene_setup(void **state)
{
    struct error err = ERROR_INIT;
    struct scene *s = mem_new(struct scene);
    s->loop = loop_new(&err);
    *state = s;
    return s->loop ? 0 : -1;
}

static int scene_teardown(void **state)
{
    struct scene *s = *state;
    loop_free(s->loop);
    free(s);
    return 0;
}

static void note(struct scene *s, char c)
{
    s->order[strlen(s->order)] = c;
}

static void stop(void *arg)
{
    struct scene *s = arg;
    note(s, 's');
    loop_stop(s->loop);
}

static void first(void *arg)
{
    note(arg, '1');
}

static void test_timers_fire_in_order(void **state)
{
    struct scene *s = *state;
    struct loop_timer *late = loop_timer_new(s->loop, stop, s), *early = loop_timer_new(s->loop, first, s);
    struct loop_timer *never = loop_timer_new(s->loop, first, s);
    int64_t before = loop_now_ms(s->loop);
    loop_timer_start(late, 20);
    loop_timer_start(early, -5); // at once
    loop_timer_start(never, 1);
    loop_timer_stop(never);
    loop_run(s->loop);
    assert_string_equal(s->order, "1s");
    assert_true(loop_now_ms(s->loop) >= before + 20);
    loop_timer_free(late);
    loop_timer_free(early);
    loop_timer_free(never);
    loop_timer_free(NULL);
}

static void again(void *arg)
{
    struct scene *s = arg;
    if (++s->fired < 3) {
        loop_timer_start(s->timer, 1);
        return;
    }
    loop_timer_free(s->timer); // by its own callback
    loop_stop(s->loop);
}

static void test_timer_restarts_and_frees_itself(void **state)
{
    struct scene *s = *state;
    s->timer = loop_timer_new(s->loop, again, s);
    loop_timer_start(s->timer, 0);
    loop_run(s->loop);
    assert_int_equal(s->fired, 3);
}

static void at_once(void *arg)
{
    struct scene *s = arg;
    s->fired++;
    loop_timer_start(s->timer, 0);
}

static void turn(void *arg)
{
    struct scene *s = arg;
    if (++s->turns == 3)
        loop_stop(s->loop);
}

// A timer that starts itself again without delay lets the loop go round.
static void test_eager_timer_does_not_starve(void **state)
{
    struct scene *s = *state;
    s->timer = loop_timer_new(s->loop, at_once, s);
    s->prepare = loop_prepare_new(s->loop, turn, s);
    loop_timer_start(s->timer, 0);
    loop_run(s->loop);
    assert_int_equal(s->turns, 3);
    loop_timer_free(s->timer);
    loop_prepare_free(s->prepare);
    loop_prepare_free(NULL);
}

static void readable(void *arg)
{
    struct scene *s = arg;
    char c;
    assert_int_equal(read(s->fds[0], &c, 1), 1);
    note(s, c);
    if (++s->seen < 2)
        assert_int_equal(write(s->fds[1], "b", 1), 1);
    else
        loop_stop(s->loop);
}

static void test_watch(void **state)
{
    struct scene *s = *state;
    struct error err = ERROR_INIT;
    assert_int_equal(pipe(s->fds), 0);
    s->watch = loop_watch_new(s->loop, s->fds[0], readable, s, &err);
    assert_non_null(s->watch);
    assert_int_equal(write(s->fds[1], "a", 1), 1);
    loop_run(s->loop);
    assert_string_equal(s->order, "ab");
    loop_watch_free(s->watch);
    loop_watch_free(NULL);
    assert_fails(&err, ERR_INTERNAL, "cannot be watched", !loop_watch_new(s->loop, -1, readable, s, &err));
    close(s->fds[0]);
    close(s->fds[1]);
}

static void caught(void *arg, int signum)
{
    struct scene *s = arg;
    s->seen = signum;
    loop_stop(s->loop);
}

static void test_signal(void **state)
{
    struct scene *s = *state;
    struct error err = ERROR_INIT;
    struct loop_signal *signal = loop_signal_new(s->loop, SIGUSR1, caught, s, &err);
    assert_non_null(signal);
    raise(SIGUSR1);
    loop_run(s->loop);
    assert_int_equal(s->seen, SIGUSR1);
    loop_signal_free(signal);
    loop_signal_free(NULL);
    assert_fails(&err, ERR_INTERNAL, "cannot be watched", !loop_signal_new(s->loop, SIGKILL, caught, s, &err));
}

static void test_stop_before_run(void **state)
{
    struct scene *s = *state;
    s->timer = loop_timer_new(s->loop, stop, s);
    loop_timer_start(s->timer, 60000);
    loop_stop(s->loop);
    loop_run(s->loop); // returns
    assert_string_equal(s->order, "");
    loop_timer_free(s->timer);
    loop_free(NULL);
}

// A timer that nobody freed is a fault that ends the process: it neither passes nor hangs.
static void test_leak_is_seen(void **state)
{
    struct scene *s = *state;
    for (int running = 0; running < 2; running++) {
        pid_t child = fork();
        if (child == 0) {
            struct rlimit no_core = {0};
            setrlimit(RLIMIT_CORE, &no_core);
            signal(SIGABRT, SIG_DFL);
            s->timer = loop_timer_new(s->loop, stop, s);
            if (running)
                loop_timer_start(s->timer, 60000);
            loop_free(s->loop);
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    }
}

#define scene_test(function) cmocka_unit_test_setup_teardown(function, scene_setup, scene_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(test_timers_fire_in_order),
        scene_test(test_timer_restarts_and_frees_itself),
        scene_test(test_eager_timer_does_not_starve),
        scene_test(test_watch),
        scene_test(test_signal),
        scene_test(test_stop_before_run),
        scene_test(test_leak_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
