// SPDX-License-Identifier: Apache-2.0
//
// GET /v1/events: the events of all jobs that the caller may see, on one connection, without end.
#include "handlers/answer.h"
#include "handlers/event_stream.h"
#include "handlers/operations.h"

void event_list(struct request *request, void *app)
{
    struct error err = ERROR_INIT;
    struct event_stream_form form;
    if (event_stream_form_of_all(request, &form, &err) != 0)
        answer_refuse(request, &err);
    else
        event_stream_reply(request, app, &form);
}
