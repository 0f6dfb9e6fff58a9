// SPDX-License-Identifier: Apache-2.0
//
// GET /v1/version. Clients look for features, not for version numbers: the API only ever grows.
#include <unistd.h>

#include "base/clock.h"
#include "handlers/answer.h"
#include "handlers/operations.h"
#include "images/images.h"

json_t *version_features(void)
{
    static const char *const features[] = {"jobs", "events",          "events-sse", "events-text",
                                           "wait", "idempotency-key", "cache",      "credentials",
                                           "images", "blobs",           "archives",   "contexts"};
    json_t *list = json_array();
    for (const struct job_ops *const *kind = image_job_kinds; *kind; kind++)
        json_array_append_new(list, json_sprintf("job-%s", (*kind)->kind));
    for (size_t i = 0; i < sizeof(features) / sizeof(*features); i++)
        json_array_append_new(list, json_string(features[i]));
    return list;
}

void version_get(struct request *request, void *arg)
{
    const struct app *app = arg;
    char started[CLOCK_TEXT_MAX];
    if (!answer_no_query(request))
        return;
    clock_format(app->started_wall_ms, started);
    reply_json(request, 200,
               json_pack("{s:s, s:s, s:s, s:o, s:I, s:I}", "name", "dray", "version", DRAY_VERSION,
                         "started_at", started, "features", version_features(), "uptime_s",
                         (json_int_t)((clock_wall_ms() - app->started_wall_ms) / 1000), "pid",
                         (json_int_t)getpid()));
}
