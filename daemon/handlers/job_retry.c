// SPDX-License-Identifier: Apache-2.0
//
// POST /v1/jobs/{id}/retry: the spec of a terminal job as a new job. Inline credentials were wiped when the
// first one ended, so a job that had some needs them again: body {"auth": {…}}.
#include "base/mem.h"
#include "handlers/job_submit.h"
#include "handlers/operations.h"
#include "images/images.h"

struct retrying {
    struct answer *answer;
    json_t *auth; // or NULL
    char *id;
};

static void retrying_free(struct retrying *retrying)
{
    json_decref(retrying->auth);
    free(retrying->id);
    free(retrying);
}

static int submit_again(const struct retrying *retrying, const json_t *old, struct error *err)
{
    const json_t *spec = json_object_get(old, "spec");
    struct job_envelope envelope;
    if (json_get_bool(old, "had_auth", false) && !retrying->auth) {
        error_set(err, ERR_AUTH_REQUIRED,
                  "Job %s carried credentials, which are forgotten once a job has ended", retrying->id);
        error_hint(err, "Send them again: {\"auth\": {\"REGISTRY\": {…}}}");
        return -1;
    }
    if (image_job_check(retrying->answer->app->images, spec, err) != 0)
        return -1;
    job_envelope_read(spec, &envelope);
    struct engine_submit submit = {
        .kind = json_get_string(old, "kind"),
        .spec = spec,
        .auth = retrying->auth,
        .labels = json_object_get(old, "labels"),
        .priority = envelope.priority,
        .deadline_ms = envelope.deadline_ms,
        .attached = envelope.attached,
        .retry_of = retrying->id,
    };
    struct request *request = retrying->answer->request;
    struct app *app = retrying->answer->app;
    answer_free(retrying->answer);
    job_submit(request, app, &submit);
    return 0;
}

static void found(void *arg, json_t *old, const struct error *not_found)
{
    struct retrying *retrying = arg;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    if (not_found)
        answer_problem(retrying->answer, not_found);
    else if (!retrying->answer->request)
        answer_free(retrying->answer);
    else if (submit_again(retrying, old, &err) != 0)
        answer_problem(retrying->answer, &err);
    json_decref(old);
    retrying_free(retrying);
}

// The `auth` member of the body, which may be absent. New reference in *ret, or NULL there.
static int read_auth(struct request *request, json_t **ret, struct error *err)
{
    size_t len;
    struct json_reader reader;
    request_body(request, &len);
    if (len == 0)
        return 0;
    const json_t *body = request_json(request, err);
    if (!body)
        return -1;
    json_reader_init(&reader, body, "", err);
    const json_t *auth = json_read_object(&reader, "auth", false);
    if (json_reader_end(&reader) != 0 || (auth && image_auth_check(auth, err) != 0))
        return -1;
    *ret = auth ? json_incref((json_t *)auth) : NULL;
    return 0;
}

void job_retry(struct request *request, void *arg)
{
    struct app *app = arg;
    struct error err = ERROR_INIT;
    json_t *auth = NULL;
    const char *id = answer_job_id(request);
    if (!id)
        return;
    if (read_auth(request, &auth, &err) != 0) {
        answer_refuse(request, &err);
        return;
    }
    struct engine_caller caller = answer_caller(request);
    struct retrying *retrying = mem_new(struct retrying);
    *retrying = (struct retrying){.answer = answer_later(request, app), .auth = auth, .id = mem_strdup(id)};
    engine_retry_spec(app->engine, id, &caller, found, retrying);
}
