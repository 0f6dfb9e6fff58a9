// SPDX-License-Identifier: Apache-2.0
//
// GET and HEAD of /v1/images/inspect, /manifest, /config and /tags: queries that read. The reference stands
// in ?ref= because names contain slashes.
#include "base/mem.h"
#include "base/str.h"
#include "handlers/answer.h"
#include "handlers/operations.h"
#include "images/image_query.h"

static void finished(void *arg, struct step *step, const struct error *err)
{
    struct answer *answer = arg;
    if (err || !answer->request) {
        answer_value(answer, NULL, err);
        return;
    }
    const struct image_answer *found = image_query_answer(step);
    if (found->value) {
        answer_value(answer, json_incref(found->value), NULL);
        return;
    }
    struct request *request = answer->request;
    answer_free(answer);
    reply_header(request, "Docker-Content-Digest", found->digest.text);
    reply_bytes(request, 200, found->media_type, found->bytes, found->len);
}

static void ask(struct request *request, struct app *app, enum image_query_kind kind)
{
    static const char *const allowed[] = {"ref", "platform", NULL};
    struct error err = ERROR_INIT;
    const char *ref = request_query(request, "ref");
    struct step *query = NULL;
    if (!request_check_query(request, allowed, &err)) {
        if (ref)
            query = image_query_new(app->images, kind, ref, request_query(request, "platform"), &err);
        else
            error_set(&err, ERR_INVALID_REQUEST,
                      "the query parameter ref is required: ?ref=registry/name:tag");
    }
    if (query)
        engine_query(app->engine, query, finished, answer_later(request, app));
    else
        answer_refuse(request, &err);
}

void image_inspect(struct request *request, void *app)
{
    ask(request, app, IMAGE_QUERY_INSPECT);
}

void image_manifest_get(struct request *request, void *app)
{
    ask(request, app, IMAGE_QUERY_MANIFEST);
}

void image_config_get(struct request *request, void *app)
{
    ask(request, app, IMAGE_QUERY_CONFIG);
}

void image_tags(struct request *request, void *app)
{
    ask(request, app, IMAGE_QUERY_TAGS);
}
