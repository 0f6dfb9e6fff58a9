// SPDX-License-Identifier: Apache-2.0
//
// GET and HEAD of /v1/images/… with answers that fit into memory, GET /v1/catalog, POST
// /v1/credentials/check: queries that read. The reference stands in ?ref= because names contain slashes.
#include "base/mem.h"
#include "base/str.h"
#include "handlers/answer.h"
#include "handlers/image_ask.h"
#include "handlers/operations.h"

static void reply_found(struct request *request, const struct image_answer *found)
{
    reply_header(request, "Docker-Content-Digest", found->digest.text);
    reply_bytes(request, 200, found->media_type, found->bytes, found->len);
}

static void reply_head(struct request *request, const struct image_answer *found)
{
    reply_header(request, "Docker-Content-Digest", found->digest.text);
    answer_head(request, found->media_type ? found->media_type : "application/octet-stream", found->size);
}

static void finished(void *arg, struct step *step, const struct error *err)
{
    struct answer *answer = arg;
    if (err || !answer->request) {
        answer_value(answer, NULL, err);
        return;
    }
    const struct image_answer *found = image_query_answer(step);
    struct request *request = answer->request;
    answer_free(answer);
    if (str_equal(request_method(request), "HEAD"))
        reply_head(request, found);
    else if (found->value)
        reply_json(request, 200, json_incref(found->value));
    else
        reply_found(request, found);
}

void image_inspect(struct request *request, void *app)
{
    static const char *const allowed[] = {"ref", "platform", NULL};
    image_ask(request, app, &(struct image_request){.kind = IMAGE_QUERY_INSPECT}, allowed, finished);
}

void image_manifest_get(struct request *request, void *app)
{
    static const char *const allowed[] = {"ref", "platform", NULL};
    image_ask(request, app, &(struct image_request){.kind = IMAGE_QUERY_MANIFEST}, allowed, finished);
}

void image_manifest_head(struct request *request, void *app)
{
    static const char *const allowed[] = {"ref", "platform", NULL};
    image_ask(request, app, &(struct image_request){.kind = IMAGE_QUERY_MANIFEST_HEAD}, allowed, finished);
}

void image_config_get(struct request *request, void *app)
{
    static const char *const allowed[] = {"ref", "platform", NULL};
    image_ask(request, app, &(struct image_request){.kind = IMAGE_QUERY_CONFIG}, allowed, finished);
}

void image_tags(struct request *request, void *app)
{
    static const char *const allowed[] = {"ref", NULL};
    image_ask(request, app, &(struct image_request){.kind = IMAGE_QUERY_TAGS}, allowed, finished);
}

void image_referrers(struct request *request, void *app)
{
    static const char *const allowed[] = {"ref", "artifact_type", NULL};
    struct image_request ask = {.kind = IMAGE_QUERY_REFERRERS,
                                .artifact_type = request_query(request, "artifact_type")};
    image_ask(request, app, &ask, allowed, finished);
}

void image_blob_head(struct request *request, void *app)
{
    static const char *const allowed[] = {"ref", NULL};
    image_ask(request, app, &(struct image_request){.kind = IMAGE_QUERY_BLOB_HEAD}, allowed, finished);
}

void context_head(struct request *request, void *app)
{
    static const char *const allowed[] = {NULL};
    struct image_request ask = {.kind = IMAGE_QUERY_CONTEXT_HEAD, .ref = request_param(request, "digest")};
    image_ask(request, app, &ask, allowed, finished);
}

void catalog_get(struct request *request, void *app)
{
    static const char *const allowed[] = {"registry", NULL};
    struct error err = ERROR_INIT;
    struct image_request ask = {.kind = IMAGE_QUERY_CATALOG, .ref = request_query(request, "registry")};
    if (ask.ref) {
        image_ask(request, app, &ask, allowed, finished);
        return;
    }
    error_set(&err, ERR_INVALID_REQUEST,
              "the query parameter registry is required: ?registry=reg.example.com");
    answer_refuse(request, &err);
}

void credential_check(struct request *request, void *app)
{
    static const char *const allowed[] = {NULL};
    struct error err = ERROR_INIT;
    struct json_reader reader;
    const json_t *body = request_json(request, &err);
    if (body) {
        json_reader_init(&reader, body, "", &err);
        const char *registry = json_read_string(&reader, "registry", true);
        if (!json_reader_end(&reader)) {
            image_ask(request, app, &(struct image_request){.kind = IMAGE_QUERY_CREDENTIALS, .ref = registry},
                      allowed, finished);
            return;
        }
    }
    answer_refuse(request, &err);
}
