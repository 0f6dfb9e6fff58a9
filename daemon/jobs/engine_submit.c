// SPDX-License-Identifier: Apache-2.0
//
// From a request to a durable job. The answer waits for the commit of job and key; nothing is kept when that
// fails.
//
// A key is claimed when its first request arrives, before the store was asked: whoever comes with the same
// key until the answer is there waits for that same answer. After the commit the store knows the key.
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "jobs/admission.h"
#include "jobs/attempt.h"
#include "jobs/engine_core.h"
#include "jobs/feed.h"
#include "jobs/job_core.h"
#include "jobs/journal.h"

enum { KEY_AGE_MS = 24 * 3600 * 1000 };

struct waiter {
    struct list link;
    engine_job_fn done;
    void *arg;
};

struct submission {
    struct engine *engine;
    struct job *job; // made from the request; NULL once it is accepted or dropped
    char *key;       // with the caller before it; NULL: none
    char *fingerprint;
    struct list waiters; // the first one made it
    char *known;         // id that the key was used with
    bool found;
};

static void add_waiter(struct submission *submission, engine_job_fn done, void *arg)
{
    struct waiter *waiter = mem_new(struct waiter);
    waiter->done = done;
    waiter->arg = arg;
    list_append(&submission->waiters, &waiter->link);
}

// Answers everybody and ends the submission. first_replayed: the job is older than all of them.
static void answer(struct submission *submission, struct job *job, bool first_replayed,
                   const struct error *err)
{
    struct engine *engine = submission->engine;
    bool replayed = first_replayed;
    if (submission->key)
        table_take(engine->keys, submission->key);
    engine->n_submitting--;
    for (struct list *link; (link = list_take_first(&submission->waiters)) != NULL;) {
        struct waiter *waiter = container_of(link, struct waiter, link);
        waiter->done(waiter->arg, job, job && replayed, err);
        replayed = true;
        free(waiter);
    }
    job_free(submission->job);
    free(submission->key);
    free(submission->fingerprint);
    free(submission->known);
    free(submission);
    engine_drain_check(engine);
}

static int mismatch(struct error *err)
{
    error_set(err, ERR_IDEMPOTENCY, "the idempotency key was used before with another body");
    error_hint(err, "Use a new key for a new job.");
    return -1;
}

// --- a new job

static void accept(struct job *job)
{
    table_put(job->engine->jobs, job->id, job);
    admission_add(job);
    feed_append(job, "job.queued", json_pack("{s:I}", "position", (json_int_t)admission_position(job)));
    attempt_watch(job);
}

static void on_inserted(void *arg, const struct error *err)
{
    struct submission *submission = arg;
    struct job *job = submission->job;
    if (err) {
        engine_job_close(submission->engine, job);
        answer(submission, NULL, false, err);
        return;
    }
    submission->job = NULL;
    accept(job);
    answer(submission, job, false, NULL);
}

static int check_open(const struct engine *engine, struct error *err)
{
    if (!engine->draining && engine->started)
        return 0;
    error_set(err, ERR_DRAINING, "the daemon is shutting down and takes no new jobs");
    err->retry_after_ms = 1000;
    return -1;
}

static void insert(struct submission *submission)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct job *job = submission->job;
    if (check_open(submission->engine, &err) < 0 ||
        engine_job_open(submission->engine, job, true, &err) < 0) {
        answer(submission, NULL, false, &err);
        return;
    }
    journal_insert(job, submission->key, submission->fingerprint, on_inserted, submission);
}

// --- a known key

static void on_known_row(void *arg, const struct store_job *row, const struct error *err)
{
    struct submission *submission = arg;
    if (row) {
        struct job *job = job_from_row(submission->engine, row);
        job_free(submission->job);
        submission->job = job;
        submission->found = true;
        return;
    }
    if (err)
        answer(submission, NULL, false, err);
    else if (submission->found)
        answer(submission, submission->job, true, NULL);
    else
        insert(submission); // the job was forgotten, and the key with it
}

static void replay(struct submission *submission)
{
    struct job *job = engine_find(submission->engine, submission->known);
    if (job)
        answer(submission, job, true, NULL);
    else
        store_job_find(submission->engine->store, submission->known, on_known_row, submission);
}

