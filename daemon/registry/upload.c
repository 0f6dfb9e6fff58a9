// SPDX-License-Identifier: Apache-2.0
//
// Upload sessions. The Location of the latest answer is where the next request goes, byte for byte; it may
// lie at another origin, then no credential of ours goes there. What a registry says about offsets is a hint:
// some are stuck at the first chunk although they have the bytes, so a 2xx counts more than its Range header.
#include "registry/upload.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

enum { CHUNK_MIN_MAX = 64 << 20 };

static const char what[] = "a blob upload";

void upload_clear(struct upload *upload)
{
    url_clear(&upload->location);
    *upload = (struct upload){0};
}

char *upload_location_text(const struct upload *upload)
{
    return url_format(&upload->location);
}

static int adopt_location(struct upload *upload, const struct url *origin, const char *location,
                          struct error *err)
{
    const struct registry *registry = upload->call->scope->registry;
    struct url next = {0};
    struct url_verdict verdict = {0};
    if (url_resolve(&next, origin, location, err) < 0)
        return error_wrap(err, "The upload location of %s cannot be used", upload->call->host);
    if (url_policy_check(&upload->call->base, &next, URL_UPLOAD_LOCATION, registry->hosts, &verdict, err) <
        0) {
        url_clear(&next);
        return error_wrap(err, "The upload location of %s cannot be used", upload->call->host);
    }
    url_clear(&upload->location);
    upload->location = next;
    upload->credentials = verdict.credentials;
    upload->private_allowed = verdict.private_allowed;
    return 0;
}

static void read_chunk_min(struct upload *upload, const struct http_answer *answer)
{
    int64_t chunk_min;
    const char *text = http_headers_find(&answer->headers, "oci-chunk-min-length");
    if (text && str_to_int64(text, 1, CHUNK_MIN_MAX, &chunk_min))
        upload->chunk_min = chunk_min;
}

// --- start

static void begin_post(const struct registry_call *call, struct http_call *http, const struct digest *mount,
                       const char *from)
{
    registry_call_begin(call, http, "POST", "blobs/uploads/");
    if (!mount)
        return;
    url_add_query(&http->url, "mount", mount->text);
    url_add_query(&http->url, "from", from);
}

static int judge_post(struct upload *upload, const struct digest *mount, const struct http_answer *answer,
                      struct error *err)
{
    if (mount && answer->status == 201) {
        const char *digest = http_headers_find(&answer->headers, "docker-content-digest");
        if (!digest || str_equal(digest, mount->text) || !digest_valid(digest))
            return 1;
        return error_set(err, ERR_REGISTRY_PROTOCOL, "%s says it mounted %s where %s was asked for",
                         upload->call->host, digest, mount->text);
    }
    if (answer->status != 202)
        return registry_call_fail(upload->call, "POST", REGISTRY_BLOB_WRITE, what, answer, err);
    const char *location = http_headers_find(&answer->headers, "location");
    if (!location || !*location)
        return error_set(err, ERR_REGISTRY_PROTOCOL,
                         "%s opened an upload without saying where (no Location header)", upload->call->host);
    if (adopt_location(upload, &answer->url, location, err) < 0)
        return -1;
    read_chunk_min(upload, answer);
    upload->open = true;
    return 0;
}

int upload_start(struct upload *upload, struct registry_call *call, const struct digest *mount,
                 const char *from, struct error *err)
{
    *upload = (struct upload){.call = call};
    struct http_call http;
    struct http_answer answer = {0};
    begin_post(call, &http, mount, from);
    int result = registry_call_perform(call, &http, &answer, err);
    if (!result) {
        result = judge_post(upload, mount, &answer, err);
        if (result < 0 && !err->upstream.status)
            error_upstream_set(err, call->host, "POST", http.url.path, answer.status, NULL);
    }
    http_call_clear(&http);
    http_answer_clear(&answer);
    return result;
}

// Any answer will do, as long as there was one and it was not "later".
bool upload_refused_mount(const struct error *err)
{
    int status = err->upstream.status;
    return status >= 400 && status != 429 && err->code != ERR_REGISTRY_RATE_LIMIT;
}

int upload_adopt(struct upload *upload, const struct http_answer *answer, struct error *err)
{
    const char *location = http_headers_find(&answer->headers, "location");
    return location && *location ? adopt_location(upload, &answer->url, location, err) : 0;
}

