// SPDX-License-Identifier: Apache-2.0
//
// GET /v1/jobs/{id}/events: the log of one job, then what happens, until job.finished.
#include "handlers/answer.h"
#include "handlers/event_stream.h"
#include "handlers/operations.h"

void job_events(struct request *request, void *app)
{
    struct error err = ERROR_INIT;
    struct event_stream_form form;
    const char *id = answer_job_id(request);
    if (!id)
        return;
    if (event_stream_form_of_job(request, &form, &err) != 0) {
        answer_refuse(request, &err);
        return;
    }
    form.job = id;
    event_stream_reply(request, app, &form);
}
