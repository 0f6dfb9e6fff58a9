// SPDX-License-Identifier: Apache-2.0
//
// PUT and DELETE of /v1/images/manifest, DELETE of blob, POST of mount and blob, PUT of /v1/contexts: queries
// that change something. Large bodies are read by the worker from the request's pipe while they arrive.
#include "base/mem.h"
#include "handlers/answer.h"
#include "handlers/image_ask.h"
#include "handlers/operations.h"

// The answer's request, or NULL after everything was said and freed.
static struct request *take_request(struct answer *answer, const struct error *err)
{
    struct request *request = answer->request;
    if (err) {
        answer_problem(answer, err);
        return NULL;
    }
    answer_free(answer);
    return request;
}

static void created(void *arg, struct step *step, const struct error *err)
{
    struct request *request = take_request(arg, err);
    if (!request)
        return;
    const struct image_answer *found = image_query_answer(step);
    reply_header(request, "Docker-Content-Digest", found->digest.text);
    reply_json(request, 201, json_pack("{s:s}", "digest", found->digest.text));
}

static void uploaded(void *arg, struct step *step, const struct error *err)
{
    struct request *request = take_request(arg, err);
    if (!request)
        return;
    const struct image_answer *found = image_query_answer(step);
    reply_header(request, "Docker-Content-Digest", found->digest.text);
    reply_json(request, 201,
               json_pack("{s:s, s:I}", "digest", found->digest.text, "size", (json_int_t)found->size));
}

static void context_taken(void *arg, struct step *step, const struct error *err)
{
    struct request *request = take_request(arg, err);
    if (!request)
        return;
    const struct image_answer *found = image_query_answer(step);
    reply_json(request, found->created ? 201 : 200,
               json_pack("{s:s, s:I}", "digest", found->digest.text, "size", (json_int_t)found->size));
}

static void accepted(void *arg, struct step *step, const struct error *err)
{
    struct request *request = take_request(arg, err);
    (void)step;
    if (request)
        reply_empty(request, 202);
}

void image_manifest_put(struct request *request, void *app)
{
    static const char *const allowed[] = {"ref", NULL};
    struct image_request ask = {.kind = IMAGE_QUERY_MANIFEST_PUT,
                                .media_type = request_header(request, "Content-Type")};
    ask.bytes = request_body(request, &ask.len);
    image_ask(request, app, &ask, allowed, created);
}

void image_manifest_delete(struct request *request, void *app)
{
    static const char *const allowed[] = {"ref", NULL};
    image_ask(request, app, &(struct image_request){.kind = IMAGE_QUERY_MANIFEST_DELETE}, allowed, accepted);
}

void image_blob_delete(struct request *request, void *app)
{
    static const char *const allowed[] = {"ref", NULL};
    image_ask(request, app, &(struct image_request){.kind = IMAGE_QUERY_BLOB_DELETE}, allowed, accepted);
}

void image_mount(struct request *request, void *app)
{
    static const char *const allowed[] = {"ref", "from", NULL};
    struct error err = ERROR_INIT;
    struct image_request ask = {.kind = IMAGE_QUERY_BLOB_MOUNT, .from = request_query(request, "from")};
    if (ask.from) {
        image_ask(request, app, &ask, allowed, created);
        return;
    }
    error_set(&err, ERR_INVALID_REQUEST,
              "the query parameter from is required: the repository that has the blob");
    answer_refuse(request, &err);
}

static void ask_with_body(struct request *request, struct app *app, struct image_request *ask,
                          const char *const *allowed,
                          void (*finished)(void *answer, struct step *step, const struct error *err))
{
    ask->in = request_body_pipe(request);
    ask->in_bytes = request_content_length(request);
    image_ask(request, app, ask, allowed, finished);
    pipe_unref(ask->in);
}

void image_blob_post(struct request *request, void *app)
{
    static const char *const allowed[] = {"ref", NULL};
    ask_with_body(request, app, &(struct image_request){.kind = IMAGE_QUERY_BLOB_PUT}, allowed, uploaded);
}

void context_put(struct request *request, void *arg)
{
    static const char *const allowed[] = {NULL};
    struct app *app = arg;
    struct image_request ask = {.kind = IMAGE_QUERY_CONTEXT_PUT,
                                .ref = request_param(request, "digest"),
                                .in_bytes_max = app->context_bytes_max};
    ask_with_body(request, app, &ask, allowed, context_taken);
}
