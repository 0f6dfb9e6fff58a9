// SPDX-License-Identifier: Apache-2.0
//
// The error object and its one table. Texts grow only by our own context; what came from outside was cut when
// quoted.
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

static const struct {
    const char *wire;
    int http_status;
    int exit_code;
    bool retryable;
    const char *title;
} codes[ERR_CODE_COUNT] = {
    // clang-format off
    [ERR_NONE] = {"none", 200, 0, false, "No error"},
#define X(code, wire, http, exit, retry, title) [code] = {wire, http, exit, retry, title},
    ERROR_CODES(X)
#undef X
    // clang-format on
};

static char *format_text(const char *format, va_list args)
{
    char *text = NULL;
    if (vasprintf(&text, format, args) < 0)
        return mem_strdup(format);
    return text;
}

static int set_text(struct error *err, enum error_code code, char *take)
{
    error_clear(err);
    err->code = code;
    err->retryable = codes[code].retryable;
    err->detail = take;
    return -1;
}

int error_set(struct error *err, enum error_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = format_text(format, args);
    va_end(args);
    return set_text(err, code, text);
}

static enum error_code code_of_errno(int errnum)
{
    switch (errnum) {
    case ENOSPC:
    case EDQUOT:
        return ERR_NO_SPACE;
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case ENAMETOOLONG:
        return ERR_PATH_NOT_FOUND;
    case ENXIO: // what open(2) says of a socket
    case EISDIR:
        return ERR_UNSUPPORTED_FILE;
    case EMFILE:
    case ENFILE:
        return ERR_OVERLOADED;
    case EACCES:
    case EPERM:
        return ERR_FORBIDDEN;
    case EXDEV:
        return ERR_PATH_NOT_ALLOWED;
    default:
        return ERR_INTERNAL;
    }
}

int error_set_errno(struct error *err, int errnum, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    AUTO_FREE char *text = format_text(format, args);
    va_end(args);
    char reason[128];
    return set_text(err, code_of_errno(errnum),
                    mem_printf("%s: %s", text, strerror_r(errnum, reason, sizeof(reason))));
}

int error_set_pointer(struct error *err, enum error_code code, const char *pointer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = format_text(format, args);
    va_end(args);
    AUTO_FREE char *at = mem_strdup_null(pointer);
    set_text(err, code, text);
    err->pointer = mem_take(at);
    return -1;
}

int error_wrap(struct error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    AUTO_FREE char *context = format_text(format, args);
    va_end(args);
    char *detail = mem_printf("%s: %s", context, err->detail ? err->detail : "failed");
    free(err->detail);
    err->detail = detail;
    return -1;
}

void error_hint(struct error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = format_text(format, args);
    va_end(args);
    free(err->hint);
    err->hint = text;
}

static void upstream_clear(struct error_upstream *upstream)
{
    free(upstream->registry);
    free(upstream->method);
    free(upstream->path);
    free(upstream->oci_code);
    *upstream = (struct error_upstream){0};
}

void error_upstream_set(struct error *err, const char *registry, const char *method, const char *path,
                        int status, const char *oci_code)
{
    struct error_upstream fresh = {
        .registry = mem_strdup_null(registry),
        .method = mem_strdup_null(method),
        .path = path ? mem_strndup(path, strcspn(path, "?#")) : NULL,
        .status = status,
        .oci_code = oci_code ? str_quote(oci_code, 64) : NULL,
    };
    upstream_clear(&err->upstream);
    err->upstream = fresh;
}

void error_move(struct error *dst, struct error *src)
{
    error_clear(dst);
    *dst = *src;
    *src = ERROR_INIT;
}

void error_copy(struct error *dst, const struct error *src)
{
    struct error copy = *src;
    copy.detail = mem_strdup_null(src->detail);
    copy.hint = mem_strdup_null(src->hint);
    copy.pointer = mem_strdup_null(src->pointer);
    copy.upstream.registry = mem_strdup_null(src->upstream.registry);
    copy.upstream.method = mem_strdup_null(src->upstream.method);
    copy.upstream.path = mem_strdup_null(src->upstream.path);
    copy.upstream.oci_code = mem_strdup_null(src->upstream.oci_code);
    error_clear(dst);
    *dst = copy;
}

