// SPDX-License-Identifier: Apache-2.0
//
// Routes as data. A path is matched raw (no percent-decoding of slashes); {name} matches one segment. 404 and 405 (with Allow)
// are told apart. The table itself stands in handlers/routes.c and is checked against api/openapi.yaml by a test.
#pragma once

#include "http/request.h"

enum body_kind { BODY_NONE, BODY_JSON, BODY_BYTES, BODY_STREAM };

struct route {
    const char *method;
    const char *path;          // "/v1/jobs/{id}"
    const char *operation;     // operationId of the contract
    enum right right;
    enum body_kind body;
    const char *const *media;  // accepted body types, NULL-terminated; NULL: application/json for BODY_JSON
    size_t max_body;           // 0: 1 MiB, for BODY_STREAM no limit
    void (*handle)(struct request *request, void *app);
};

// NULL-terminated by method NULL. Returns the route or NULL with ERR_NOT_FOUND / ERR_METHOD_NOT_ALLOWED (*ret_allow: methods,
// comma-joined, caller frees).
const struct route *router_find(const struct route *routes, const char *method, const char *path, char **ret_allow,
                                struct error *err);
