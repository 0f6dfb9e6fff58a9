// SPDX-License-Identifier: Apache-2.0
//
// The one way to fail. A fallible function returns 0/-1 (or a pointer/NULL), takes `struct error *err` last –
// never NULL – and sets it exactly once on failure; on success it leaves it untouched. error_set at the
// bottom, error_wrap with context on the way up, logged once at the top. One table (ERROR_CODES) maps a code
// to its wire name, HTTP status, client exit code and whether trying again can help.
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"

// clang-format off
//   code                      wire name               http exit retry title
#define ERROR_CODES(X)                                                                                                 \
    X(ERR_INVALID_REQUEST,     "invalid-request",      400, 2, false, "The request is not valid")                      \
    X(ERR_REFERENCE_INVALID,   "reference-invalid",    400, 2, false, "An image reference is not valid")               \
    X(ERR_UNAUTHORIZED,        "unauthorized",         401, 3, false, "A token is needed")                             \
    X(ERR_FORBIDDEN,           "forbidden",            403, 3, false, "The caller may not do this")                    \
    X(ERR_FORBIDDEN_ORIGIN,    "forbidden-origin",     403, 3, false, "Requests from web pages are refused")           \
    X(ERR_PATH_NOT_ALLOWED,    "path-not-allowed",     403, 2, false, "The path lies outside the allowed roots")       \
    X(ERR_REGISTRY_DENIED,     "registry-denied",      403, 4, false, "The registry refused access")                   \
    X(ERR_NOT_FOUND,           "not-found",            404, 2, false, "There is no such resource")                     \
    X(ERR_IMAGE_NOT_FOUND,     "image-not-found",      404, 5, false, "The image was not found")                       \
    X(ERR_PATH_NOT_FOUND,      "path-not-found",       404, 5, false, "The path was not found")                        \
    X(ERR_METHOD_NOT_ALLOWED,  "method-not-allowed",   405, 2, false, "The method is not allowed here")                \
    X(ERR_CONFLICT,            "conflict",             409, 1, false, "The state of the resource does not allow this") \
    X(ERR_MOUNT_REFUSED,       "mount-refused",        409, 1, false, "The registry did not mount the blob")           \
    X(ERR_TARGET_EXISTS,       "target-exists",        409, 1, false, "The target already exists")                     \
    X(ERR_EVENTS_EXPIRED,      "events-expired",       410, 1, false, "The events asked for are no longer kept")       \
    X(ERR_TOO_LARGE,           "too-large",            413, 2, false, "Something exceeds its limit")                   \
    X(ERR_UNSUPPORTED_MEDIA,   "unsupported-media-type", 415, 2, false, "The media type is not accepted here")         \
    X(ERR_RANGE,               "range-not-satisfiable", 416, 2, false, "The range lies outside the content")           \
    X(ERR_MISDIRECTED,         "misdirected",          421, 3, false, "The Host header does not name this daemon")     \
    X(ERR_IDEMPOTENCY,         "idempotency-mismatch", 422, 2, false, "The idempotency key was used for another body") \
    X(ERR_AUTH_REQUIRED,       "auth-required",        422, 4, false, "The job needs its credentials again")           \
    X(ERR_MANIFEST_UNSUPPORTED, "manifest-unsupported", 422, 1, false, "The manifest is of a kind not supported here") \
    X(ERR_PLATFORM_MISSING,    "platform-missing",     422, 5, false, "The image lacks the platform")                  \
    X(ERR_UNSUPPORTED_FILE,    "unsupported-file",     422, 1, false, "A file cannot be put into a layer")             \
    X(ERR_SOURCE_CHANGED,      "source-changed",       422, 1, false, "A file changed while it was read")              \
    X(ERR_RATE_LIMITED,        "rate-limited",         429, 6, true,  "Too many requests")                             \
    X(ERR_INTERNAL,            "internal",             500, 1, false, "Something went wrong inside the daemon")        \
    X(ERR_REGISTRY_UNREACHABLE, "registry-unreachable", 502, 1, true, "The registry could not be reached")             \
    X(ERR_REGISTRY_AUTH,       "registry-auth",        502, 4, false, "Signing in to the registry failed")             \
    X(ERR_REGISTRY_PROTOCOL,   "registry-protocol",    502, 1, false, "The registry answered against the protocol")    \
    X(ERR_DIGEST_MISMATCH,     "digest-mismatch",      502, 1, false, "The content does not match its digest")         \
    X(ERR_BLOB_UNKNOWN,        "blob-unknown",         502, 1, false, "The registry lacks a blob of the manifest")     \
    X(ERR_REGISTRY_ERROR,      "registry-error",       502, 1, true,  "The registry failed")                           \
    X(ERR_OVERLOADED,          "overloaded",           503, 6, true,  "The daemon is over its capacity")               \
    X(ERR_DRAINING,            "draining",             503, 6, true,  "The daemon is shutting down")                   \
    X(ERR_REGISTRY_RATE_LIMIT, "registry-rate-limit",  503, 6, true,  "The registry limits the rate of requests")      \
    X(ERR_NO_SPACE,            "no-space",             507, 1, false, "There is no space left on the device")          \
    X(ERR_CANCELLED,           "cancelled",            409, 1, false, "The job was cancelled")                         \
    X(ERR_DEADLINE,            "deadline",             504, 1, false, "The deadline of the job has passed")            \
    X(ERR_PARTIAL,             "partial",              502, 1, false, "Some items of the batch failed")
