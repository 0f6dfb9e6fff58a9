// SPDX-License-Identifier: Apache-2.0
//
// The job as plans and readers see it. What happens to it is decided elsewhere: attempt (its course), finish
// (its end), journal (its row).
#include "jobs/job.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "jobs/admission.h"
#include "jobs/attempt.h"
#include "jobs/engine_core.h"
#include "jobs/feed.h"
#include "jobs/job_core.h"
#include "jobs/progress.h"

const char *job_id(const struct job *job)
{
    return job->id;
}

enum job_state job_state(const struct job *job)
{
    return job->state;
}

static const char *const state_names[] = {"queued",    "running", "cancelling",
                                          "succeeded", "failed",  "cancelled"};

const char *job_state_name(enum job_state state)
{
    return state_names[state];
}

static enum job_state state_from_name(const char *name)
{
    for (size_t i = 0; i < sizeof state_names / sizeof *state_names; i++)
        if (name && strcmp(name, state_names[i]) == 0)
            return (enum job_state)i;
    return JOB_QUEUED;
}

bool job_state_terminal(enum job_state state)
{
    return state >= JOB_SUCCEEDED;
}

int64_t job_owner_uid(const struct job *job)
{
    return job->uid;
}

int job_attempt(const struct job *job)
{
    return job->attempt;
}

bool job_ending(const struct job *job)
{
    return job->ending;
}

struct job_progress *job_progress_get(struct job *job)
{
    return &job->progress;
}

void job_submit_step(struct job *job, struct step *step)
{
    attempt_submit(job, step);
}

void job_checkpoint(struct job *job, json_t *checkpoint)
{
    attempt_checkpoint(job, checkpoint);
}

void job_hold(struct job *job)
{
    job->open++;
}

void job_release(struct job *job)
{
    attempt_release(job);
}

static void note_phase(struct job *job, const json_t *members)
{
    const char *state = json_get_string(members, "state");
    const char *blob = json_get_string(members, "blob");
    if (state && blob)
        progress_note_phase(job, blob, state);
}

void job_event(struct job *job, const char *type, json_t *members)
{
    if (job->closed || job->engine->stopped) { // nothing comes after job.finished
        json_decref(members);
        return;
    }
    if (strcmp(type, "blob.state") == 0)
        note_phase(job, members);
    feed_append(job, type, members);
}

void job_warning(struct job *job, const char *code, const char *format, ...)
{
    AUTO_FREE char *message = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&message, format, args) < 0)
        message = mem_strdup(format);
    va_end(args);
    job_event(job, "warning", json_pack("{s:s, s:s}", "code", code, "message", message));
}

void job_stats_add(struct job *job, const struct monitor *monitor)
{
    job->stats.bytes_sent += atomic_load(&monitor->bytes_sent);
    job->stats.bytes_received += atomic_load(&monitor->bytes_received);
    job->stats.requests += atomic_load(&monitor->requests);
    job->stats.retries += atomic_load(&monitor->retries);
    if (atomic_load(&monitor->retries))
        metrics_add(METRIC_RETRIES, atomic_load(&monitor->retries), "resumed", NULL, NULL);
    job->stats.tokens += atomic_load(&monitor->tokens);
}

// --- making and ending

struct job *job_new(struct engine *engine, const char *kind)
{
    struct job *job = mem_new(struct job);
    job->engine = engine;
    job->kind = mem_strdup(kind);
    job->ops = engine_kind(engine, kind);
    job->attempt = 1;
    job->uid = -1;
    job->error = ERROR_INIT;
    list_init(&job->waits);
    list_init(&job->link);
    list_init(&job->tasks);
    list_init(&job->busy);
    list_init(&job->total.link);
    list_init(&job->finish_link);
    list_init(&job->ticking);
    list_init(&job->snapshots);
    list_init(&job->log.readers);
    list_init(&job->log.wake_link);
    return job;
}

static json_t *parse_text(const char *text)
{
    return text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL; // our own text: no limits
}

static void read_extra(struct job *job, const char *text)
{
    AUTO_JSON json_t *extra = parse_text(text);
    job->deadline_ms = json_get_int(extra, "deadline_ms", 0);
    job->attached = json_get_bool(extra, "attached", false);
    job->had_auth = json_get_bool(extra, "had_auth", false);
    job->retry_of = mem_strdup_null(json_get_string(extra, "retry_of"));
}

char *job_extra_text(const struct job *job)
{
    AUTO_JSON json_t *extra = json_object();
    if (job->deadline_ms > 0)
        json_object_set_new(extra, "deadline_ms", json_integer(job->deadline_ms));
    if (job->attached)
        json_object_set_new(extra, "attached", json_true());
    if (job->had_auth)
        json_object_set_new(extra, "had_auth", json_true());
    if (job->retry_of)
        json_object_set_new(extra, "retry_of", json_string(job->retry_of));
    return json_text(extra);
}

static void read_outcome(struct job *job, const struct store_job *row)
{
    AUTO_JSON json_t *problem = parse_text(row->error);
    job->result = parse_text(row->result);
    job->checkpoint = parse_text(row->checkpoint);
    if (json_is_object(problem))
        error_from_json(&job->error, problem);
}

