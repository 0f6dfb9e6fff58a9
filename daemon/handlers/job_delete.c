// SPDX-License-Identifier: Apache-2.0
//
// DELETE /v1/jobs/{id}: forgets a terminal job.
#include "handlers/answer.h"
#include "handlers/operations.h"

static void forgotten(void *arg, const struct error *err)
{
    struct answer *answer = arg;
    struct request *request = answer->request;
    if (err) {
        answer_problem(answer, err);
        return;
    }
    answer_free(answer);
    if (request)
        reply_empty(request, 204);
}

void job_delete(struct request *request, void *arg)
{
    struct app *app = arg;
    const char *id = answer_job_id(request);
    if (!id || !answer_no_query(request))
        return;
    struct engine_caller caller = answer_caller(request);
    engine_forget(app->engine, id, &caller, forgotten, answer_later(request, app));
}
