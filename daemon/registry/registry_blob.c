// SPDX-License-Identifier: Apache-2.0
//
// Blobs: does it exist, pull it (whole and verified, or a part), read a small one, mount, delete. Uploads are
// upload.c and blob_push.c.
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "net/transfer.h"
#include "registry/registry_call.h"
#include "registry/upload.h"

static char *blob_text(const struct digest *digest)
{
    return mem_printf("the blob %s", digest->text);
}

static void begin_get(const struct registry_call *call, struct http_call *http, const char *method,
                      const struct digest *digest)
{
    registry_call_begin(call, http, method, "blobs/%s", digest->text);
    http_headers_add(&http->headers, "accept-encoding", "identity");
}

// --- head

struct blob_head {
    const struct digest *digest;
    int64_t size;
};

static int64_t content_length(const struct http_answer *answer)
{
    int64_t size;
    const char *text = http_headers_find(&answer->headers, "content-length");
    return text && str_to_int64(text, 0, INT64_MAX, &size) ? size : -1;
}

// Where HEAD is not known: one byte of a GET. A server that sends the whole blob is cut off: it is there.
static int head_by_get(struct registry_call *call, struct blob_head *head, struct error *err)
{
    struct http_call http;
    struct http_answer answer = {0};
    begin_get(call, &http, "GET", head->digest);
    http_headers_add(&http.headers, "range", "bytes=0-0");
    http.max_body = 1;
    int found = -1;
    if (registry_call_perform(call, &http, &answer, err) == 0) {
        found = answer.status == 200 || answer.status == 206 || answer.status == 416;
    } else if (err->code == ERR_TOO_LARGE) {
        error_clear(err);
        *err = ERROR_INIT;
        found = 1;
    }
    http_call_clear(&http);
    http_answer_clear(&answer);
    return found;
}

// A HEAD that was redirected and then refused (a URL signed for GET only) shows that the registry knows the
// blob.
static int judge_head(struct registry_call *call, const struct http_answer *answer, struct blob_head *head,
                      struct error *err)
{
    if (answer->status == 200) {
        head->size = content_length(answer);
        return 1;
    }
    if (answer->status == 403 && answer->redirected_origin)
        return 1;
    if (answer->status == 404 || answer->status == 403)
        return 0;
    if (answer->status == 405 || answer->status == 400 || answer->status == 501)
        return head_by_get(call, head, err);
    AUTO_FREE char *what = blob_text(head->digest);
    return registry_call_fail(call, "HEAD", REGISTRY_BLOB_READ, what, answer, err);
}

static int head_attempt(struct registry_call *call, void *arg, struct error *err)
{
    struct blob_head *head = arg;
    struct http_call http;
    struct http_answer answer = {0};
    begin_get(call, &http, "HEAD", head->digest);
    int found = registry_call_perform(call, &http, &answer, err);
    if (!found)
        found = judge_head(call, &answer, head, err);
    http_call_clear(&http);
    http_answer_clear(&answer);
    return found;
}

int registry_call_blob_head(struct registry_call *call, const struct digest *digest, int64_t *ret_size,
                            struct error *err)
{
    struct blob_head head = {.digest = digest, .size = -1};
    int found = head_attempt(call, &head, err);
    if (found > 0 && ret_size)
        *ret_size = head.size;
    return found;
}

int registry_blob_head(const struct registry_scope *scope, const struct digest *digest, int64_t *ret_size,
                       struct error *err)
{
    struct blob_head head = {.digest = digest, .size = -1};
    int found = registry_call_read(scope, head_attempt, &head, err);
    if (found > 0 && ret_size)
        *ret_size = head.size;
    return found;
}

// --- pull

struct blob_pull {
    const struct digest *digest;
    int64_t size;
    struct sink *sink;
};

