// SPDX-License-Identifier: Apache-2.0
//
// GET /v1/jobs/{id}: the job, at once or, with ?wait, when it is terminal or the time is up.
#include <string.h>

#include "base/mem.h"
#include "handlers/answer.h"
#include "handlers/job_text.h"
#include "handlers/job_wait.h"
#include "handlers/operations.h"

static void show(void *arg, json_t *job, const struct error *err)
{
    struct answer *answer = arg;
    if (err || !answer->request || !job_text_wanted(answer->request)) {
        answer_value(answer, job, err);
        return;
    }
    struct request *request = answer->request;
    answer_free(answer);
    AUTO_FREE char *text = job_text_one(job);
    json_decref(job);
    reply_bytes(request, 200, "text/plain; charset=utf-8", text, strlen(text));
}

void job_get(struct request *request, void *arg)
{
    static const char *const allowed[] = {"wait", NULL};
    struct app *app = arg;
    struct error err = ERROR_INIT;
    int64_t wait_s;
    const char *id = answer_job_id(request);
    if (!id)
        return;
    if (request_check_query(request, allowed, &err) != 0 ||
        request_query_int(request, "wait", 0, JOB_WAIT_MAX_S, 0, &wait_s, &err) != 0)
        answer_refuse(request, &err);
    else
        job_wait(answer_later(request, app), id, wait_s * 1000, show);
}
