// SPDX-License-Identifier: Apache-2.0
//
// Reading manifests. A fresh, authorised request each time: what is cached is never proof that this job may have it. A
// config is taken from memory only behind the manifest that names it.
#include "images/resolve.h"

#include "base/mem.h"
#include "base/str.h"

static int read_config(struct resolve_step *self, struct error *err)
{
    const struct descriptor *config = &self->manifest.config;
    if (!self->want_config || self->manifest.is_index)
        return 0;
    if (!manifest_is_image(&self->manifest) && self->artifacts_too)
        return 0;
    if (!manifest_is_image(&self->manifest))
        return error_set(err, ERR_MANIFEST_UNSUPPORTED, "%s is an artifact (config of type %s), not an image",
                         self->manifest.digest.text, config->media_type);
    self->config = endpoint_config(self->endpoint, &self->manifest, &self->base, &self->config_len, err);
    return self->config ? 0 : error_wrap(err, "image config");
}

// Of a reference with tag and digest the digest decides; that the tag means something else by now is worth a word. That it
// cannot be asked is not.
static void compare_tag(struct resolve_step *self)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    const struct reference *ref = &self->endpoint->where.ref;
    struct digest now = {0};
    if (self->has_expected || self->reference || !endpoint_is_registry(self->endpoint) || !ref->tag ||
        !digest_known(&ref->digest))
        return;
    int found = endpoint_find_tag(self->endpoint, ref->tag, &self->base, &now, &ignored);
    if (found < 0 || (found && digest_equal(&now, &self->manifest.digest)))
        return;
    AUTO_FREE char *message = mem_printf("%s/%s:%s is %s, not the %s of the reference; the digest decides", ref->registry,
                                         ref->repository, ref->tag, found ? now.text : "not there",
                                         self->manifest.digest.text);
    step_event(&self->base, "warning", json_pack("{s:s, s:s}", "code", "tag-moved", "message", message));
}

static int resolve_run(struct step *step, struct error *err)
{
    struct resolve_step *self = (struct resolve_step *)step;
    manifest_clear(&self->manifest); // of a run that failed half-way
    if (endpoint_open(self->endpoint, false, step, err))
        return -1;
    if (endpoint_manifest(self->endpoint, self->reference, self->has_expected ? &self->expected : NULL, step, &self->manifest, err))
        return -1;
    compare_tag(self);
    return read_config(self, err);
}

static int resolve_done(struct step *step, struct job *job, struct error *err)
{
    struct resolve_step *self = (struct resolve_step *)step;
    return self->found(self, job, err);
}

static int resolve_failed(struct step *step, struct job *job, const struct error *err)
{
    struct resolve_step *self = (struct resolve_step *)step;
    return self->failed ? self->failed(self, job, err) : -1;
}

static void resolve_free(struct step *step)
{
    struct resolve_step *self = (struct resolve_step *)step;
    manifest_clear(&self->manifest);
    descriptor_clear(&self->expected);
    free(self->config);
    free(self->reference);
    free(self);
}

struct resolve_step *resolve_step_new(struct endpoint *endpoint, const struct descriptor *expected, bool want_config,
                                      int (*found)(struct resolve_step *step, struct job *job, struct error *err),
                                      void *plan)
{
    static const struct step_ops ops = {
        .run = resolve_run, .done = resolve_done, .free = resolve_free, .failed = resolve_failed};
    struct resolve_step *self = mem_new(struct resolve_step);
    AUTO_FREE char *name = expected ? mem_printf("resolve %.19s", expected->digest.text)
                                    : location_format(&endpoint->where);
    AUTO_FREE char *full = expected ? NULL : mem_printf("resolve %s", name);
    step_init(&self->base, &ops, full ? full : name, NULL);
    self->endpoint = endpoint;
    self->has_expected = expected != NULL;
    if (expected)
        descriptor_copy(&self->expected, expected);
    self->want_config = want_config;
    self->found = found;
    self->plan = plan;
    endpoint_gate(endpoint, &self->base);
    return self;
}
