// SPDX-License-Identifier: Apache-2.0
//
// A queue, a lock, and one thread per core. Everything that passes between a pack and a lane passes under the
// one lock: the job's fields and the block behind it are written before lanes_submit takes the lock and read
// after lanes_wait released it, so neither side ever sees half of the other's work.
#include "layers/lanes.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>

#include "base/mem.h"
#include "layers/compress.h"

struct lane {
    struct lanes *lanes;
    pthread_t thread;
    struct compressor *compressor; // made at the first job, freed when no pack is left
};

struct lanes {
    pthread_mutex_t lock;
    pthread_cond_t work;     // a job was queued, the last pack left, or the end has come
    pthread_cond_t finished; // some job is done
    struct list queue;
    size_t packs;
    bool stopping;
    size_t count;
    struct lane lane[LANES_MAX];
};

// Waits for the next job; meanwhile gives back the scratch when no pack is left. NULL at the end. Called
// locked.
static struct lanes_job *next_job(struct lane *lane)
{
    struct lanes *lanes = lane->lanes;
    while (list_empty(&lanes->queue) && !lanes->stopping) {
        if (lanes->packs == 0 && lane->compressor) {
            compressor_free(lane->compressor);
            lane->compressor = NULL;
        }
        pthread_cond_wait(&lanes->work, &lanes->lock);
    }
    struct list *first = list_take_first(&lanes->queue);
    return first ? container_of(first, struct lanes_job, link) : NULL;
}

// Marks a job as done and lets the next of its chain run, ahead of the rest: chains hold blocks back. Called
// locked.
static void end_job(struct lanes *lanes, struct lanes_job *job)
{
    struct lanes_chain *chain = job->chain;
    job->done = true; // from here on the job is its owner's
    pthread_cond_broadcast(&lanes->finished);
    if (!chain)
        return;
    struct list *next = list_take_first(&chain->waiting);
    chain->running = next != NULL;
    if (next)
        list_prepend(&lanes->queue, next);
}

static void *lane_main(void *argument)
{
    struct lane *lane = argument;
    struct lanes *lanes = lane->lanes;
    pthread_mutex_lock(&lanes->lock);
    for (struct lanes_job *job; (job = next_job(lane));) {
        pthread_mutex_unlock(&lanes->lock);
        if (!lane->compressor)
            lane->compressor = compressor_new();
        job->run(job, lane->compressor);
        pthread_mutex_lock(&lanes->lock);
        end_job(lanes, job);
    }
    pthread_mutex_unlock(&lanes->lock);
    compressor_free(lane->compressor);
    return NULL;
}

static size_t count_cores(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    return count > 0 ? (size_t)count : 1;
}

// Signals belong to the main thread: lanes are born with all of them blocked.
static int start_lane(struct lane *lane, struct error *err)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int status = pthread_create(&lane->thread, NULL, lane_main, lane);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (status != 0)
        return error_set_errno(err, status, "starting a compression lane");
    pthread_setname_np(lane->thread, "dray-lane");
    return 0;
}

struct lanes *lanes_new(size_t count, struct error *err)
{
    struct lanes *lanes = mem_new(struct lanes);
    if (count == 0)
        count = count_cores();
    if (count > LANES_MAX)
        count = LANES_MAX;
    pthread_mutex_init(&lanes->lock, NULL);
    pthread_cond_init(&lanes->work, NULL);
    pthread_cond_init(&lanes->finished, NULL);
    list_init(&lanes->queue);
    for (; lanes->count < count; lanes->count++) {
        lanes->lane[lanes->count].lanes = lanes;
        if (start_lane(&lanes->lane[lanes->count], err) < 0) {
            lanes_free(lanes);
            return NULL;
        }
    }
    return lanes;
}

void lanes_free(struct lanes *lanes)
{
    if (!lanes)
        return;
    pthread_mutex_lock(&lanes->lock);
    lanes->stopping = true;
    pthread_cond_broadcast(&lanes->work);
    pthread_mutex_unlock(&lanes->lock);
    for (size_t i = 0; i < lanes->count; i++)
        pthread_join(lanes->lane[i].thread, NULL);
    pthread_cond_destroy(&lanes->finished);
    pthread_cond_destroy(&lanes->work);
    pthread_mutex_destroy(&lanes->lock);
    free(lanes);
}

size_t lanes_count(const struct lanes *lanes)
{
    return lanes->count;
}

void lanes_enter(struct lanes *lanes)
{
    pthread_mutex_lock(&lanes->lock);
    lanes->packs++;
    pthread_mutex_unlock(&lanes->lock);
}

void lanes_leave(struct lanes *lanes)
{
    pthread_mutex_lock(&lanes->lock);
    if (--lanes->packs == 0)
        pthread_cond_broadcast(&lanes->work);
    pthread_mutex_unlock(&lanes->lock);
}

void lanes_chain_init(struct lanes_chain *chain)
{
    list_init(&chain->waiting);
    chain->running = false;
}

void lanes_submit(struct lanes *lanes, struct lanes_job *job)
{
    pthread_mutex_lock(&lanes->lock);
    job->done = false;
    job->chain = NULL;
    list_append(&lanes->queue, &job->link);
    pthread_cond_signal(&lanes->work);
    pthread_mutex_unlock(&lanes->lock);
}

void lanes_submit_next(struct lanes *lanes, struct lanes_chain *chain, struct lanes_job *job)
{
    pthread_mutex_lock(&lanes->lock);
    job->done = false;
    job->chain = chain;
    if (chain->running) {
        list_append(&chain->waiting, &job->link);
    } else {
        chain->running = true;
        list_prepend(&lanes->queue, &job->link);
        pthread_cond_signal(&lanes->work);
    }
    pthread_mutex_unlock(&lanes->lock);
}

bool lanes_done(struct lanes *lanes, struct lanes_job *job)
{
    pthread_mutex_lock(&lanes->lock);
    bool done = job->done;
    pthread_mutex_unlock(&lanes->lock);
    return done;
}

void lanes_wait(struct lanes *lanes, struct lanes_job *job)
{
    pthread_mutex_lock(&lanes->lock);
    while (!job->done)
        pthread_cond_wait(&lanes->finished, &lanes->lock);
    pthread_mutex_unlock(&lanes->lock);
}
