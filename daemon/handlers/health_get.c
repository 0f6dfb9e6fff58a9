// SPDX-License-Identifier: Apache-2.0
//
// GET /healthz (the loop turns) and GET /readyz (new jobs are taken). Both without token and without secrets.
#include "handlers/answer.h"
#include "handlers/operations.h"

void healthz_get(struct request *request, void *app)
{
    (void)app;
    reply_json(request, 200, json_pack("{s:s}", "status", "ok"));
}

void readyz_get(struct request *request, void *arg)
{
    const struct app *app = arg;
    struct error err = ERROR_INIT;
    struct engine_stats stats;
    engine_stats(app->engine, &stats);
    if (stats.draining)
        error_set(&err, ERR_DRAINING, "The daemon is shutting down and takes no new jobs");
    else if (app->ready && !app->ready(app->ready_arg, &err) && err.code == ERR_NONE)
        error_set(&err, ERR_OVERLOADED, "The daemon is not ready");
    if (err.code != ERR_NONE)
        answer_refuse(request, &err);
    else
        reply_json(request, 200, json_pack("{s:s}", "status", "ready"));
}
