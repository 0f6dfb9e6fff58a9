// SPDX-License-Identifier: Apache-2.0
//
// job ▸ struct store_job. The store copies what it is given, so the texts live for one call.
#include "jobs/journal.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/seal.h"
#include "jobs/engine_core.h"
#include "jobs/job_core.h"

static struct secret *secret_of_json(const json_t *value)
{
    char *text = json_text(value);
    struct secret *secret = secret_new(text);
    explicit_bzero(text, strlen(text));
    free(text);
    return secret;
}

int journal_seal(struct job *job, const json_t *auth, struct error *err)
{
    struct secret *text = secret_of_json(auth);
    int result =
        seal_close_text(job->engine->options.seal, job->id, text, &job->sealed, &job->sealed_len, err);
    secret_free(text);
    return result;
}

int journal_unseal(struct job *job, struct error *err)
{
    if (!job->sealed || job->auth)
        return 0;
    CLEANUP(error_clear) struct error why = ERROR_INIT;
    struct secret *text =
        seal_open_text(job->engine->options.seal, job->id, job->sealed, job->sealed_len, &why);
    if (text)
        job->auth = json_loadb(secret_reveal(text), secret_len(text), 0, NULL);
    secret_free(text);
    if (job->auth)
        return 0;
    error_set(err, ERR_AUTH_REQUIRED, "the credentials that came with the job cannot be opened any more: %s",
              why.detail ? why.detail : "they are damaged");
    error_hint(err, "Submit the job again with its credentials.");
    return -1;
}

struct texts {
    char *result, *error, *checkpoint;
};

static void texts_fini(struct texts *texts)
{
    free(texts->result);
    free(texts->error);
    free(texts->checkpoint);
}

static char *text_or_null(json_t *take)
{
    char *text = take ? json_text(take) : NULL;
    json_decref(take);
    return text;
}

static struct store_job row_of(const struct job *job, enum job_state state)
{
    return (struct store_job){
        .id = job->id,
        .kind = job->kind,
        .state = job_state_name(state),
        .attempt = job->attempt,
        .priority = job->priority,
        .created_ms = job->created_ms,
        .started_ms = job->started_ms,
        .finished_ms = job->finished_ms,
        .uid = job->uid,
        .last_seq = job->log.last_seq,
    };
}

void journal_insert(struct job *job, const char *key, const char *fingerprint, store_done_fn done, void *arg)
{
    struct store_job row = row_of(job, JOB_QUEUED);
    AUTO_FREE char *extra = job_extra_text(job);
    row.spec = job->spec_text;
    row.labels = job->labels_text;
    row.extra = extra;
    row.sealed = job->sealed;
    row.sealed_len = job->sealed_len;
    store_job_insert(job->engine->store, &row, key, fingerprint, done, arg);
}

static void on_updated(void *arg, const struct error *err)
{
    (void)arg;
    if (err)
        log_warning("the state of a job could not be journalled: %s", err->detail);
}

void journal_update(struct job *job, store_done_fn done, void *arg)
{
    CLEANUP(texts_fini) struct texts texts = {0};
    struct store_job row = row_of(job, job->state);
    texts.error = text_or_null(job_error_json(job));
    texts.checkpoint = job->checkpoint ? json_text(job->checkpoint) : NULL;
    row.error = texts.error;
    row.checkpoint = texts.checkpoint;
    store_job_update(job->engine->store, &row, false, done ? done : on_updated, arg);
}

void journal_finish(struct job *job, store_done_fn done, void *arg)
{
    CLEANUP(texts_fini) struct texts texts = {0};
    struct store_job row = row_of(job, job->outcome);
    texts.error = text_or_null(job_error_json(job));
    texts.result = job->result ? json_text(job->result) : NULL;
    row.error = texts.error;
    row.result = texts.result;
    store_job_update(job->engine->store, &row, true, done, arg);
}
