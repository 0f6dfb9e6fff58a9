// SPDX-License-Identifier: Apache-2.0
//
// Translation of refusals. Called by registry_call_fail, and by upload for single codes. Status first, then
// the OCI code where registries disagree about the status (TOOMANYREQUESTS with 500, quota as 500 DENIED,
// "not found" as UNKNOWN).
#include "registry/registry_error.h"

#include <ctype.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

enum { MESSAGE_MAX = 400, ERRORS_MAX = 32 };

static const struct json_limits body_limits = {.bytes = HTTP_ERROR_BODY_MAX, .depth = 16, .values = 4096};

static json_t *parse_body(const struct http_answer *answer)
{
    CLEANUP(error_clear) struct error why = ERROR_INIT;
    if (!answer->body || !answer->body_len)
        return NULL;
    return json_parse(answer->body, answer->body_len, &body_limits, &why);
}

static const json_t *error_at(const json_t *root, size_t index)
{
    json_t *errors = json_object_get(root, "errors");
    if (json_is_object(errors))
        return index == 0 ? errors : NULL;
    if (json_is_array(errors))
        return index < ERRORS_MAX ? json_array_get(errors, index) : NULL;
    return index == 0 && json_is_object(root) ? root : NULL;
}

static void copy_code(const char *code, char ret[REGISTRY_CODE_MAX])
{
    size_t len = 0;
    for (; code && *code && len < REGISTRY_CODE_MAX - 1; code++) {
        char c = (char)toupper((unsigned char)*code);
        if (!isalnum((unsigned char)c) && c != '_')
            break;
        ret[len++] = c;
    }
    ret[len] = '\0';
}

static char *quote_part(const char *begin, const char *end)
{
    AUTO_FREE char *part = mem_strndup(begin, (size_t)(end - begin));
    return str_quote(part, MESSAGE_MAX);
}

// Of a page for people, as proxies send it, the title: "400 No required SSL certificate was sent".
static char *page_title(const char *page)
{
    static const char begin[] = "<title>";
    const char *title = strcasestr(page, begin);
    const char *end = title ? strpbrk(title + sizeof begin - 1, "<\r\n") : NULL;
    return end && *end == '<' ? quote_part(title + sizeof begin - 1, end) : NULL;
}

// Of plain text, the first line.
static char *plain_message(const struct http_answer *answer)
{
    if (!answer->body || !answer->body_len)
        return NULL;
    const char *text = answer->body + strspn(answer->body, " \r\n\t");
    if (*text == '<')
        return page_title(text);
    if (!*text || *text == '{' || *text == '[')
        return NULL;
    return quote_part(text, text + strcspn(text, "\r\n"));
}

static const char *message_of(const json_t *entry)
{
    static const char *const names[] = {"message", "detail", "details", "error_description", "error"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *text = json_get_string(entry, names[i]);
        if (text && *text)
            return text;
    }
    return NULL;
}

void registry_error_read(const struct http_answer *answer, char ret_code[REGISTRY_CODE_MAX],
                         char **ret_message)
{
    AUTO_JSON json_t *root = parse_body(answer);
    const json_t *entry = error_at(root, 0);
    copy_code(json_get_string(entry, "code"), ret_code);
    const char *message = message_of(entry);
    *ret_message = message ? str_quote(message, MESSAGE_MAX) : root ? NULL : plain_message(answer);
}

bool registry_error_has_code(const struct http_answer *answer, const char *code)
{
    AUTO_JSON json_t *root = parse_body(answer);
    const json_t *entry;
    for (size_t i = 0; (entry = error_at(root, i)); i++)
        if (str_equal_case(json_get_string(entry, "code"), code))
            return true;
    return false;
}

// --- which code

static enum error_code code_by_name(const struct registry_failure *failure, const char *code)
{
    if (str_equal(code, "TOOMANYREQUESTS"))
        return ERR_REGISTRY_RATE_LIMIT;
    if (str_equal(code, "DENIED") || str_equal(code, "UNAUTHORIZED"))
        return ERR_REGISTRY_DENIED;
    if (str_equal(code, "MANIFEST_BLOB_UNKNOWN") || str_equal(code, "BLOB_UNKNOWN"))
        return ERR_BLOB_UNKNOWN;
    if (str_equal(code, "NAME_UNKNOWN"))
        return ERR_IMAGE_NOT_FOUND;
    if (str_equal(code, "MANIFEST_UNKNOWN"))
        return failure->subject == REGISTRY_MANIFEST_WRITE ? ERR_BLOB_UNKNOWN : ERR_IMAGE_NOT_FOUND;
    if (str_equal(code, "DIGEST_INVALID") || str_equal(code, "SIZE_INVALID"))
        return ERR_DIGEST_MISMATCH;
    return ERR_NONE;
}

static enum error_code code_for_missing(const struct registry_failure *failure)
{
    return failure->subject == REGISTRY_BLOB_READ ? ERR_BLOB_UNKNOWN : ERR_IMAGE_NOT_FOUND;
}

