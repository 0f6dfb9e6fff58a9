// SPDX-License-Identifier: Apache-2.0
//
// Manifests on their way in: push under a tag or digest, several tags at once, delete. The bytes go as they
// are.
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "registry/registry_call.h"

struct manifest_push {
    const char *reference;
    const char *media_type;
    const void *bytes;
    size_t len;
    const struct digest *digest;
    const char *const *tags; // with ?tag=; reference is the digest then
    size_t n_tags;
};

static void begin_put(const struct registry_call *call, struct http_call *http,
                      const struct manifest_push *push)
{
    registry_call_begin(call, http, "PUT", "manifests/%s", push->reference);
    for (size_t i = 0; i < push->n_tags; i++)
        url_add_query(&http->url, "tag", push->tags[i]);
    http_headers_add(&http->headers, "content-type", push->media_type);
    http->body = push->bytes;
    http->body_len = (int64_t)push->len;
}

// Does the reference now stand for our bytes? 1, 0, or -1.
static int stands(struct registry_call *call, const struct manifest_push *push, struct error *err)
{
    struct http_call http;
    struct http_answer answer = {0};
    registry_call_begin(call, &http, "HEAD", "manifests/%s", push->reference);
    http_headers_add(&http.headers, "accept", push->media_type);
    int result = registry_call_perform(call, &http, &answer, err);
    if (!result) {
        const char *digest = http_headers_find(&answer.headers, "docker-content-digest");
        bool by_digest = digest_valid(push->reference);
        result = answer.status == 200 && (by_digest || str_equal(digest, push->digest->text));
    }
    http_call_clear(&http);
    http_answer_clear(&answer);
    return result;
}

static bool confirmed_by_header(const struct http_answer *answer, const struct manifest_push *push)
{
    const char *digest = http_headers_find(&answer->headers, "docker-content-digest");
    return answer->status == 201 &&
           (!digest || !digest_valid(digest) || str_equal(digest, push->digest->text));
}

// An immutable tag that already stands for the same bytes is what was wanted.
static int judge_refusal(struct registry_call *call, const struct manifest_push *push,
                         const struct http_answer *answer, struct error *err)
{
    AUTO_FREE char *what = mem_printf("the manifest %s", push->reference);
    registry_call_fail(call, "PUT", REGISTRY_MANIFEST_WRITE, what, answer, err);
    // Our bytes have the digest we say. A registry that rewrites its link to a child in place, because
    // another push names the same child, finds the link empty for a moment and blames the digest.
    if (err->code == ERR_DIGEST_MISMATCH)
        err->retryable = true;
    bool immutable = err->code == ERR_TARGET_EXISTS || registry_error_has_code(answer, "TAG_INVALID");
    if (!immutable)
        return -1;
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    if (stands(call, push, &ignored) == 1) {
        error_clear(err);
        *err = ERROR_INIT;
        return 0;
    }
    err->code = ERR_TARGET_EXISTS;
    err->retryable = false;
    error_hint(err, "The registry does not let this tag move; use another tag");
    return -1;
}

static int judge_put(struct registry_call *call, const struct manifest_push *push,
                     const struct http_answer *answer, struct error *err)
{
    if (confirmed_by_header(answer, push))
        return 0;
    if (answer->status < 200 || answer->status > 299)
        return judge_refusal(call, push, answer, err);
    int there = stands(call, push, err);
    if (there != 0)
        return there > 0 ? 0 : -1;
    AUTO_FREE char *what = mem_printf("the manifest %s", push->reference);
    registry_call_fail(call, "PUT", REGISTRY_MANIFEST_WRITE, what, answer, err);
    err->code = ERR_REGISTRY_PROTOCOL;
    return error_wrap(err, "The manifest did not arrive");
}

static int put(struct registry_call *call, const struct manifest_push *push, struct http_answer *ret,
               struct error *err)
{
    struct http_call http;
    begin_put(call, &http, push);
    int failed = registry_call_perform(call, &http, ret, err);
    if (!failed)
        failed = judge_put(call, push, ret, err);
    http_call_clear(&http);
    return failed;
}

static int put_simple(struct registry_call *call, const struct manifest_push *push, struct error *err)
{
    struct http_answer answer = {0};
    int failed = put(call, push, &answer, err);
    http_answer_clear(&answer);
    return failed;
}

