// SPDX-License-Identifier: Apache-2.0
//
// Used by the scheduler only. A finished task comes back as a letter, not by libuv's own callback: letters of
// one worker arrive in order, so a step's events are delivered before its end. libuv's callback frees the
// request and touches nothing else, so the pool may be gone by then.
#include "jobs/pool.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>
#include <uv.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "jobs/task.h"

struct pool {
    struct loop *loop;
    struct mailbox *mailbox;
    size_t limits[POOL_CLASSES];
    size_t busy[POOL_CLASSES]; // loop's view: handed out and not yet delivered back
    void (*finished)(void *arg, enum pool_class class, struct task *task);
    void *arg;
    pthread_mutex_t mutex;
    pthread_cond_t idle;
    size_t running; // under mutex: handed out and not yet posted back
};

struct work {
    uv_work_t request;
    struct letter letter;
    struct pool *pool;
    struct task *task;
    enum pool_class class;
    int uses; // loop: libuv's callback and the letter; the later one frees
};

struct pool *pool_new(struct loop *loop, struct mailbox *mailbox, const size_t limits[POOL_CLASSES],
                      void (*finished)(void *arg, enum pool_class class, struct task *task), void *arg)
{
    struct pool *pool = mem_new(struct pool);
    pthread_condattr_t attributes;
    pool->loop = loop;
    pool->mailbox = mailbox;
    pool->finished = finished;
    pool->arg = arg;
    for (int i = 0; i < POOL_CLASSES; i++)
        pool->limits[i] = limits[i];
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->idle, &attributes);
    pthread_condattr_destroy(&attributes);
    return pool;
}

bool pool_has_room(const struct pool *pool, enum pool_class class)
{
    return pool->busy[class] < pool->limits[class];
}

size_t pool_busy(const struct pool *pool, enum pool_class class)
{
    return pool->busy[class];
}

static void run(struct task *task)
{
    struct step *step = task->step;
    task->result = step->ops->run(step, &step->error);
    if (task->result < 0 && step->error.code == ERR_NONE)
        error_set(&step->error, ERR_INTERNAL, "%s failed without a reason", step->name);
}

static void on_worker(uv_work_t *request)
{
    struct work *work = container_of(request, struct work, request);
    struct pool *pool = work->pool;
    run(work->task);
    mailbox_post(pool->mailbox, &work->letter);
    pthread_mutex_lock(&pool->mutex);
    if (--pool->running == 0)
        pthread_cond_signal(&pool->idle);
    pthread_mutex_unlock(&pool->mutex);
}

static void work_release(struct work *work)
{
    if (--work->uses == 0)
        free(work);
}

static void on_after(uv_work_t *request, int status)
{
    (void)status; // nothing here is ever cancelled by uv_cancel
    work_release(container_of(request, struct work, request));
}

static void on_letter(struct letter *letter)
{
    struct work *work = container_of(letter, struct work, letter);
    struct pool *pool = work->pool;
    struct task *task = work->task;
    enum pool_class class = work->class;
    work_release(work);
    pool->busy[class]--;
    pool->finished(pool->arg, class, task);
}

void pool_run(struct pool *pool, enum pool_class class, struct task *task)
{
    struct work *work = mem_new(struct work);
    work->letter.deliver = on_letter;
    list_init(&work->letter.link);
    work->pool = pool;
    work->task = task;
    work->class = class;
    work->uses = 2;
    pool->busy[class]++;
    pthread_mutex_lock(&pool->mutex);
    pool->running++;
    pthread_mutex_unlock(&pool->mutex);
    uv_queue_work(loop_uv(pool->loop), &work->request, on_worker, on_after);
}

static void deadline_after(int64_t limit_ms, struct timespec *ret)
{
    clock_gettime(CLOCK_MONOTONIC, ret);
    int64_t nanoseconds = ret->tv_nsec + limit_ms % 1000 * 1000000;
    ret->tv_sec += limit_ms / 1000 + nanoseconds / 1000000000;
    ret->tv_nsec = nanoseconds % 1000000000;
}

bool pool_wait(struct pool *pool, int64_t limit_ms)
{
    struct timespec deadline;
    int failed = 0;
    deadline_after(limit_ms, &deadline);
    pthread_mutex_lock(&pool->mutex);
    while (pool->running > 0 && failed != ETIMEDOUT)
        failed = pthread_cond_timedwait(&pool->idle, &pool->mutex, &deadline);
    bool done = pool->running == 0;
    pthread_mutex_unlock(&pool->mutex);
    mailbox_drain(pool->mailbox);
    return done;
}

void pool_free(struct pool *pool)
{
    if (!pool)
        return;
    pthread_cond_destroy(&pool->idle);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}