static void on_old_keys_gone(void *arg, const struct error *err)
{
    struct submission *submission = arg;
    if (err)
        answer(submission, NULL, false, err);
    else
        insert(submission);
}

// The key may be used for a new job after a day; retention may not have been there yet.
static void drop_old_keys(struct submission *submission)
{
    store_prune(submission->engine->store, &(struct store_retention){.keys_age_ms = KEY_AGE_MS},
                on_old_keys_gone, submission);
}

static void on_key(void *arg, const char *text, const struct error *err)
{
    struct submission *submission = arg;
    CLEANUP(error_clear) struct error fault = ERROR_INIT;
    AUTO_JSON json_t *record = text ? json_loads(text, 0, NULL) : NULL;
    const char *known = json_get_string(record, "job");
    int64_t since = json_get_int(record, "created_ms", 0);
    if (err) {
        answer(submission, NULL, false, err);
    } else if (!known) {
        insert(submission);
    } else if (clock_wall_ms() - since > KEY_AGE_MS) {
        drop_old_keys(submission);
    } else if (!str_equal(json_get_string(record, "fingerprint"), submission->fingerprint)) {
        mismatch(&fault);
        answer(submission, NULL, false, &fault);
    } else {
        submission->known = mem_strdup(known);
        replay(submission);
    }
}

// --- the request

static int priority_of(const struct engine_submit *submit)
{
    if (submit->priority > ENGINE_PRIORITY_MAX)
        return ENGINE_PRIORITY_MAX;
    return submit->priority < -ENGINE_PRIORITY_MAX ? -ENGINE_PRIORITY_MAX : submit->priority;
}

static struct job *make_job(struct engine *engine, const struct engine_submit *submit, struct error *err)
{
    if (!engine_kind(engine, submit->kind)) {
        error_set_pointer(err, ERR_INVALID_REQUEST, "/kind", "there is no such kind of job");
        return NULL;
    }
    struct job *job = job_new(engine, submit->kind);
    id_new(job->id);
    job->created_ms = clock_wall_ms();
    job->uid = submit->caller.uid;
    job->spec_text = json_text(submit->spec);
    job->labels_text = json_is_object(submit->labels) ? json_text(submit->labels) : NULL;
    job->priority = priority_of(submit);
    job->deadline_ms = submit->deadline_ms;
    job->attached = submit->attached;
    job->retry_of = mem_strdup_null(submit->retry_of);
    job->had_auth = submit->auth != NULL;
    if (!submit->auth || journal_seal(job, submit->auth, err) == 0)
        return job;
    job_free(job);
    return NULL;
}

// Joins a request with the same key that is on its way. False: there is none.
static bool join_known(struct engine *engine, const char *key, const char *fingerprint, engine_job_fn done,
                       void *arg)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct submission *submission = table_find(engine->keys, key);
    if (!submission)
        return false;
    if (str_equal(submission->fingerprint, fingerprint)) {
        add_waiter(submission, done, arg);
    } else {
        mismatch(&err);
        done(arg, NULL, false, &err);
    }
    return true;
}

static void start(struct engine *engine, struct job *job, const char *key, const char *fingerprint,
                  engine_job_fn done, void *arg)
{
    struct submission *submission = mem_new(struct submission);
    submission->engine = engine;
    submission->job = job;
    submission->key = mem_strdup_null(key);
    submission->fingerprint = mem_strdup_null(fingerprint);
    list_init(&submission->waiters);
    add_waiter(submission, done, arg);
    engine->n_submitting++;
    if (!key) {
        insert(submission);
        return;
    }
    table_put(engine->keys, submission->key, submission);
    store_key_find(engine->store, submission->key, on_key, submission);
}

void engine_submit(struct engine *engine, const struct engine_submit *submit, engine_job_fn done, void *arg)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    AUTO_FREE char *key = NULL;
    if (submit->idempotency_key)
        key = mem_printf("%lld/%s", (long long)submit->caller.uid, submit->idempotency_key);
    if (key && join_known(engine, key, submit->fingerprint, done, arg))
        return;
    struct job *job = make_job(engine, submit, &err);
    if (job)
        start(engine, job, key, submit->fingerprint, done, arg);
    else
        done(arg, NULL, false, &err);
}
