// SPDX-License-Identifier: Apache-2.0
//
// POST /v1/jobs. What can be judged from the text alone is judged here. `auth` is parted from the rest first,
// so that the spec that is judged, journalled and shown never holds it.
#include <string.h>

#include "base/digest.h"
#include "base/mem.h"
#include "handlers/job_submit.h"
#include "handlers/operations.h"
#include "images/images.h"

enum { KEY_LEN_MAX = 255 };

static int check_key(const char *key, struct error *err)
{
    size_t len = key ? strlen(key) : 1;
    bool printable = true;
    for (size_t i = 0; key && i < len; i++)
        printable = printable && key[i] > 0x20 && key[i] < 0x7f;
    if (printable && len > 0 && len <= KEY_LEN_MAX)
        return 0;
    return error_set(err, ERR_INVALID_REQUEST,
                     "Idempotency-Key must have 1 to %d printable characters without spaces", KEY_LEN_MAX);
}

// Everything of the body but `auth`. New reference.
static json_t *without_auth(const json_t *body)
{
    json_t *spec = json_copy((json_t *)body);
    json_object_del(spec, "auth");
    return spec;
}

static void fingerprint_of(const json_t *spec, struct digest *ret)
{
    AUTO_FREE char *text = json_text_canonical(spec);
    digest_of(ret, DIGEST_SHA256, text, strlen(text));
}

static int judge(const struct app *app, const json_t *body, const json_t *spec, struct error *err)
{
    const json_t *auth = json_object_get(body, "auth");
    if (image_job_check(app->images, spec, err) != 0)
        return -1;
    return auth ? image_auth_check(auth, err) : 0;
}

static int create(struct request *request, struct app *app, const json_t *body, struct error *err)
{
    AUTO_JSON json_t *spec = without_auth(body);
    const char *key = request_header(request, "Idempotency-Key");
    struct job_envelope envelope;
    struct digest fingerprint;
    if (check_key(key, err) != 0 || judge(app, body, spec, err) != 0)
        return -1;
    job_envelope_read(spec, &envelope);
    fingerprint_of(spec, &fingerprint);
    struct engine_submit submit = {
        .kind = json_get_string(spec, "kind"),
        .spec = spec,
        .auth = json_object_get(body, "auth"),
        .labels = envelope.labels,
        .priority = envelope.priority,
        .deadline_ms = envelope.deadline_ms,
        .attached = envelope.attached,
        .idempotency_key = key,
        .fingerprint = fingerprint.text,
    };
    job_submit(request, app, &submit);
    return 0;
}

void job_create(struct request *request, void *arg)
{
    struct error err = ERROR_INIT;
    const json_t *body = request_json(request, &err);
    if (body && !json_is_object(body))
        error_set_pointer(&err, ERR_INVALID_REQUEST, "", "The body must be a JSON object");
    if (err.code != ERR_NONE || create(request, arg, body, &err) != 0)
        answer_refuse(request, &err);
}