void error_clear(struct error *err)
{
    free(err->detail);
    free(err->hint);
    free(err->pointer);
    upstream_clear(&err->upstream);
    *err = ERROR_INIT;
}

const char *error_wire(enum error_code code)
{
    return codes[code].wire;
}

const char *error_title(enum error_code code)
{
    return codes[code].title;
}

int error_http_status(enum error_code code)
{
    return codes[code].http_status;
}

int error_exit_code(enum error_code code)
{
    return codes[code].exit_code;
}

enum error_code error_from_wire(const char *wire)
{
    for (int i = ERR_NONE + 1; i < ERR_CODE_COUNT; i++)
        if (str_equal(codes[i].wire, wire))
            return (enum error_code)i;
    return ERR_NONE;
}

// A file name in a text may hold any bytes; JSON may not, and a problem must never fail to be written.
static void set_text_member(json_t *object, const char *key, const char *text)
{
    if (!text)
        return;
    size_t len = strlen(text);
    AUTO_FREE char *quoted = str_utf8_valid(text, len) ? NULL : str_quote(text, len);
    json_object_set_new(object, key, json_string(quoted ? quoted : text));
}

static json_t *upstream_to_json(const struct error_upstream *upstream)
{
    json_t *object = json_object();
    set_text_member(object, "registry", upstream->registry);
    set_text_member(object, "method", upstream->method);
    set_text_member(object, "path", upstream->path);
    if (upstream->status)
        json_object_set_new(object, "status", json_integer(upstream->status));
    set_text_member(object, "oci_code", upstream->oci_code);
    return object;
}

static json_t *faults_to_json(const struct error *err)
{
    json_t *fault = json_object();
    set_text_member(fault, "pointer", err->pointer);
    set_text_member(fault, "code", codes[err->code].wire);
    set_text_member(fault, "detail", err->detail);
    json_t *array = json_array();
    json_array_append_new(array, fault);
    return array;
}

json_t *error_to_json(const struct error *err, const char *instance, const char *request_id)
{
    json_t *problem = json_object();
    AUTO_FREE char *type = mem_printf("/problems/%s", codes[err->code].wire);
    set_text_member(problem, "type", type);
    set_text_member(problem, "title", codes[err->code].title);
    json_object_set_new(problem, "status", json_integer(codes[err->code].http_status));
    set_text_member(problem, "code", codes[err->code].wire);
    set_text_member(problem, "detail", err->detail ? err->detail : codes[err->code].title);
    set_text_member(problem, "instance", instance);
    set_text_member(problem, "request_id", request_id);
    json_object_set_new(problem, "retryable", json_boolean(err->retryable));
    set_text_member(problem, "hint", err->hint);
    if (err->upstream.registry)
        json_object_set_new(problem, "upstream", upstream_to_json(&err->upstream));
    if (err->pointer)
        json_object_set_new(problem, "errors", faults_to_json(err));
    return problem;
}

void error_from_json(struct error *err, const json_t *problem)
{
    enum error_code code = error_from_wire(json_get_string(problem, "code"));
    const char *detail = json_get_string(problem, "detail");
    error_set(err, code ? code : ERR_INTERNAL, "%s", detail ? detail : "unknown error");
    err->retryable = json_get_bool(problem, "retryable", err->retryable);
    if (json_get_string(problem, "hint"))
        error_hint(err, "%s", json_get_string(problem, "hint"));
    const json_t *upstream = json_object_get(problem, "upstream");
    if (upstream)
        error_upstream_set(err, json_get_string(upstream, "registry"), json_get_string(upstream, "method"),
                           json_get_string(upstream, "path"), (int)json_get_int(upstream, "status", 0),
                           json_get_string(upstream, "oci_code"));
    const json_t *fault = json_array_get(json_object_get(problem, "errors"), 0);
    err->pointer = mem_strdup_null(json_get_string(fault, "pointer"));
}
