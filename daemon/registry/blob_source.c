// SPDX-License-Identifier: Apache-2.0
//
// Opening the source of a blob_push. Foreign layers' URLs come out of a manifest, so they get no credential
// of ours and pass the URL policy; the digest is checked whoever answers.
#include "registry/blob_source.h"

#include "base/mem.h"
#include "net/transfer.h"
#include "registry/upload.h"

static struct registry *any_registry(const struct blob_push *push)
{
    struct registry *registry = push->from ? push->from->registry : NULL;
    for (size_t i = 0; i < push->n_targets && !registry; i++)
        registry = push->targets[i].scope.registry;
    return registry;
}

static struct transfer *make(const struct blob_push *push, const struct blob_part *part)
{
    const struct registry *registry = any_registry(push);
    struct transfer *transfer =
        transfer_new(registry ? registry->transport : NULL, registry ? registry->hosts : NULL, &push->digest,
                     push->size, push->monitor);
    if (part)
        transfer_set_part(transfer, part->first, part->end, part->hasher);
    return transfer;
}

void blob_source_close(struct blob_source *source)
{
    if (source->call_open)
        registry_call_close(&source->call);
    source->call_open = false;
}

static struct transfer *open_reader(const struct blob_push *push, const struct blob_part *part,
                                    struct error *err)
{
    struct transfer *transfer = make(push, part);
    if (transfer_open_reader(transfer, push->reader, err) == 0)
        return transfer;
    transfer_free(transfer);
    return NULL;
}

static struct transfer *open_url(struct blob_source *source, const struct blob_push *push,
                                 const struct blob_part *part, const char *text, struct error *err)
{
    struct http_call http = {.method = "GET", .monitor = push->monitor};
    struct http_answer answer = {0};
    struct url_verdict verdict = {0};
    struct transfer *transfer = make(push, part);
    bool open = url_parse(&http.url, text, err) == 0 &&
                url_policy_check(&source->call.base, &http.url, URL_FOREIGN_LAYER,
                                 push->from->registry->hosts, &verdict, err) == 0;
    http.private_allowed = verdict.private_allowed;
    open = open && transfer_open_get(transfer, &http, NULL, &answer, err) == 0;
    if (open && answer.status != 200 && answer.status != 206) {
        error_set(err, ERR_REGISTRY_ERROR, "%s answered %d", http.url.host, answer.status);
        open = false;
    }
    http_call_clear(&http);
    http_answer_clear(&answer);
    if (open)
        return transfer;
    transfer_free(transfer);
    return NULL;
}

// why: what was wrong with the last of the URLs.
static struct transfer *open_foreign(struct blob_source *source, const struct blob_push *push,
                                     const struct blob_part *part, struct error *why)
{
    size_t i;
    json_t *value;
    json_array_foreach((json_t *)push->from_urls, i, value) {
        const char *text = json_string_value(value);
        error_clear(why);
        struct transfer *transfer = text ? open_url(source, push, part, text, why) : NULL;
        if (transfer)
            return transfer;
    }
    return NULL;
}

static struct transfer *open_call(struct blob_source *source, const struct blob_push *push,
                                  const struct blob_part *part, struct error *err)
{
    struct transfer *transfer = make(push, part);
    if (registry_call_blob_open(&source->call, &push->digest, transfer, err) == 0)
        return transfer;
    transfer_free(transfer);
    return NULL;
}

static struct transfer *open_mirrors(struct blob_source *source, const struct blob_push *push,
                                     const struct blob_part *part)
{
    for (char **mirror = registry_call_mirrors(push->from); mirror && *mirror; mirror++) {
        CLEANUP(error_clear) struct error why = ERROR_INIT;
        if (registry_call_open_mirror(&source->call, push->from, *mirror, &why) < 0)
            continue;
        source->call_open = true;
        struct transfer *transfer = open_call(source, push, part, &why);
        if (transfer)
            return transfer;
        blob_source_close(source);
    }
    return NULL;
}

static struct transfer *open_registry(struct blob_source *source, const struct blob_push *push,
                                      const struct blob_part *part, struct error *err)
{
    struct transfer *transfer = open_mirrors(source, push, part);
    if (transfer)
        return transfer;
    if (registry_call_open(&source->call, push->from, CREDENTIAL_PULL, NULL, err) < 0)
        return NULL;
    source->call_open = true;
    CLEANUP(error_clear) struct error why = ERROR_INIT;
    transfer = push->from_urls ? open_foreign(source, push, part, &why) : NULL;
    if (!transfer && !(transfer = open_call(source, push, part, err)) && why.detail)
        error_hint(err, "It should have come from the layer's URLs, but: %s", why.detail);
    return transfer;
}

struct transfer *blob_source_open(struct blob_source *source, const struct blob_push *push,
                                  const struct blob_part *part, struct error *err)
{
    *source = (struct blob_source){0};
    struct transfer *transfer =
        push->reader ? open_reader(push, part, err) : open_registry(source, push, part, err);
    if (!transfer)
        blob_source_close(source);
    return transfer;
}
