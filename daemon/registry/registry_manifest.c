// SPDX-License-Identifier: Apache-2.0
//
// Manifests: pull, head, push, delete. What must hold: a digest that was asked for is checked on the bytes,
// and no status but the expected one counts as success, because whole sites answer 200 with a page for
// people.
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "registry/registry_call.h"

// --- pull

static void begin_read(const struct registry_call *call, struct http_call *http, const char *method,
                       const char *reference)
{
    registry_call_begin(call, http, method, "manifests/%s", reference);
    http_headers_add(&http->headers, "accept", MEDIA_MANIFEST_ACCEPT);
    http_headers_add(&http->headers, "accept-encoding", "identity");
    http->max_body = MANIFEST_BYTES_MAX;
    http->decode = true; // some proxies compress whatever was asked; the digest is of the plain bytes
}

static int check_reference(const char *reference, struct error *err)
{
    if (digest_valid(reference) || reference_tag_valid(reference))
        return 0;
    AUTO_FREE char *quoted = str_quote(reference, 200);
    return error_set(err, ERR_REFERENCE_INVALID, "\"%s\" is neither a tag nor a digest", quoted);
}

static int check_pin(const char *reference, const struct http_answer *answer, struct manifest *ret,
                     struct error *err)
{
    struct digest wanted, got;
    if (digest_parse(&wanted, reference, err) < 0)
        return -1;
    digest_of(&got, wanted.algorithm, answer->body, answer->body_len);
    if (!digest_equal(&wanted, &got))
        return error_set(err, ERR_DIGEST_MISMATCH,
                         "The registry sent a manifest with the digest %s where %s was asked for", got.text,
                         wanted.text);
    ret->digest = wanted;
    return 0;
}

static int read_manifest(const char *reference, const struct http_answer *answer, struct manifest *ret,
                         struct error *err)
{
    const char *encoding = http_headers_find(&answer->headers, "content-encoding");
    struct manifest pinned = {0};
    if (digest_valid(reference) && check_pin(reference, answer, &pinned, err) < 0)
        return encoding ? error_wrap(err, "The manifest came compressed although that was not asked for")
                        : -1;
    if (manifest_parse(ret, answer->body, answer->body_len,
                       http_headers_find(&answer->headers, "content-type"), err) < 0)
        return -1;
    if (digest_known(&pinned.digest))
        ret->digest = pinned.digest;
    return 0;
}

struct manifest_read {
    const char *reference;
    struct manifest *ret;
};

static int pull_once(struct registry_call *call, const struct manifest_read *read, struct error *err)
{
    struct http_call http;
    struct http_answer answer = {0};
    begin_read(call, &http, "GET", read->reference);
    int failed = registry_call_perform(call, &http, &answer, err);
    if (!failed && answer.status != 200) {
        AUTO_FREE char *what = mem_printf("the manifest %s", read->reference);
        failed = registry_call_fail(call, "GET", REGISTRY_MANIFEST_READ, what, &answer, err);
    } else if (!failed && read_manifest(read->reference, &answer, read->ret, err) < 0) {
        error_upstream_set(err, call->host, "GET", http.url.path, answer.status, NULL);
        failed =
            error_wrap(err, "The manifest %s of %s/%s", read->reference, call->host, call->scope->repository);
    }
    http_call_clear(&http);
    http_answer_clear(&answer);
    return failed;
}

// One node of a cache may hold wrong bytes: a mismatch gets a second chance.
static int pull_attempt(struct registry_call *call, void *arg, struct error *err)
{
    const struct manifest_read *read = arg;
    if (pull_once(call, read, err) == 0)
        return 1;
    if (err->code != ERR_DIGEST_MISMATCH)
        return -1;
    error_clear(err);
    *err = ERROR_INIT;
    return pull_once(call, read, err) == 0 ? 1 : -1;
}

int registry_manifest_pull(const struct registry_scope *scope, const char *reference, struct manifest *ret,
                           struct error *err)
{
    struct manifest_read read = {.reference = reference, .ret = ret};
    if (check_reference(reference, err) < 0)
        return -1;
    return registry_call_read(scope, pull_attempt, &read, err) > 0 ? 0 : -1;
}

// --- head

struct manifest_head {
    const char *reference;
    struct digest digest;
    char *media_type;
    int64_t size;
};

// HEAD told too little, or is not known: the whole manifest tells.
static int head_by_get(struct registry_call *call, struct manifest_head *head, struct error *err)
{
    struct manifest manifest = {0};
    struct manifest_read read = {.reference = head->reference, .ret = &manifest};
    if (pull_attempt(call, &read, err) < 0) {
        if (err->upstream.status != 404)
            return -1;
        error_clear(err);
        *err = ERROR_INIT;
        return 0;
    }
    head->digest = manifest.digest;
    head->media_type = mem_strdup(manifest.media_type);
    head->size = (int64_t)manifest.len;
    manifest_clear(&manifest);
    return 1;
}

static bool head_told(const struct http_answer *answer, struct manifest_head *head)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    const char *digest = http_headers_find(&answer->headers, "docker-content-digest");
    if (digest_valid(head->reference))
        digest = head->reference; // a header never overrides a pin
    if (!digest || digest_parse(&head->digest, digest, &ignored) < 0)
        return false;
    AUTO_FREE char *media_type = http_answer_media_type(answer);
    if (!media_type_is_manifest(media_type) && !media_type_is_index(media_type))
        return false;
    head->media_type = mem_take(media_type);
    const char *length = http_headers_find(&answer->headers, "content-length");
    if (!length || !str_to_int64(length, 0, INT64_MAX, &head->size))
        head->size = -1;
    return true;
}

static int judge_head(struct registry_call *call, const struct http_answer *answer,
                      struct manifest_head *head, struct error *err)
{
    switch (answer->status) {
    case 200:
        return head_told(answer, head) ? 1 : head_by_get(call, head, err);
    case 404:
        return 0;
    case 400:
    case 405:
    case 501:
        return head_by_get(call, head, err);
    }
    AUTO_FREE char *what = mem_printf("the manifest %s", head->reference);
    return registry_call_fail(call, "HEAD", REGISTRY_MANIFEST_READ, what, answer, err);
}

static int head_attempt(struct registry_call *call, void *arg, struct error *err)
{
    struct manifest_head *head = arg;
    struct http_call http;
    struct http_answer answer = {0};
    begin_read(call, &http, "HEAD", head->reference);
    int found = registry_call_perform(call, &http, &answer, err);
    if (!found)
        found = judge_head(call, &answer, head, err);
    http_call_clear(&http);
    http_answer_clear(&answer);
    return found;
}

int registry_manifest_head(const struct registry_scope *scope, const char *reference,
                           struct digest *ret_digest, char **ret_media_type, int64_t *ret_size,
                           struct error *err)
{
    struct manifest_head head = {.reference = reference, .size = -1};
    if (check_reference(reference, err) < 0)
        return -1;
    int found = registry_call_read(scope, head_attempt, &head, err);
    if (found > 0) {
        if (ret_digest)
            *ret_digest = head.digest;
        if (ret_media_type)
            *ret_media_type = mem_take(head.media_type);
        if (ret_size)
            *ret_size = head.size;
    }
    free(head.media_type);
    return found;
}