int registry_call_blob_open(struct registry_call *call, const struct digest *digest,
                            struct transfer *transfer, struct error *err)
{
    struct http_call http;
    struct http_answer answer = {0};
    begin_get(call, &http, "GET", digest);
    int failed = transfer_open_get(transfer, &http, call->authorizer, &answer, err);
    if (!failed)
        registry_call_heed(call, &answer);
    if (!failed && answer.status != 200 && answer.status != 206) {
        AUTO_FREE char *what = blob_text(digest);
        failed = registry_call_fail(call, "GET", REGISTRY_BLOB_READ, what, &answer, err);
    } else if (failed) {
        error_upstream_set(err, call->host, "GET", http.url.path, 0, NULL);
    }
    http_call_clear(&http);
    http_answer_clear(&answer);
    return failed;
}

static int run_transfer(struct registry_call *call, const struct blob_pull *pull, struct transfer *transfer,
                        struct error *err)
{
    const struct http_answer *ignored;
    int target = transfer_add_sink(transfer, pull->sink);
    if (transfer_run(transfer, err) < 0)
        return error_wrap(err, "The blob %s of %s/%s", pull->digest->text, call->host,
                          call->scope->repository);
    return transfer_result(transfer, target, &ignored, err);
}

// After the first byte has gone into the sink there is no way to begin again elsewhere, so mirrors count only
// until the body begins.
static int pull_from(struct registry_call *call, const struct blob_pull *pull, bool *ret_begun,
                     struct error *err)
{
    struct registry *registry = call->scope->registry;
    struct transfer *transfer =
        transfer_new(registry->transport, registry->hosts, pull->digest, pull->size, call->scope->monitor);
    int failed = registry_call_blob_open(call, pull->digest, transfer, err);
    if (!failed) {
        *ret_begun = true;
        failed = run_transfer(call, pull, transfer, err);
    }
    transfer_free(transfer);
    return failed;
}

struct blob_pull_state {
    struct blob_pull pull;
    bool begun;
    struct error failure; // after the body began: final
};

static int pull_attempt(struct registry_call *call, void *arg, struct error *err)
{
    struct blob_pull_state *state = arg;
    if (pull_from(call, &state->pull, &state->begun, err) == 0)
        return 1;
    if (!state->begun)
        return -1;
    error_move(&state->failure, err);
    *err = ERROR_INIT;
    return 1;
}

int registry_blob_pull(const struct registry_scope *scope, const struct digest *digest, int64_t size,
                       struct sink *sink, struct error *err)
{
    struct blob_pull_state state = {.pull = {.digest = digest, .size = size, .sink = sink},
                                    .failure = ERROR_INIT};
    if (registry_call_read(scope, pull_attempt, &state, err) < 0)
        return -1;
    if (!state.failure.code)
        return 0;
    error_move(err, &state.failure);
    return -1;
}

// --- a part

static int pull_part(struct registry_call *call, const struct blob_pull *pull, int64_t first, int64_t end,
                     struct error *err)
{
    struct registry *registry = call->scope->registry;
    struct transfer *transfer =
        transfer_new(registry->transport, registry->hosts, pull->digest, -1, call->scope->monitor);
    transfer_set_part(transfer, first, end, NULL);
    int failed = registry_call_blob_open(call, pull->digest, transfer, err);
    if (!failed)
        failed = run_transfer(call, pull, transfer, err);
    transfer_free(transfer);
    return failed;
}

int registry_blob_pull_range(const struct registry_scope *scope, const struct digest *digest, int64_t offset,
                             int64_t length, struct sink *sink, struct error *err)
{
    struct blob_pull pull = {.digest = digest, .sink = sink};
    struct registry_call call;
    if (registry_call_open(&call, scope, CREDENTIAL_PULL, NULL, err) < 0)
        return -1;
    int failed = pull_part(&call, &pull, offset, offset + length, err);
    registry_call_close(&call);
    return failed;
}

// --- small ones

struct blob_read {
    const struct digest *digest;
    int64_t size;
    size_t max;
    char *bytes;
    size_t len;
};

