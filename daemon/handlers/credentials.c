// SPDX-License-Identifier: Apache-2.0
//
// GET /v1/credentials: which registries the daemon has credentials for and where they come from, never the
// secrets. DELETE /v1/credentials: drops cached tokens and helper answers, so that the next job asks again.
#include "credentials/credentials.h"
#include "handlers/answer.h"
#include "handlers/operations.h"

void credential_list(struct request *request, void *arg)
{
    const struct app *app = arg;
    if (answer_no_query(request))
        reply_json(request, 200, json_pack("{s:o}", "items", credentials_list(app->credentials)));
}

void credential_drop(struct request *request, void *arg)
{
    const struct app *app = arg;
    if (answer_no_query(request))
        reply_json(request, 200,
                   json_pack("{s:I}", "dropped", (json_int_t)credentials_forget(app->credentials)));
}