static enum error_code code_by_status(const struct registry_failure *failure, int status)
{
    bool write = failure->subject == REGISTRY_MANIFEST_WRITE;
    switch (status) {
    case 401:
    case 403:
        return ERR_REGISTRY_DENIED;
    case 404:
        return code_for_missing(failure);
    case 408:
    case 425:
    case 499:
        return ERR_REGISTRY_ERROR;
    case 409:
    case 412:
        return write ? ERR_TARGET_EXISTS : ERR_REGISTRY_PROTOCOL;
    case 413:
        return ERR_TOO_LARGE;
    case 429:
        return ERR_REGISTRY_RATE_LIMIT;
    case 400:
    case 406:
    case 415:
        return write ? ERR_MANIFEST_UNSUPPORTED : ERR_REGISTRY_PROTOCOL;
    }
    return status >= 500 ? ERR_REGISTRY_ERROR : ERR_REGISTRY_PROTOCOL;
}

// A registry may delete nothing, or manifests but no tags (distribution-spec "Content Management"), and says so with 405, or
// with 400 and whatever code.
static bool deletes_not(const struct registry_failure *failure, int status)
{
    return str_equal(failure->method, "DELETE") && (status == 400 || status == 405);
}

// The status decides where it is specific; 400, 404 and 5xx are what registries use for everything.
static enum error_code choose_code(const struct registry_failure *failure, int status, const char *code)
{
    if (deletes_not(failure, status))
        return ERR_REGISTRY_DENIED;
    enum error_code by_name = code_by_name(failure, code);
    if (str_equal(code, "TOOMANYREQUESTS"))
        return by_name;
    if (status == 401 || status == 403 || status == 413 || status == 429 || status == 412)
        return code_by_status(failure, status);
    return by_name ? by_name : code_by_status(failure, status);
}

// --- the sentence and what to do

static const char *verb(const struct registry_failure *failure)
{
    switch (failure->subject) {
    case REGISTRY_MANIFEST_WRITE:
    case REGISTRY_BLOB_WRITE:
        return str_equal(failure->method, "DELETE") ? "the deletion of" : "the push of";
    case REGISTRY_MANIFEST_READ:
    case REGISTRY_BLOB_READ:
        return str_equal(failure->method, "DELETE") ? "the deletion of" : "the request for";
    default:
        return "the request for";
    }
}

static void hint_denied(const struct registry_failure *failure, struct error *err)
{
    if (failure->anonymous)
        error_hint(err,
                   "No credentials were used for %s (they came from %s); give them in the job's auth or in a "
                   "docker config.json",
                   failure->host, failure->source);
    else
        error_hint(err, "The credentials came from %s; check that they may do this%s%s", failure->source,
                   failure->repository ? " on " : "", failure->repository ? failure->repository : "");
}

static void set_hint(const struct registry_failure *failure, const struct http_answer *answer,
                     struct error *err)
{
    switch (err->code) {
    case ERR_REGISTRY_DENIED:
        hint_denied(failure, err);
        break;
    case ERR_IMAGE_NOT_FOUND:
        if (failure->subject == REGISTRY_BLOB_WRITE || failure->subject == REGISTRY_MANIFEST_WRITE)
            error_hint(err, "Some registries want a repository to be made before the first push");
        else
            error_hint(err, "Check the name; some registries answer so for private images, too");
        break;
    case ERR_TOO_LARGE:
        error_hint(err, "The registry, or a proxy in front of it, limits the size of a request");
        break;
    case ERR_MANIFEST_UNSUPPORTED:
        error_hint(err,
                   "The registry may not take this kind of manifest; try the other format (oci, docker)");
        break;
    case ERR_REGISTRY_PROTOCOL:
        if (answer->status >= 200 && answer->status < 300)
            error_hint(err, "Is %s a container registry? Something else seems to answer there",
                       failure->host);
        break;
    default:
        break;
    }
}

static bool usable(const struct registry_failure *failure, const char *message)
{
    return message && *message && !(failure->leaks && failure->leaks(failure->leaks_arg, message));
}

int registry_error_set(const struct registry_failure *failure, const struct http_answer *answer,
                       struct error *err)
{
    char code[REGISTRY_CODE_MAX];
    AUTO_FREE char *message = NULL;
    registry_error_read(answer, code, &message);
    if (!usable(failure, message)) {
        free(message);
        message = NULL;
    }
    const char *between = *code && message ? ": " : "";
    bool said = *code || message;
    error_set(err, choose_code(failure, answer->status, code), "%s answered %d to %s %s%s%s%s%s%s%s%s",
              failure->host, answer->status, verb(failure), failure->what, failure->repository ? " of " : "",
              failure->repository ? failure->repository : "", said ? " (" : "", code, between,
              message ? message : "", said ? ")" : "");
    err->retry_after_ms = answer->retry_after_ms;
    error_upstream_set(err, failure->host, failure->method, answer->url.path, answer->status,
                       *code ? code : NULL);
    if (answer->status == 501 || answer->status == 505)
        err->retryable = false;
    set_hint(failure, answer, err);
    return -1;
}
