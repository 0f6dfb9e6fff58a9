// SPDX-License-Identifier: Apache-2.0
//
// GET /openapi.json: the contract, api/openapi.yaml, as JSON.
#include "handlers/answer.h"
#include "handlers/embedded.h"
#include "handlers/operations.h"

void openapi_get(struct request *request, void *app)
{
    (void)app;
    if (answer_no_query(request))
        reply_bytes(request, 200, "application/json", embedded_openapi, embedded_openapi_len);
}
