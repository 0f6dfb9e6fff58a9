// SPDX-License-Identifier: Apache-2.0
//
// The registry client as a whole: what its calls share. Made once by daemon.c.
#include "base/mem.h"
#include "base/str.h"
#include "registry/registry_call.h"

struct registry *registry_new(const struct registry_options *options)
{
    struct registry *registry = mem_new(struct registry);
    registry->transport = options->transport;
    registry->hosts = options->hosts;
    registry->credentials = options->credentials;
    registry->quota = options->quota;
    registry->chunk_bytes = options->chunk_bytes > 0 ? options->chunk_bytes : 64LL << 20;
    registry->monolithic_max_bytes =
        options->monolithic_max_bytes > 0 ? options->monolithic_max_bytes : 5LL << 30;
    registry->traits = registry_traits_new();
    return registry;
}

void registry_free(struct registry *registry)
{
    if (!registry)
        return;
    registry_traits_free(registry->traits);
    free(registry);
}

int registry_ping(const struct registry_scope *scope, struct error *err)
{
    struct registry_scope root = *scope;
    root.repository = NULL;
    struct registry_call call;
    if (registry_call_open(&call, &root, 0, NULL, err) < 0)
        return -1;
    struct http_call http;
    struct http_answer answer = {0};
    registry_call_begin(&call, &http, "GET", "%s", "");
    int failed = registry_call_perform(&call, &http, &answer, err);
    // A web site answers 200, too, with a page for people.
    AUTO_FREE char *media_type = failed ? NULL : http_answer_media_type(&answer);
    if (!failed && (answer.status != 200 || str_equal(media_type, "text/html")))
        failed = registry_call_fail(&call, "GET", REGISTRY_PING, "its API", &answer, err);
    http_call_clear(&http);
    http_answer_clear(&answer);
    registry_call_close(&call);
    return failed;
}