struct job *job_from_row(struct engine *engine, const struct store_job *row)
{
    struct job *job = job_new(engine, row->kind);
    snprintf(job->id, sizeof job->id, "%s", row->id);
    job->state = state_from_name(row->state);
    job->attempt = row->attempt;
    job->priority = row->priority;
    job->uid = row->uid;
    job->created_ms = row->created_ms;
    job->started_ms = row->started_ms;
    job->finished_ms = row->finished_ms;
    job->spec_text = mem_strdup_null(row->spec);
    job->labels_text = mem_strdup_null(row->labels);
    read_extra(job, row->extra);
    read_outcome(job, row);
    if (row->sealed_len > 0) {
        job->sealed = mem_dup(row->sealed, row->sealed_len);
        job->sealed_len = row->sealed_len;
    }
    job->log.last_seq = job->log.visible_seq = row->last_seq;
    return job;
}

void job_free(struct job *job)
{
    if (!job)
        return;
    progress_clear(job);
    loop_timer_free(job->timer);
    loop_timer_free(job->backoff);
    loop_timer_free(job->lonely);
    list_remove(&job->link);
    list_remove(&job->finish_link);
    list_remove(&job->ticking);
    list_remove(&job->log.wake_link);
    event_window_fini(&job->log.window);
    json_decref(job->spec);
    json_decref(job->auth);
    json_decref(job->checkpoint);
    json_decref(job->result);
    error_clear(&job->error);
    free(job->spec_text);
    free(job->labels_text);
    free(job->sealed);
    free(job->retry_of);
    free(job->trouble);
    free(job->kind);
    free(job);
}

const json_t *job_spec(struct job *job)
{
    if (!job->spec)
        job->spec = parse_text(job->spec_text);
    return job->spec;
}

void job_spec_drop(struct job *job)
{
    if (job->begun || !list_empty(&job->log.readers))
        return;
    json_decref(job->spec);
    job->spec = NULL;
}

json_t *job_spec_new(const struct job *job)
{
    json_t *spec = job->spec ? json_incref(job->spec) : parse_text(job->spec_text);
    return spec ? spec : json_null();
}

json_t *job_labels_new(const struct job *job)
{
    json_t *labels = parse_text(job->labels_text);
    return labels ? labels : json_object();
}

// --- the shape of the API

json_t *job_error_json(const struct job *job)
{
    if (job->error.code == ERR_NONE)
        return NULL;
    AUTO_FREE char *instance = mem_printf("/v1/jobs/%s", job->id);
    return error_to_json(&job->error, instance, NULL);
}

static void set_time(json_t *json, const char *key, int64_t wall_ms)
{
    char text[CLOCK_TEXT_MAX];
    if (wall_ms > 0)
        clock_format(wall_ms, text);
    json_object_set_new(json, key, wall_ms > 0 ? json_string(text) : json_null());
}

static void set_or_null(json_t *json, const char *key, json_t *take)
{
    json_object_set_new(json, key, take ? take : json_null());
}

static json_t *owner_json(const struct job *job)
{
    return job->uid >= 0 ? json_pack("{s:I}", "uid", (json_int_t)job->uid) : json_pack("{s:n}", "uid");
}

static json_t *links_json(const struct job *job)
{
    AUTO_FREE char *self = mem_printf("/v1/jobs/%s", job->id);
    AUTO_FREE char *events = mem_printf("/v1/jobs/%s/events", job->id);
    return json_pack("{s:s, s:s}", "self", self, "events", events);
}

static json_t *position_json(const struct job *job)
{
    int64_t position = admission_position(job);
    return position > 0 ? json_integer(position) : json_null();
}

static void set_outcome(json_t *json, const struct job *job)
{
    bool terminal = job_state_terminal(job->state);
    set_time(json, "finished_at", terminal ? job->finished_ms : 0);
    set_or_null(json, "result", terminal ? json_incref(job->result) : NULL);
    set_or_null(json, "error", terminal ? job_error_json(job) : NULL);
}

json_t *job_to_json(const struct job *const_job)
{
    struct job *job = (struct job *)const_job; // its meter takes a sample
    json_t *json = json_object();
    json_object_set_new(json, "id", json_string(job->id));
    json_object_set_new(json, "kind", json_string(job->kind));
    json_object_set_new(json, "state", json_string(job_state_name(job->state)));
    json_object_set_new(json, "terminal", json_boolean(job_state_terminal(job->state)));
    json_object_set_new(json, "attempt", json_integer(job->attempt));
    json_object_set_new(json, "priority", json_integer(job->priority));
    json_object_set_new(json, "labels", job_labels_new(job));
    json_object_set_new(json, "owner", owner_json(job));
    set_time(json, "created_at", job->created_ms);
    set_time(json, "started_at", job->started_ms);
    json_object_set_new(json, "queue_position", position_json(job));
    set_or_null(json, "retry_of", job->retry_of ? json_string(job->retry_of) : NULL);
    json_object_set_new(json, "lifetime", json_string(job->attached ? "attached" : "detached"));
    set_or_null(json, "deadline_ms", job->deadline_ms > 0 ? json_integer(job->deadline_ms) : NULL);
    json_object_set_new(json, "spec", job_spec_new(job));
    set_or_null(json, "progress", progress_json(job));
    set_outcome(json, job);
    json_object_set_new(json, "links", links_json(job));
    return json;
}
