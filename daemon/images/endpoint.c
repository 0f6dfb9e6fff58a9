// SPDX-License-Identifier: Apache-2.0
//
// Registry or layout, chosen by the location's kind in each call.
#include "images/endpoint.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "credentials/credentials.h"
#include "images/config_memory.h"
#include "images/local_store.h"
#include "jobs/job.h"
#include "layout/image_store.h"

enum { CONFIG_BYTES_MAX = 8 << 20 };

void endpoint_init(struct endpoint *endpoint, struct image_context *context, const struct location *where,
                   struct credential_set *auth)
{
    *endpoint = (struct endpoint){.context = context, .uid = -1, .auth = auth ? credential_set_ref(auth) : NULL};
    location_copy(&endpoint->where, where);
    if (where->kind == LOCATION_REGISTRY)
        endpoint->key = mem_printf("%s/%s", where->ref.registry, where->ref.repository);
    else
        endpoint->key = mem_printf("file:%s", where->path ? where->path : "");
}

void endpoint_fini(struct endpoint *endpoint)
{
    image_store_close(endpoint->store);
    if (endpoint->auth)
        credential_set_unref(endpoint->auth);
    location_clear(&endpoint->where);
    free(endpoint->mount_from);
    free(endpoint->key);
    *endpoint = (struct endpoint){0};
}

bool endpoint_is_registry(const struct endpoint *endpoint)
{
    return endpoint->where.kind == LOCATION_REGISTRY;
}

int endpoint_open(struct endpoint *endpoint, bool for_writing, struct step *step, struct error *err)
{
    if (endpoint_is_registry(endpoint) || endpoint->where.kind == LOCATION_SCRATCH || endpoint->store)
        return 0;
    int64_t uid = step && step->job ? job_owner_uid(step->job) : endpoint->uid;
    endpoint->store = local_store_open(endpoint->context, &endpoint->where, for_writing, uid,
                                       step ? &step->monitor : NULL, err);
    return endpoint->store ? 0 : -1;
}

static void warn(void *arg, const char *text)
{
    AUTO_FREE char *quoted = str_quote(text, 1024);
    step_event(arg, "warning", json_pack("{s:s, s:s}", "code", "registry-warning", "message", quoted));
}

struct registry_scope endpoint_scope(const struct endpoint *endpoint, struct step *step)
{
    return (struct registry_scope){
        .registry = endpoint->context->registry,
        .host = endpoint->where.ref.registry,
        .repository = endpoint->where.ref.repository,
        .mount_from = endpoint->mount_from,
        .auth = endpoint->auth,
        .monitor = step ? &step->monitor : NULL,
        .warning = step ? warn : NULL,
        .warning_arg = step,
    };
}

static int local_manifest(const struct endpoint *endpoint, const char *reference, const struct descriptor *expected,
                          struct step *step, struct manifest *ret, struct error *err)
{
    if (expected)
        return image_store_manifest(endpoint->store, expected, ret, err);
    struct descriptor found = {0};
    int result = image_store_resolve(endpoint->store, reference ? reference : endpoint->where.name,
                                     step ? &step->monitor : NULL, &found, err);
    if (!result)
        result = image_store_manifest(endpoint->store, &found, ret, err);
    descriptor_clear(&found);
    return result;
}

int endpoint_manifest(const struct endpoint *endpoint, const char *reference, const struct descriptor *expected,
                      struct step *step, struct manifest *ret, struct error *err)
{
    if (!endpoint_is_registry(endpoint))
        return local_manifest(endpoint, reference, expected, step, ret, err);
    struct registry_scope scope = endpoint_scope(endpoint, step);
    if (!reference)
        reference = expected ? expected->digest.text : reference_target(&endpoint->where.ref);
    if (registry_manifest_pull(&scope, reference, ret, err))
        return -1;
    if (!expected || !manifest_verify(ret, expected, err))
        return 0;
    manifest_clear(ret);
    return -1;
}

static char *read_local(const struct endpoint *endpoint, const struct descriptor *blob, struct error *err)
{
    struct reader_at *reader = image_store_blob_open(endpoint->store, &blob->digest, err);
    if (!reader)
        return NULL;
    AUTO_FREE char *bytes = mem_alloc((size_t)blob->size + 1);
    ssize_t got = reader->size == blob->size ? reader_at_read(reader, bytes, (size_t)blob->size, 0, err) : blob->size + 1;
    reader_at_close(reader);
    if (got < 0)
        return NULL;
    struct digest digest = {0};
    if (got == blob->size)
        digest_of(&digest, blob->digest.algorithm, bytes, (size_t)got);
    if (!digest_equal(&digest, &blob->digest)) {
        error_set(err, ERR_DIGEST_MISMATCH, "the blob %s in %s does not have the content that its name says",
                  blob->digest.text, endpoint->where.path);
        return NULL;
    }
    bytes[got] = '\0';
    return mem_take(bytes);
}

char *endpoint_read(const struct endpoint *endpoint, const struct descriptor *blob, size_t max, struct step *step,
                    size_t *ret_len, struct error *err)
{
    if (blob->size > (int64_t)max) {
        error_set(err, ERR_TOO_LARGE, "the blob %s has %lld bytes; at most %zu are accepted here", blob->digest.text,
                  (long long)blob->size, max);
        return NULL;
    }
    if (endpoint_is_registry(endpoint)) {
        struct registry_scope scope = endpoint_scope(endpoint, step);
        return registry_blob_read(&scope, &blob->digest, blob->size, max, ret_len, err);
    }
    *ret_len = (size_t)blob->size;
    return read_local(endpoint, blob, err);
}

