// SPDX-License-Identifier: Apache-2.0
//
// What most handlers share: who asks, and answers that come later while the client may be gone meanwhile.
// Loop only.
#pragma once

#include "handlers/app.h"
#include "http/reply.h"

struct engine_caller answer_caller(const struct request *request);

// A request whose answer comes from a callback. The callback ends it with one of the calls below, which reply
// if the client is still there; then it is freed.
struct answer {
    struct request *request; // NULL: the client left
    struct app *app;
    void *gone_arg;
    void (*gone)(void *arg);
};
struct answer *answer_later(struct request *request, struct app *app);
// Also calls gone(arg) if the client leaves, before the answer is there.
void answer_on_gone(struct answer *answer, void (*gone)(void *arg), void *arg);
void answer_free(struct answer *answer);
void answer_json(struct answer *answer, int status, json_t *take);
void answer_problem(struct answer *answer, const struct error *err);
// The reply to a HEAD: as of a GET whose body has `size` bytes (-1: not known).
void answer_head(struct request *request, const char *content_type, int64_t size);
// The callback of engine_get and its like: 200 with the value, or the problem.
void answer_value(void *answer, json_t *take, const struct error *err);

// Replies with the problem and clears it; for `return answer_refuse(request, &err);`.
void answer_refuse(struct request *request, struct error *err);
// The {id} of a route, or NULL after a 404 was sent: what is not an id names no job.
const char *answer_job_id(struct request *request);
// Refuses query parameters; true if there are none.
bool answer_no_query(struct request *request);
// For routes whose JSON body may be left out: 0 if there is none or it is {}.
int answer_empty_body(struct request *request, struct error *err);
// "Location: /v1/jobs/{id}".
void answer_location(struct request *request, const char *id);
