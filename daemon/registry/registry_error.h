// SPDX-License-Identifier: Apache-2.0
//
// Answers of a registry that are not what was hoped for, as errors: the one place where status, OCI error
// code (distribution-spec "Error Codes") and text become an error code, a sentence and a hint. Never fails to
// give an error. Pure.
#pragma once

#include "base/error.h"
#include "net/http.h"

// What was asked for: decides what a 404 or a refusal means.
enum registry_subject {
    REGISTRY_MANIFEST_READ,
    REGISTRY_MANIFEST_WRITE,
    REGISTRY_BLOB_READ,
    REGISTRY_BLOB_WRITE, // any step of an upload or a mount
    REGISTRY_LISTING,    // tags, catalog, referrers
    REGISTRY_PING,
};

struct registry_failure {
    const char *host;
    const char *repository; // or NULL
    const char *method;
    const char *what; // "the manifest latest", "the blob sha256:…": completes "… of team/app"
    enum registry_subject subject;
    const char *source; // of the credential used: "job", "helper ecr-login", "nowhere"
    bool anonymous;
    // Must the server's text be kept back because it repeats a secret? May be NULL.
    bool (*leaks)(const void *arg, const char *text);
    const void *leaks_arg;
};

// Always -1.
int registry_error_set(const struct registry_failure *failure, const struct http_answer *answer,
                       struct error *err);

// The first OCI error of a body: code ("" if there is none; upper case, [A-Z0-9_]) and message (quoted, or
// NULL; caller frees). Any body will do: HTML, empty, cut off, `errors` of another type.
enum { REGISTRY_CODE_MAX = 64 };
void registry_error_read(const struct http_answer *answer, char ret_code[REGISTRY_CODE_MAX],
                         char **ret_message);
bool registry_error_has_code(const struct http_answer *answer, const char *code); // any of the body's errors
