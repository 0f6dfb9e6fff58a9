// SPDX-License-Identifier: Apache-2.0
//
// What is asked about jobs: one, many, or the spec to submit again. Jobs in memory are newer than their rows;
// the others are read from the store. A job of somebody else is not found, so that its existence is not told.
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "jobs/engine_core.h"
#include "jobs/feed.h"
#include "jobs/job_core.h"

enum { LIST_BYTES_MAX = 4 << 20 };

typedef json_t *(*render_fn)(struct job *job, struct error *err);

struct lookup {
    struct engine *engine;
    char *id;
    struct engine_caller caller;
    render_fn render;
    engine_json_fn done;
    void *arg;
    struct job *job; // from the row
};

static json_t *render_job(struct job *job, struct error *err)
{
    (void)err;
    return job_to_json(job);
}

static json_t *render_retry(struct job *job, struct error *err)
{
    if (!job_state_terminal(job->state)) {
        error_set(err, ERR_CONFLICT, "job %s is %s; only a finished job can be run again", job->id,
                  job_state_name(job->state));
        return NULL;
    }
    return json_pack("{s:s, s:o, s:o, s:i, s:b}", "kind", job->kind, "spec", job_spec_new(job), "labels",
                     job_labels_new(job), "priority", job->priority, "had_auth", job->had_auth);
}

static void tell(render_fn render, struct job *job, engine_json_fn done, void *arg)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    json_t *value = render(job, &err);
    done(arg, value, value ? NULL : &err);
}

static void tell_not_found(const char *id, engine_json_fn done, void *arg)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    engine_error_not_found(&err, id);
    done(arg, NULL, &err);
}

static void on_row(void *arg, const struct store_job *row, const struct error *err)
{
    struct lookup *lookup = arg;
    if (row) {
        job_free(lookup->job);
        lookup->job = job_from_row(lookup->engine, row);
        return;
    }
    if (err)
        lookup->done(lookup->arg, NULL, err);
    else if (lookup->job && engine_may_see(&lookup->caller, lookup->job->uid))
        tell(lookup->render, lookup->job, lookup->done, lookup->arg);
    else
        tell_not_found(lookup->id, lookup->done, lookup->arg);
    job_free(lookup->job);
    free(lookup->id);
    free(lookup);
}

static void look_up(struct engine *engine, const char *id, const struct engine_caller *caller,
                    render_fn render, engine_json_fn done, void *arg)
{
    struct job *job = engine_find(engine, id);
    if (job && engine_may_see(caller, job->uid)) {
        tell(render, job, done, arg);
        return;
    }
    if (job || !id_valid(id)) {
        tell_not_found(id, done, arg);
        return;
    }
    struct lookup *lookup = mem_new(struct lookup);
    *lookup = (struct lookup){.engine = engine,
                              .id = mem_strdup(id),
                              .caller = *caller,
                              .render = render,
                              .done = done,
                              .arg = arg};
    store_job_find(engine->store, id, on_row, lookup);
}

void engine_get(struct engine *engine, const char *id, const struct engine_caller *caller,
                engine_json_fn done, void *arg)
{
    look_up(engine, id, caller, render_job, done, arg);
}

void engine_retry_spec(struct engine *engine, const char *id, const struct engine_caller *caller,
                       engine_json_fn done, void *arg)
{
    look_up(engine, id, caller, render_retry, done, arg);
}

// --- lists

struct listing {
    struct engine *engine;
    struct engine_caller caller;
    int limit;
    char *state;
    char cursor[24]; // where /v1/events goes on; taken before the store looks, so nothing is missed
    json_t *items;
    char last[ID_LEN + 1]; // of the rows looked at
    int rows;
    size_t bytes;
    bool full;
    engine_json_fn done;
    void *arg;
};

// The row may be older than the job in memory, and be listed under a state that has passed.
static bool still_matches(const struct listing *listing, const struct job *job)
{
    return !listing->state || strcmp(listing->state, job_state_name(job->state)) == 0;
}

static void add_item(struct listing *listing, const struct store_job *row)
{
    struct job *job = engine_find(listing->engine, row->id);
    if (job) {
        if (still_matches(listing, job))
            json_array_append_new(listing->items, job_to_json(job));
        return;
    }
    job = job_from_row(listing->engine, row);
    json_array_append_new(listing->items, job_to_json(job));
    job_free(job);
}

static size_t row_bytes(const struct store_job *row)
{
    return (row->spec ? strlen(row->spec) : 0) + (row->result ? strlen(row->result) : 0) +
           (row->error ? strlen(row->error) : 0) + 512;
}

static void end_list(struct listing *listing, const struct error *err)
{
    bool more = listing->full || listing->rows == listing->limit;
    json_t *list = NULL;
    if (!err)
        list = json_pack("{s:O, s:s?, s:s}", "items", listing->items, "next", more ? listing->last : NULL,
                         "cursor", listing->cursor);
    listing->done(listing->arg, list, err);
    json_decref(listing->items);
    free(listing->state);
    free(listing);
}

static void on_list_row(void *arg, const struct store_job *row, const struct error *err)
{
    struct listing *listing = arg;
    if (!row) {
        end_list(listing, err);
        return;
    }
    listing->bytes += row_bytes(row);
    if (listing->full || (listing->bytes > LIST_BYTES_MAX && listing->rows > 0)) {
        listing->full = true;
        return;
    }
    listing->rows++;
    snprintf(listing->last, sizeof listing->last, "%s", row->id);
    if (engine_may_see(&listing->caller, row->uid))
        add_item(listing, row);
}

void engine_list(struct engine *engine, const struct engine_list *filter, engine_json_fn done, void *arg)
{
    struct listing *listing = mem_new(struct listing);
    listing->engine = engine;
    listing->caller = filter->caller;
    listing->limit = filter->limit < 1 ? 1 : filter->limit > 1000 ? 1000 : filter->limit;
    listing->state = mem_strdup_null(filter->state);
    listing->items = json_array();
    listing->done = done;
    listing->arg = arg;
    snprintf(listing->cursor, sizeof listing->cursor, "%lld", (long long)feed_visible_cursor(engine->feed));
    struct store_job_filter wanted = {
        .state = filter->state,
        .kind = filter->kind,
        .label_key = filter->label_key,
        .label_value = filter->label_value,
        .before = filter->cursor,
        .uid = filter->caller.admin ? -1 : filter->caller.uid,
        .limit = listing->limit,
    };
    store_job_list(engine->store, &wanted, on_list_row, listing);
}
