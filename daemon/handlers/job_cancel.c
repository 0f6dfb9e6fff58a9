// SPDX-License-Identifier: Apache-2.0
//
// POST /v1/jobs/{id}/cancel: 202 when it begins, 200 with the job if that is terminal already.
#include "handlers/answer.h"
#include "handlers/operations.h"

static void cancelled(void *arg, json_t *job, bool began, const struct error *err)
{
    if (err)
        answer_problem(arg, err);
    else
        answer_json(arg, began ? 202 : 200, job);
}

void job_cancel(struct request *request, void *arg)
{
    struct app *app = arg;
    struct error err = ERROR_INIT;
    const char *id = answer_job_id(request);
    if (!id || !answer_no_query(request))
        return;
    if (answer_empty_body(request, &err) != 0) {
        answer_refuse(request, &err);
        return;
    }
    struct engine_caller caller = answer_caller(request);
    engine_cancel(app->engine, id, &caller, cancelled, answer_later(request, app));
}