static int check_read(const struct blob_read *read, const struct http_answer *answer, struct error *err)
{
    struct digest got;
    digest_of(&got, read->digest->algorithm, answer->body, answer->body_len);
    if (read->size >= 0 && (int64_t)answer->body_len != read->size)
        return error_set(err, ERR_DIGEST_MISMATCH, "The blob %s has %zu bytes where %lld were announced",
                         read->digest->text, answer->body_len, (long long)read->size);
    if (!digest_equal(&got, read->digest))
        return error_set(err, ERR_DIGEST_MISMATCH,
                         "The registry sent a blob with the digest %s where %s was asked for", got.text,
                         read->digest->text);
    return 0;
}

static int read_once(struct registry_call *call, struct blob_read *read, struct error *err)
{
    struct http_call http;
    struct http_answer answer = {0};
    begin_get(call, &http, "GET", read->digest);
    http.max_body = read->max;
    int failed = registry_call_perform(call, &http, &answer, err);
    if (!failed && answer.status != 200) {
        AUTO_FREE char *what = blob_text(read->digest);
        failed = registry_call_fail(call, "GET", REGISTRY_BLOB_READ, what, &answer, err);
    } else if (!failed && check_read(read, &answer, err) < 0) {
        error_upstream_set(err, call->host, "GET", http.url.path, answer.status, NULL);
        failed = error_wrap(err, "%s/%s", call->host, call->scope->repository);
    } else if (!failed) {
        read->bytes = mem_take(answer.body);
        read->len = answer.body_len;
    }
    http_call_clear(&http);
    http_answer_clear(&answer);
    return failed;
}

static int read_attempt(struct registry_call *call, void *arg, struct error *err)
{
    if (read_once(call, arg, err) == 0)
        return 1;
    if (err->code != ERR_DIGEST_MISMATCH)
        return -1;
    error_clear(err);
    *err = ERROR_INIT;
    return read_once(call, arg, err) == 0 ? 1 : -1;
}

char *registry_blob_read(const struct registry_scope *scope, const struct digest *digest, int64_t size,
                         size_t max, size_t *ret_len, struct error *err)
{
    struct blob_read read = {.digest = digest, .size = size, .max = max};
    if (size > (int64_t)max) {
        error_set(err, ERR_TOO_LARGE, "The blob %s has %lld bytes; at most %zu are read", digest->text,
                  (long long)size, max);
        return NULL;
    }
    if (registry_call_read(scope, read_attempt, &read, err) < 0)
        return NULL;
    *ret_len = read.len;
    return read.bytes;
}

// --- mount and delete

int registry_blob_mount(const struct registry_scope *scope, const struct digest *digest, const char *from,
                        struct error *err)
{
    struct registry_call call;
    if (!reference_repository_valid(from))
        return error_set(err, ERR_REFERENCE_INVALID, "The repository to mount from is not valid");
    if (registry_call_open(&call, scope, CREDENTIAL_PULL | CREDENTIAL_PUSH, from, err) < 0)
        return -1;
    struct upload upload;
    int mounted = upload_start(&upload, &call, digest, from, err);
    if (mounted == 0)
        upload_cancel(&upload);
    upload_clear(&upload);
    registry_call_close(&call);
    if (mounted >= 0 || !upload_refused_mount(err))
        return mounted;
    error_clear(err);
    *err = ERROR_INIT;
    return 0;
}

int registry_blob_delete(const struct registry_scope *scope, const struct digest *digest, struct error *err)
{
    struct registry_call call;
    if (registry_call_open(&call, scope, CREDENTIAL_PULL | CREDENTIAL_DELETE, NULL, err) < 0)
        return -1;
    struct http_call http;
    struct http_answer answer = {0};
    begin_get(&call, &http, "DELETE", digest);
    int failed = registry_call_perform(&call, &http, &answer, err);
    if (!failed && answer.status != 202 && answer.status != 200 && answer.status != 204) {
        AUTO_FREE char *what = blob_text(digest);
        failed = registry_call_fail(&call, "DELETE", REGISTRY_BLOB_READ, what, &answer, err);
    }
    http_call_clear(&http);
    http_answer_clear(&answer);
    registry_call_close(&call);
    return failed;
}
