// SPDX-License-Identifier: Apache-2.0
//
// Used by event_reader (who watches), attempt (what runs) and job_to_json. The ticker runs only while
// somebody watches a job that runs; each tick looks at the counters of the running steps and makes an event
// for those that moved.
#include "jobs/progress.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "jobs/engine_core.h"
#include "jobs/feed.h"
#include "jobs/job_core.h"

struct figures {
    int64_t done, settled; // settled: done, skipped and mounted
};

static struct figures figures_of(const struct job *job)
{
    const struct job_progress *p = &job->progress;
    int64_t moving = 0;
    list_for_each(link, &job->busy)
        moving += atomic_load(&container_of(link, struct task, link)->step->monitor.current);
    struct figures now = {.done = p->bytes_done + moving};
    int64_t most = p->bytes_total - p->bytes_skipped - p->bytes_mounted;
    if (p->bytes_total > 0 && now.done > most)
        now.done = most > p->bytes_done ? most : p->bytes_done;
    now.settled = now.done + p->bytes_skipped + p->bytes_mounted;
    return now;
}

static json_t *eta_json(const struct job *job, const struct figures *now, int64_t rate)
{
    int64_t left = job->progress.bytes_total - now->settled;
    if (left <= 0 || rate <= 0 || !job->begun)
        return left <= 0 && job->begun ? json_integer(0) : json_null();
    return json_integer((left + rate - 1) / rate);
}

json_t *progress_json(struct job *job)
{
    const struct job_progress *p = &job->progress;
    if (job_state_terminal(job->state) && job->begun_ms == 0)
        return NULL;
    struct figures now = figures_of(job);
    if (job->begun)
        meter_sample(&job->meter, clock_ms(), now.done);
    int64_t rate = job->begun ? meter_rate(&job->meter) : 0;
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "bytes_total", (json_int_t)p->bytes_total,
                     "bytes_done", (json_int_t)now.done, "bytes_skipped", (json_int_t)p->bytes_skipped,
                     "bytes_mounted", (json_int_t)p->bytes_mounted, "blobs_total", (json_int_t)p->blobs_total,
                     "blobs_done", (json_int_t)p->blobs_done, "rate_bps", (json_int_t)rate, "eta_s",
                     eta_json(job, &now, rate));
}

// --- snapshots

// What stands still is told until its rate has fallen to nothing, too.
static bool told(const struct snapshot *snapshot, int64_t value, int64_t rate)
{
    return snapshot->event && snapshot->value == value && snapshot->rate == rate;
}

static void snapshot_set(struct job *job, struct snapshot *snapshot, const char *type, json_t *members,
                         int64_t value, int64_t rate)
{
    event_unref(snapshot->event);
    snapshot->event = event_new(job->id, 0, 0, type, members);
    snapshot->version = ++job->version;
    snapshot->value = value;
    snapshot->rate = rate;
    list_remove(&snapshot->link);
    list_append(&job->snapshots, &snapshot->link);
}

static void snapshot_drop(struct snapshot *snapshot)
{
    list_remove(&snapshot->link);
    event_unref(snapshot->event);
    snapshot->event = NULL;
}

static bool snap_task(struct job *job, struct task *task)
{
    const struct monitor *monitor = &task->step->monitor;
    int64_t current = atomic_load(&monitor->current), total = atomic_load(&monitor->total);
    if (!task->step->blob || (current == 0 && total == 0))
        return false;
    meter_sample(&task->meter, clock_ms(), current);
    int64_t rate = meter_rate(&task->meter);
    if (told(&task->snapshot, current, rate))
        return false;
    json_t *members = json_pack("{s:s, s:s?, s:I, s:o, s:I}", "blob", task->step->blob, "phase",
                                *task->phase ? task->phase : NULL, "current", (json_int_t)current, "total",
                                total > 0 ? json_integer(total) : json_null(), "rate_bps", (json_int_t)rate);
    snapshot_set(job, &task->snapshot, "blob.progress", members, current, rate);
    return true;
}

static bool snap_job(struct job *job)
{
    struct figures now = figures_of(job);
    const struct job_progress *p = &job->progress;
    int64_t value = now.settled + p->bytes_total + p->blobs_total + p->blobs_done;
    json_t *members = progress_json(job);
    int64_t rate = meter_rate(&job->meter);
    if (told(&job->total, value, rate)) {
        json_decref(members);
        return false;
    }
    snapshot_set(job, &job->total, "progress", members, value, rate);
    return true;
}

static bool snap(struct job *job)
{
    bool moved = false;
    list_for_each(link, &job->busy)
        if (snap_task(job, container_of(link, struct task, link)))
            moved = true;
    return snap_job(job) || moved;
}

void progress_refresh(struct job *job)
{
    if (job->begun && !job->total.event)
        snap(job);
}

struct event *progress_next(const struct job *job, int64_t *version)
{
    list_for_each(link, &job->snapshots) {
        const struct snapshot *snapshot = container_of(link, struct snapshot, link);
        if (snapshot->version <= *version)
            continue;
        *version = snapshot->version;
        return event_ref(snapshot->event);
    }
    return NULL;
}

void progress_note_phase(struct job *job, const char *blob, const char *phase)
{
    list_for_each(link, &job->busy) {
        struct task *task = container_of(link, struct task, link);
        if (!str_equal(task->step->blob, blob) || str_equal(task->phase, phase))
            continue;
        snprintf(task->phase, sizeof task->phase, "%s", phase);
        task->snapshot.value = -1; // to be told, though no byte has moved
    }
}

void progress_drop(struct task *task)
{
    snapshot_drop(&task->snapshot);
}

void progress_clear(struct job *job)
{
    snapshot_drop(&job->total);
    list_remove(&job->ticking);
}

// --- ticking

void progress_watch(struct job *job)
{
    struct engine *engine = job->engine;
    bool wanted = job->begun && job->log.followers > 0;
    bool ticking = !list_empty(&job->ticking);
    if (wanted && !ticking) {
        if (list_empty(&engine->ticking))
            loop_timer_start(engine->ticker, engine->options.progress_ms);
        list_append(&engine->ticking, &job->ticking);
    } else if (!wanted && ticking) {
        list_remove(&job->ticking);
        snapshot_drop(&job->total); // would be old for the next reader
    }
}

void progress_tick(struct engine *engine)
{
    struct list todo = LIST_INIT(todo);
    list_splice(&todo, &engine->ticking);
    for (struct list *link; (link = list_take_first(&todo)) != NULL;) {
        struct job *job = container_of(link, struct job, ticking);
        list_append(&engine->ticking, link);
        if (snap(job))
            feed_wake_job(job);
    }
    if (!list_empty(&engine->ticking))
        loop_timer_start(engine->ticker, engine->options.progress_ms);
}
