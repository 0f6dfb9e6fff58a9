// SPDX-License-Identifier: Apache-2.0
//
// From a request to a query. What must hold: the step that a gone client cancels is alive, because finished,
// after which the engine frees it, also ends the answer that would cancel it.
#include "handlers/image_ask.h"

#include "handlers/answer.h"

int image_ask_parameters(const struct request *request, struct image_request *ask, const char *const *allowed,
                         struct error *err)
{
    if (request_check_query(request, allowed, err))
        return -1;
    ask->platform = request_query(request, "platform");
    if (!ask->ref)
        ask->ref = request_query(request, "ref");
    if (ask->ref)
        return 0;
    return error_set(err, ERR_INVALID_REQUEST, "the query parameter ref is required: ?ref=registry/name:tag");
}

static void cancel(void *step)
{
    atomic_store(&((struct step *)step)->monitor.cancelled, true);
}

void image_ask(struct request *request, struct app *app, struct image_request *ask,
               const char *const *allowed,
               void (*finished)(void *answer, struct step *step, const struct error *err))
{
    struct error err = ERROR_INIT;
    struct step *query = NULL;
    ask->uid = request_peer(request)->uid;
    if (!image_ask_parameters(request, ask, allowed, &err))
        query = image_query_new(app->images, ask, &err);
    if (!query) {
        answer_refuse(request, &err);
        return;
    }
    struct answer *answer = answer_later(request, app);
    answer_on_gone(answer, cancel, query);
    if (ask->in)
        stream_slots_query(&app->streams, query, finished, answer);
    else
        engine_query(app->engine, query, finished, answer);
}