int upload_resume(struct upload *upload, struct registry_call *call, const char *location, int64_t offset,
                  int64_t size, struct error *err)
{
    *upload = (struct upload){.call = call, .offset = offset, .reach = size};
    if (adopt_location(upload, &call->base, location, err) < 0)
        return -1;
    upload->open = true;
    int gone = upload_ask_offset(upload, err);
    if (gone < 0)
        upload->open = false;
    return gone;
}

// --- requests to the session

int upload_perform(struct upload *upload, const struct http_call *http, struct http_answer *ret,
                   struct error *err)
{
    return upload->credentials ? registry_call_perform(upload->call, http, ret, err)
                               : registry_call_perform_bare(upload->call, http, ret, err);
}

void upload_begin(const struct upload *upload, struct http_call *http, const char *method)
{
    registry_call_begin_url(upload->call, http, method, &upload->location, upload->private_allowed);
}

void upload_cancel(struct upload *upload)
{
    if (!upload->open)
        return;
    upload->open = false;
    // With an authorizer of its own: deleting may need a token that asks for more, which nothing else should
    // do. And without the monitor: a cancelled job is just when this is wanted.
    struct registry_scope scope = *upload->call->scope;
    scope.monitor = NULL;
    struct registry_call call;
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    if (registry_call_open(&call, &scope, CREDENTIAL_PULL | CREDENTIAL_PUSH, NULL, &ignored) < 0)
        return;
    struct upload there = *upload;
    there.call = &call;
    struct http_call http;
    struct http_answer answer = {0};
    upload_begin(&there, &http, "DELETE");
    upload_perform(&there, &http, &answer, &ignored);
    http_call_clear(&http);
    http_answer_clear(&answer);
    registry_call_close(&call);
}

// --- the closing PUT

void upload_begin_put(const struct upload *upload, const struct digest *digest, struct http_call *ret)
{
    upload_begin(upload, ret, "PUT");
    url_add_query(&ret->url, "digest", digest->text);
    http_headers_add(&ret->headers, "content-type", "application/octet-stream");
}

static int confirm(struct upload *upload, const struct digest *digest, const struct http_answer *answer,
                   struct error *err)
{
    int found = registry_call_blob_head(upload->call, digest, NULL, err);
    if (found != 0)
        return found > 0 ? 0 : -1;
    registry_call_fail(upload->call, "PUT", REGISTRY_BLOB_WRITE, what, answer, err);
    err->code = ERR_REGISTRY_PROTOCOL;
    return error_wrap(err, "The blob %s did not arrive", digest->text);
}

int upload_judge_put(struct upload *upload, const struct digest *digest, const struct http_answer *answer,
                     struct error *err)
{
    if (answer->status == 201) {
        upload->open = false;
        return 0;
    }
    if (answer->status >= 200 && answer->status <= 299) {
        upload->open = false;
        return confirm(upload, digest, answer, err);
    }
    return registry_call_fail(upload->call, "PUT", REGISTRY_BLOB_WRITE, what, answer, err);
}

bool upload_lost(const struct error *err)
{
    int status = err->upstream.status;
    const char *code = err->upstream.oci_code;
    if (str_equal(code, "BLOB_UPLOAD_UNKNOWN") || str_equal(code, "BLOB_UPLOAD_INVALID"))
        return true;
    return status == 404 || status == 410 || status == 416;
}

bool upload_misplaced(const struct error *err)
{
    return err->upstream.status == 416 && !upload_too_large(err);
}

bool upload_too_large(const struct error *err)
{
    if (err->upstream.status == 413)
        return true;
    return err->upstream.status == 416 && err->detail && strstr(err->detail, "too large");
}

bool upload_no_chunks(const struct error *err)
{
    int status = err->upstream.status;
    return str_equal(err->upstream.method, "PATCH") &&
           (status == 400 || status == 404 || status == 405 || status == 501 ||
            str_equal(err->upstream.oci_code, "UNSUPPORTED"));
}

int upload_empty(struct upload *upload, const struct digest *digest, struct error *err)
{
    struct http_call http;
    struct http_answer answer = {0};
    upload_begin_put(upload, digest, &http);
    int failed = upload_perform(upload, &http, &answer, err);
    if (!failed)
        failed = upload_judge_put(upload, digest, &answer, err);
    http_call_clear(&http);
    http_answer_clear(&answer);
    return failed;
}