enum error_code {
    ERR_NONE = 0,
#define X(code, wire, http, exit, retry, title) code,
    ERROR_CODES(X)
#undef X
    ERR_CODE_COUNT
};
// clang-format on

// What the other side said. All texts are owned by the error; any may be NULL, status 0 means "no answer".
struct error_upstream {
    char *registry;
    char *method;
    char *path; // without the query
    int status;
    char *oci_code;
};

// Zero-initialised (ERROR_INIT) means "no error". Owned by whoever declared it: end it with error_clear, or
// declare it with CLEANUP(error_clear). Never shared between threads; a step hands its error over with
// error_move.
struct error {
    enum error_code code;
    bool retryable;         // from the table unless error_retryable changed it
    int64_t retry_after_ms; // what the other side asked for; -1 unknown
    char *detail;           // one sentence for a person: what failed, where, what the other side said
    char *hint;             // what to do about it; may be NULL
    char *pointer;          // RFC 6901 pointer into the request body; may be NULL
    struct error_upstream upstream;
};

#define ERROR_INIT ((struct error){.retry_after_ms = -1})

// Sets code and detail; returns -1 so that failing is one statement: `return error_set(err, …)`.
// Text that came from outside must pass through str_quote first.
int error_set(struct error *err, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// As error_set for a failed system call: maps errno (no space, no such path, no permission, no descriptors
// left; all else is internal) and writes "…: <text of errno>" – never a bare number.
int error_set_errno(struct error *err, int errnum, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// As error_set, with the JSON pointer of the member at fault (may be NULL).
int error_set_pointer(struct error *err, enum error_code code, const char *pointer, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
// Puts "context: " before the detail. Returns -1.
int error_wrap(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
void error_hint(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
void error_upstream_set(struct error *err, const char *registry, const char *method, const char *path,
                        int status, const char *oci_code);
// dst must be empty or is cleared first; src is left empty.
void error_move(struct error *dst, struct error *src);
void error_copy(struct error *dst, const struct error *src);
void error_clear(struct error *err);

const char *error_wire(enum error_code code); // "invalid-request"
const char *error_title(enum error_code code);
int error_http_status(enum error_code code);
int error_exit_code(enum error_code code);
enum error_code error_from_wire(const char *wire); // ERR_NONE if unknown

// The RFC 9457 problem document; instance and request_id may be NULL. New reference.
json_t *error_to_json(const struct error *err, const char *instance, const char *request_id);
// The inverse, for errors read back from the store. Unknown codes become ERR_INTERNAL.
void error_from_json(struct error *err, const json_t *problem);