int registry_manifest_push(const struct registry_scope *scope, const char *reference, const char *media_type,
                           const void *bytes, size_t len, const struct digest *digest, struct error *err)
{
    struct manifest_push push = {
        .reference = reference, .media_type = media_type, .bytes = bytes, .len = len, .digest = digest};
    struct registry_call call;
    if (!digest_valid(reference) && !reference_tag_valid(reference))
        return error_set(err, ERR_REFERENCE_INVALID, "The reference of a push is neither a tag nor a digest");
    if (registry_call_open(&call, scope, CREDENTIAL_PULL | CREDENTIAL_PUSH, NULL, err) < 0)
        return -1;
    int failed = put_simple(&call, &push, err);
    registry_call_close(&call);
    return failed;
}

// --- several tags

static bool acknowledged(const struct http_answer *answer, const char *tag)
{
    const char *value;
    for (size_t i = 0; (value = http_headers_next(&answer->headers, "oci-tag", &i)); i++)
        for (const char *at = value; *(at += strspn(at, ", \t"));) {
            size_t len = strcspn(at, ", \t");
            if (strlen(tag) == len && memcmp(at, tag, len) == 0)
                return true;
            at += len;
        }
    return false;
}

static int push_tags_one_by_one(struct registry_call *call, struct manifest_push *push,
                                const char *const *tags, size_t n_tags, const struct http_answer *at_once,
                                struct error *err)
{
    push->n_tags = 0;
    for (size_t i = 0; i < n_tags; i++) {
        if (at_once && acknowledged(at_once, tags[i]))
            continue;
        push->reference = tags[i];
        if (put_simple(call, push, err) < 0)
            return -1;
    }
    return 0;
}

// Registries that do not know ?tag= take the PUT and say nothing of tags: the missing ones are sent one by
// one.
static int push_tags(struct registry_call *call, struct manifest_push *push, const char *const *tags,
                     size_t n_tags, struct error *err)
{
    struct registry *registry = call->scope->registry;
    struct registry_trait trait = registry_traits_get(registry->traits, call->host);
    if (n_tags < 3 || trait.no_multi_tag)
        return push_tags_one_by_one(call, push, tags, n_tags, NULL, err);
    push->reference = push->digest->text;
    push->tags = tags;
    push->n_tags = n_tags;
    struct http_answer answer = {0};
    int failed = put(call, push, &answer, err);
    if (!failed && !http_headers_find(&answer.headers, "oci-tag")) {
        trait.no_multi_tag = true;
        registry_traits_set(registry->traits, call->host, &trait);
    }
    if (!failed)
        failed = push_tags_one_by_one(call, push, tags, n_tags, &answer, err);
    http_answer_clear(&answer);
    return failed;
}

int registry_manifest_push_tags(const struct registry_scope *scope, const char *const *tags, size_t n_tags,
                                const char *media_type, const void *bytes, size_t len,
                                const struct digest *digest, struct error *err)
{
    struct manifest_push push = {.media_type = media_type, .bytes = bytes, .len = len, .digest = digest};
    struct registry_call call;
    for (size_t i = 0; i < n_tags; i++)
        if (!reference_tag_valid(tags[i]))
            return error_set(err, ERR_REFERENCE_INVALID, "One of the tags is not valid");
    if (registry_call_open(&call, scope, CREDENTIAL_PULL | CREDENTIAL_PUSH, NULL, err) < 0)
        return -1;
    int failed = push_tags(&call, &push, tags, n_tags, err);
    registry_call_close(&call);
    return failed;
}

// --- delete

int registry_manifest_delete(const struct registry_scope *scope, const char *reference, struct error *err)
{
    struct registry_call call;
    if (!digest_valid(reference) && !reference_tag_valid(reference))
        return error_set(err, ERR_REFERENCE_INVALID,
                         "The reference of a deletion is neither a tag nor a digest");
    if (registry_call_open(&call, scope, CREDENTIAL_PULL | CREDENTIAL_DELETE, NULL, err) < 0)
        return -1;
    struct http_call http;
    struct http_answer answer = {0};
    registry_call_begin(&call, &http, "DELETE", "manifests/%s", reference);
    int failed = registry_call_perform(&call, &http, &answer, err);
    if (!failed && answer.status != 202 && answer.status != 200 && answer.status != 204) {
        AUTO_FREE char *what = mem_printf("the manifest %s", reference);
        failed = registry_call_fail(&call, "DELETE", REGISTRY_MANIFEST_READ, what, &answer, err);
        if (answer.status == 405 || answer.status == 400)
            error_hint(err, "The registry does not delete%s",
                       digest_valid(reference) ? "" : " tags; delete the digest, which takes every tag of it along");
    }
    http_call_clear(&http);
    http_answer_clear(&answer);
    registry_call_close(&call);
    return failed;
}
