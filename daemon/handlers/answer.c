// SPDX-License-Identifier: Apache-2.0
//
// Answers that come later. What must hold: the engine calls back exactly once, so a struct answer is freed
// exactly once, whether or not somebody is left to hear it.
#include "handlers/answer.h"

#include "base/id.h"
#include "base/mem.h"
#include "base/str.h"

struct engine_caller answer_caller(const struct request *request)
{
    const struct request_peer *peer = request_peer(request);
    return (struct engine_caller){.uid = peer->uid, .admin = peer->right == RIGHT_ADMIN};
}

static void client_gone(void *arg)
{
    struct answer *answer = arg;
    answer->request = NULL;
    if (answer->gone)
        answer->gone(answer->gone_arg);
}

struct answer *answer_later(struct request *request, struct app *app)
{
    struct answer *answer = mem_new(struct answer);
    answer->request = request;
    answer->app = app;
    request_on_gone(request, client_gone, answer);
    return answer;
}

void answer_on_gone(struct answer *answer, void (*gone)(void *arg), void *arg)
{
    answer->gone = gone;
    answer->gone_arg = arg;
}

void answer_free(struct answer *answer)
{
    if (answer->request)
        request_on_gone(answer->request, NULL, NULL);
    free(answer);
}

void answer_json(struct answer *answer, int status, json_t *take)
{
    struct request *request = answer->request;
    answer_free(answer);
    if (request)
        reply_json(request, status, take);
    else
        json_decref(take);
}

void answer_problem(struct answer *answer, const struct error *err)
{
    struct request *request = answer->request;
    answer_free(answer);
    if (request)
        reply_problem(request, err);
}

static ssize_t read_nothing(void *arg, char *buffer, size_t max)
{
    (void)arg, (void)buffer, (void)max;
    return -1;
}

static void close_nothing(void *arg)
{
    (void)arg;
}

void answer_head(struct request *request, const char *content_type, int64_t size)
{
    static const struct stream_ops ops = {.read = read_nothing, .close = close_nothing};
    reply_stream(request, 200, content_type, size, &ops, NULL);
}

void answer_value(void *answer, json_t *take, const struct error *err)
{
    if (err)
        answer_problem(answer, err);
    else
        answer_json(answer, 200, take);
}

void answer_refuse(struct request *request, struct error *err)
{
    reply_problem(request, err);
    error_clear(err);
}

const char *answer_job_id(struct request *request)
{
    const char *id = request_param(request, "id");
    if (id_valid(id))
        return id;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    AUTO_FREE char *quoted = str_quote(id, 40);
    error_set(&err, ERR_NOT_FOUND, "There is no job %s", quoted);
    reply_problem(request, &err);
    return NULL;
}

bool answer_no_query(struct request *request)
{
    static const char *const none[] = {NULL};
    struct error err = ERROR_INIT;
    if (request_check_query(request, none, &err) == 0)
        return true;
    answer_refuse(request, &err);
    return false;
}

int answer_empty_body(struct request *request, struct error *err)
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
    return json_reader_end(&reader);
}

void answer_location(struct request *request, const char *id)
{
    AUTO_FREE char *location = mem_printf("/v1/jobs/%s", id);
    reply_header(request, "Location", location);
}
