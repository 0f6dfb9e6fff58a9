// SPDX-License-Identifier: Apache-2.0
//
// Called by job_create and job_retry once the body was judged. The engine calls back when the job is durable;
// by then the client may be gone, and the job lives on all the same.
#include "handlers/job_submit.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "handlers/event_stream.h"
#include "handlers/job_wait.h"

struct submission {
    struct answer *answer;
    int64_t wait_s;
    struct event_stream_form form; // kind RENDER_NONE: the job itself is wanted
};

void job_envelope_read(const json_t *spec, struct job_envelope *ret)
{
    const char *lifetime = json_get_string(spec, "lifetime");
    *ret = (struct job_envelope){
        .labels = json_object_get(spec, "labels"),
        .priority = (int)json_get_int(spec, "priority", 0),
        .deadline_ms = json_get_int(spec, "deadline_ms", 0),
        .attached = lifetime && strcmp(lifetime, "attached") == 0,
    };
}

static void waited(void *arg, json_t *job, const struct error *err)
{
    if (err)
        answer_problem(arg, err);
    else
        answer_json(arg, json_get_bool(job, "terminal", false) ? 200 : 202, job);
}

static void accepted(struct submission *submission, struct job *job, bool replayed)
{
    struct answer *answer = submission->answer;
    struct request *request = answer->request;
    struct app *app = answer->app;
    log_write(LOG_LEVEL_INFO, job_id(job), request_id(request), replayed ? "job asked for again" : "job accepted");
    answer_location(request, job_id(job));
    if (replayed)
        reply_header(request, "Idempotency-Replayed", "true");
    if (submission->form.kind != RENDER_NONE) {
        answer_free(answer);
        submission->form.job = job_id(job);
        event_stream_reply(request, app, &submission->form);
    } else if (submission->wait_s > 0) {
        AUTO_FREE char *applied = mem_printf("wait=%lld", (long long)submission->wait_s);
        reply_header(request, "Preference-Applied", applied);
        job_wait(answer, job_id(job), submission->wait_s * 1000, waited);
    } else {
        answer_json(answer, 202, job_to_json(job));
    }
}

static void submitted(void *arg, struct job *job, bool replayed, const struct error *err)
{
    struct submission *submission = arg;
    if (err)
        answer_problem(submission->answer, err);
    else if (submission->answer->request)
        accepted(submission, job, replayed);
    else
        answer_free(submission->answer);
    free(submission);
}

void job_submit(struct request *request, struct app *app, struct engine_submit *submit)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct submission *submission = mem_new(struct submission);
    if (event_stream_form_of_submit(request, &submission->form, &err) != 0) {
        free(submission);
        reply_problem(request, &err);
        return;
    }
    submission->wait_s = job_wait_preferred_s(request);
    submission->answer = answer_later(request, app);
    submit->caller = answer_caller(request);
    engine_submit(app->engine, submit, submitted, submission);
}
