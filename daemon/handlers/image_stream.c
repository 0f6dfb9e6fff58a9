// SPDX-License-Identifier: Apache-2.0
//
// GET /v1/images/blob and /v1/images/archive: answers of any size, sent while they are fetched.
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "handlers/answer.h"
#include "handlers/image_ask.h"
#include "handlers/image_body.h"
#include "handlers/operations.h"

// The Range that counts: If-Range with another validator than the blob's digest means the whole (RFC 9110
// section 13.1.5).
static const char *wanted_range(const struct request *request, const char *ref)
{
    const char *range = request_header(request, "Range"), *condition = request_header(request, "If-Range");
    if (!range || !condition)
        return range;
    AUTO_FREE char *tail =
        mem_printf("@%.*s", (int)(strlen(condition) > 2 ? strlen(condition) - 2 : 0), condition + 1);
    return str_ends(ref, tail) && strlen(tail) > 1 ? range : NULL;
}

void image_blob_get(struct request *request, void *app)
{
    static const char *const allowed[] = {"ref", NULL};
    struct error err = ERROR_INIT;
    struct image_request ask = {.kind = IMAGE_QUERY_BLOB};
    if (image_ask_parameters(request, &ask, allowed, &err)) {
        answer_refuse(request, &err);
        return;
    }
    ask.range = wanted_range(request, ask.ref);
    image_body_send(request, app, &ask, "application/octet-stream", true);
}

void image_archive(struct request *request, void *app)
{
    static const char *const allowed[] = {"ref", "format", "platform", NULL};
    struct error err = ERROR_INIT;
    struct image_request ask = {.kind = IMAGE_QUERY_ARCHIVE, .format = request_query(request, "format")};
    if (image_ask_parameters(request, &ask, allowed, &err))
        answer_refuse(request, &err);
    else
        image_body_send(request, app, &ask, "application/x-tar", false);
}
