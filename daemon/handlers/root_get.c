// SPDX-License-Identifier: Apache-2.0
//
// GET /: links and features for a program, the status page for a browser.
#include "handlers/answer.h"
#include "handlers/embedded.h"
#include "handlers/operations.h"

static json_t *links(void)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "jobs", "/v1/jobs", "events",
                     "/v1/events", "cache", "/v1/cache", "credentials", "/v1/credentials", "version",
                     "/v1/version", "openapi", "/openapi.json", "metrics", "/metrics", "health", "/healthz",
                     "ready", "/readyz");
}

void root_get(struct request *request, void *app)
{
    static const char *const offered[] = {"application/json", "text/html", NULL};
    (void)app;
    reply_header(request, "Vary", "Accept");
    if (request_accepts(request, offered) == 1) {
        reply_header(request, "Content-Security-Policy", embedded_page_csp);
        reply_bytes(request, 200, "text/html; charset=utf-8", embedded_page, embedded_page_len);
    } else {
        reply_json(request, 200,
                   json_pack("{s:s, s:s, s:o, s:o}", "name", "dray", "version", DRAY_VERSION, "features",
                             version_features(), "links", links()));
    }
}
