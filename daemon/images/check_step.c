// SPDX-License-Identifier: Apache-2.0
//
// Layers come through the local blob store, so that they are verified on the way and unpacked from disk; nothing is taken from
// it instead of the place that is checked.
#include "images/check_step.h"

#include "base/mem.h"
#include "images/layer_fetch.h"
#include "layers/unpack_stream.h"
#include "layout/image_store.h"

enum { HASH_BUFFER = 256 << 10 };

static int look(struct check_step *self, struct error *err)
{
    int64_t size = -1;
    int there = 1;
    if (endpoint_is_registry(self->endpoint)) {
        struct registry_scope scope = endpoint_scope(self->endpoint, &self->base);
        there = registry_blob_head(&scope, &self->blob.digest, &size, err);
    } else {
        size = image_store_blob_size(self->endpoint->store, &self->blob.digest);
        there = size >= 0;
    }
    if (there < 0)
        return -1;
    if (!there)
        return error_set(err, ERR_BLOB_UNKNOWN, "the blob %s is missing in %s", self->blob.digest.text,
                         self->endpoint->key);
    if (size >= 0 && size != self->blob.size)
        return error_set(err, ERR_DIGEST_MISMATCH, "the blob %s has %lld bytes, its descriptor says %lld",
                         self->blob.digest.text, (long long)size, (long long)self->blob.size);
    return 0;
}

static int check_digest(struct check_step *self, struct reader_at *reader, struct error *err)
{
    struct hasher *hasher = hasher_new(self->blob.digest.algorithm);
    AUTO_FREE char *bytes = mem_alloc(HASH_BUFFER);
    int64_t offset = 0;
    ssize_t got = 0;
    while (!monitor_check(&self->base.monitor, err) &&
           (got = reader_at_read(reader, bytes, HASH_BUFFER, offset, err)) > 0) {
        hasher_update(hasher, bytes, (size_t)got);
        offset += got;
    }
    struct digest digest = {0};
    hasher_finish(hasher, &digest);
    hasher_free(hasher);
    if (err->code != ERR_NONE)
        return -1;
    if (offset == self->blob.size && digest_equal(&digest, &self->blob.digest))
        return 0;
    return error_set(err, ERR_DIGEST_MISMATCH, "the content of %s is not what its name says: it is %s with %lld bytes",
                     self->blob.digest.text, digest.text, (long long)offset);
}

static int check_layer(struct check_step *self, struct reader_at *reader, struct error *err)
{
    struct unpack_facts facts;
    if (unpack_check(reader, self->blob.digest.text, &self->base.monitor, &facts, err))
        return -1;
    if (!digest_known(&self->diff_id) || digest_equal(&self->diff_id, &facts.diff_id))
        return 0;
    return error_set(err, ERR_DIGEST_MISMATCH, "the layer %s unpacks to %s, the image config says %s",
                     self->blob.digest.text, facts.diff_id.text, self->diff_id.text);
}

static int look_deep(struct check_step *self, struct error *err)
{
    struct reader_at *reader = layer_fetch(self->endpoint, &self->blob, true, &self->base, err);
    if (!reader)
        return -1;
    int result = endpoint_is_registry(self->endpoint) ? 0 : check_digest(self, reader, err); // a pull verified it
    if (!result && self->is_layer)
        result = check_layer(self, reader, err);
    reader_at_close(reader);
    return result;
}

static int check_run(struct step *step, struct error *err)
{
    struct check_step *self = (struct check_step *)step;
    if (!(self->deep ? look_deep(self, err) : look(self, err)))
        return 0;
    if (err->retryable || err->code == ERR_CANCELLED || err->code == ERR_NO_SPACE)
        return -1;
    error_move(&self->finding, err);
    return 0;
}

static int check_done(struct step *step, struct job *job, struct error *err)
{
    (void)err;
    struct check_step *self = (struct check_step *)step;
    self->checked(self, job);
    return 0;
}

static int check_failed(struct step *step, struct job *job, const struct error *err)
{
    struct check_step *self = (struct check_step *)step;
    if (err->code == ERR_NO_SPACE)
        return -1;
    error_copy(&self->finding, err);
    self->checked(self, job);
    return 0;
}

static void check_free(struct step *step)
{
    struct check_step *self = (struct check_step *)step;
    descriptor_clear(&self->blob);
    error_clear(&self->finding);
    free(self);
}

struct check_step *check_step_new(struct endpoint *endpoint, const struct descriptor *blob, bool deep,
                                  void (*checked)(struct check_step *step, struct job *job), void *plan)
{
    static const struct step_ops ops = {
        .run = check_run, .done = check_done, .free = check_free, .failed = check_failed};
    struct check_step *self = mem_new(struct check_step);
    AUTO_FREE char *name = mem_printf("check %.19s", blob->digest.text);
    step_init(&self->base, &ops, name, NULL);
    self->endpoint = endpoint;
    descriptor_copy(&self->blob, blob);
    self->deep = deep;
    self->finding = ERROR_INIT;
    self->checked = checked;
    self->plan = plan;
    endpoint_gate(endpoint, &self->base);
    return self;
}