char *endpoint_config(const struct endpoint *endpoint, const struct manifest *manifest, struct step *step, size_t *ret_len,
                      struct error *err)
{
    const struct descriptor *config = &manifest->config;
    bool kept = endpoint->context->configs && endpoint_is_registry(endpoint) && !endpoint->auth;
    char *bytes =
        kept ? config_memory_find(endpoint->context->configs, endpoint->key, &config->digest, ret_len) : NULL;
    if (bytes)
        return bytes;
    bytes = endpoint_read(endpoint, config, CONFIG_BYTES_MAX, step, ret_len, err);
    if (bytes && kept)
        config_memory_put(endpoint->context->configs, endpoint->key, &config->digest, bytes, *ret_len);
    return bytes;
}

static int write_local_manifest(const struct endpoint *endpoint, const char *tag, const struct manifest *manifest,
                                struct error *err)
{
    if (!tag)
        return image_store_put_manifest(endpoint->store, manifest, err);
    struct descriptor descriptor;
    descriptor_init(&descriptor, manifest->media_type, &manifest->digest, (int64_t)manifest->len);
    int result = image_store_tag(endpoint->store, &descriptor, *tag ? tag : NULL, err);
    descriptor_clear(&descriptor);
    return result;
}

int endpoint_push_manifest(const struct endpoint *endpoint, const char *reference, const struct manifest *manifest,
                           struct step *step, struct error *err)
{
    if (!endpoint_is_registry(endpoint))
        return write_local_manifest(endpoint, reference, manifest, err);
    struct registry_scope scope = endpoint_scope(endpoint, step);
    return registry_manifest_push(&scope, reference ? reference : manifest->digest.text, manifest->media_type,
                                  manifest->bytes, manifest->len, &manifest->digest, err);
}

static int find_local_tag(const struct endpoint *endpoint, const char *tag, struct step *step, struct digest *ret,
                          struct error *err)
{
    struct descriptor found = {0};
    struct error why = ERROR_INIT;
    int result = image_store_resolve(endpoint->store, tag, step ? &step->monitor : NULL, &found, &why) ? -1 : 1;
    if (result == 1)
        *ret = found.digest;
    else if (why.code == ERR_IMAGE_NOT_FOUND)
        result = 0;
    if (result < 0)
        error_move(err, &why);
    error_clear(&why);
    descriptor_clear(&found);
    return result;
}

int endpoint_find_tag(const struct endpoint *endpoint, const char *tag, struct step *step, struct digest *ret,
                      struct error *err)
{
    if (!endpoint_is_registry(endpoint)) // an archive is made anew: it has no tags yet
        return tag && *tag && endpoint->where.kind == LOCATION_OCI_LAYOUT
                   ? find_local_tag(endpoint, tag, step, ret, err)
                   : 0;
    struct registry_scope scope = endpoint_scope(endpoint, step);
    AUTO_FREE char *media_type = NULL;
    int64_t size;
    return registry_manifest_head(&scope, tag, ret, &media_type, &size, err);
}

// Of a docker-archive, which has no manifests, the config tells what the image is.
static int digest_in(struct image_store *store, const struct location *where, struct step *step, struct digest *ret,
                     struct error *err)
{
    struct descriptor found = {0};
    struct manifest manifest;
    if (image_store_resolve(store, where->name, &step->monitor, &found, err))
        return -1;
    int result = 1;
    *ret = found.digest;
    if (where->kind == LOCATION_DOCKER_ARCHIVE) {
        result = image_store_manifest(store, &found, &manifest, err) ? -1 : 1;
        if (result == 1) {
            *ret = manifest.config.digest;
            manifest_clear(&manifest);
        }
    }
    descriptor_clear(&found);
    return result;
}

int endpoint_find_archived(const struct endpoint *endpoint, const struct location *where, struct step *step,
                           struct digest *ret, struct error *err)
{
    int64_t uid = step->job ? job_owner_uid(step->job) : endpoint->uid;
    struct image_store *store = local_store_open_output(endpoint->context, where, uid, &step->monitor, err);
    if (!store) {
        bool absent = err->code == ERR_PATH_NOT_FOUND;
        if (absent)
            error_clear(err);
        return absent ? 0 : -1;
    }
    int result = digest_in(store, where, step, ret, err);
    image_store_close(store);
    return result;
}

int endpoint_finish(const struct endpoint *endpoint, struct error *err)
{
    return endpoint->store ? image_store_finish(endpoint->store, err) : 0;
}

const char *endpoint_tag(const struct location *where)
{
    if (where->kind == LOCATION_REGISTRY)
        return reference_tag(&where->ref);
    return where->name ? where->name : "";
}

void endpoint_gate(const struct endpoint *endpoint, struct step *step)
{
    if (!endpoint_is_registry(endpoint))
        return;
    for (int i = 0; i < STEP_HOSTS_MAX; i++) {
        if (!step->hosts[i]) {
            step->hosts[i] = mem_strdup(endpoint->where.ref.registry);
            return;
        }
        if (str_equal(step->hosts[i], endpoint->where.ref.registry))
            return;
    }
}
