// SPDX-License-Identifier: Apache-2.0
//
// The dry run: what each destination has, what could be mounted, what would have to be sent. Asks with this job's credentials,
// exactly as publishing would, and writes nothing anywhere.
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "images/local_store.h"
#include "images/publish_internal.h"
#include "layout/image_store.h"

enum { REQUESTS_OF_UPLOAD = 2 }; // POST and PUT

struct survey_step {
    struct step base;
    struct publish *publish;
    size_t destination;
    const char **known;     // per blob: why nothing is asked, or NULL
    char **mounts;          // per blob: a repository to mount from, or NULL
    bool *exists;           // result, per blob
    struct digest *found;   // result, per target of the destination
};

static const struct destination *destination_of(const struct survey_step *self)
{
    return &self->publish->destinations[self->destination];
}

static int ask_registry(struct survey_step *self, struct error *err)
{
    const struct publish *p = self->publish;
    const struct destination *d = destination_of(self);
    struct registry_scope scope = endpoint_scope(&d->endpoint, &self->base);
    for (size_t i = 0; i < p->n_blobs; i++) {
        int64_t size;
        int there = self->known[i] ? 1 : registry_blob_head(&scope, &p->blobs[i]->what.descriptor.digest, &size, err);
        if (there < 0)
            return -1;
        self->exists[i] = there > 0;
    }
    for (size_t k = 0; k < d->n_targets; k++)
        if (endpoint_find_tag(&d->endpoint, endpoint_tag(&p->targets->items[d->targets[k]].where), &self->base,
                              &self->found[k], err) < 0)
            return -1;
    return 0;
}

// A layout that is not there yet has nothing; an archive is made anew.
static int ask_layout(struct survey_step *self, struct error *err)
{
    const struct publish *p = self->publish;
    const struct endpoint *endpoint = &destination_of(self)->endpoint;
    if (endpoint->where.kind != LOCATION_OCI_LAYOUT)
        return 0;
    struct image_store *store =
        local_store_open_output(p->context, &endpoint->where, job_owner_uid(p->job), &self->base.monitor, err);
    if (!store) {
        bool absent = err->code == ERR_PATH_NOT_FOUND || err->code == ERR_IMAGE_NOT_FOUND;
        if (absent)
            error_clear(err);
        return absent ? 0 : -1;
    }
    for (size_t i = 0; i < p->n_blobs; i++)
        self->exists[i] = image_store_blob_size(store, &p->blobs[i]->what.descriptor.digest) >= 0;
    image_store_close(store);
    return 0;
}

static int survey_run(struct step *step, struct error *err)
{
    struct survey_step *self = (struct survey_step *)step;
    return endpoint_is_registry(&destination_of(self)->endpoint) ? ask_registry(self, err) : ask_layout(self, err);
}

static void add_blob_row(struct survey_step *self, size_t number)
{
    struct publish *p = self->publish;
    const struct publish_blob *what = &p->blobs[number]->what;
    bool registry = endpoint_is_registry(&destination_of(self)->endpoint);
    bool there = !p->force && (self->known[number] || self->exists[number]);
    const char *action = there ? "exists" : self->mounts[number] ? "mount" : "upload";
    json_t *row = json_pack("{s:s, s:s, s:s, s:I, s:I, s:s}", "blob", what->label, "digest",
                            what->descriptor.digest.text, "media_type", what->descriptor.media_type, "size",
                            (json_int_t)what->descriptor.size, "target",
                            (json_int_t)publish_first_target(p, self->destination), "action", action);
    if (!there && self->mounts[number])
        json_object_set_new(row, "from", json_string(self->mounts[number]));
    json_array_append_new(json_object_get(p->survey, "blobs"), row);
    if (!there && !self->mounts[number])
        p->survey_bytes += what->descriptor.size;
    if (registry && !self->known[number])
        p->survey_requests += there || self->mounts[number] ? 1 : REQUESTS_OF_UPLOAD;
}

static void add_manifest_rows(struct survey_step *self)
{
    struct publish *p = self->publish;
    const struct destination *d = destination_of(self);
    AUTO_FREE bool *marks = mem_calloc(p->n_manifests, sizeof(*marks));
    publish_mark_reachable(p, self->destination, marks);
    bool in_place = true;
    for (size_t k = 0; k < d->n_targets; k++)
        in_place &= digest_equal(&self->found[k], &publish_root(p, d->targets[k])->digest);
    for (size_t i = 0; i < p->n_manifests; i++) {
        if (!marks[i])
            continue;
        const struct manifest *m = &p->manifests[i];
        json_array_append_new(json_object_get(p->survey, "manifests"),
                              json_pack("{s:s, s:s, s:I, s:I, s:s}", "digest", m->digest.text, "media_type",
                                        m->media_type, "size", (json_int_t)m->len, "target",
                                        (json_int_t)publish_first_target(p, self->destination), "action",
                                        in_place ? "exists" : "upload"));
        p->survey_requests += endpoint_is_registry(&d->endpoint) && !in_place;
    }
}

static void add_tag_rows(struct survey_step *self)
{
    struct publish *p = self->publish;
    const struct destination *d = destination_of(self);
    for (size_t k = 0; k < d->n_targets; k++) {
        AUTO_FREE char *name = location_format(&p->targets->items[d->targets[k]].where);
        const struct digest *now = &self->found[k], *then = &publish_root(p, d->targets[k])->digest;
        const char *action = !digest_known(now) ? "create" : digest_equal(now, then) ? "exists" : "move";
        json_array_append_new(json_object_get(p->survey, "tags"),
                              json_pack("{s:s, s:s, s:s, s:s?}", "ref", name, "digest", then->text, "action", action,
                                        "from", digest_known(now) ? now->text : NULL));
    }
}

static int survey_done(struct step *step, struct job *job, struct error *err)
{
    (void)job;
    (void)err;
    struct survey_step *self = (struct survey_step *)step;
    for (size_t i = 0; i < self->publish->n_blobs; i++)
        add_blob_row(self, i);
    add_manifest_rows(self);
    add_tag_rows(self);
    self->publish->open_steps--;
    return 0;
}

static int survey_failed(struct step *step, struct job *job, const struct error *err)
{
    (void)job;
    return publish_step_failed(((struct survey_step *)step)->publish, err);
}

static void survey_free(struct step *step)
{
    struct survey_step *self = (struct survey_step *)step;
    for (size_t i = 0; i < self->publish->n_blobs; i++)
        free(self->mounts[i]);
    free(self->mounts);
    free(self->known);
    free(self->exists);
    free(self->found);
    free(self);
}

void publish_submit_survey(struct publish *p)
{
    static const struct step_ops ops = {
        .run = survey_run, .done = survey_done, .free = survey_free, .failed = survey_failed};
    p->survey = json_pack("{s:[], s:[], s:[]}", "blobs", "manifests", "tags");
    for (size_t i = 0; i < p->n_destinations; i++) {
        const struct destination *d = &p->destinations[i];
        struct survey_step *self = mem_new(struct survey_step);
        AUTO_FREE char *name = mem_printf("look at %s", d->endpoint.key);
        step_init(&self->base, &ops, name, NULL);
        self->publish = p;
        self->destination = i;
        self->known = mem_calloc(p->n_blobs + 1, sizeof(*self->known));
        self->mounts = mem_calloc(p->n_blobs + 1, sizeof(*self->mounts));
        self->exists = mem_calloc(p->n_blobs + 1, sizeof(*self->exists));
        self->found = mem_calloc(d->n_targets, sizeof(*self->found));
        for (size_t k = 0; k < p->n_blobs; k++) {
            self->known[k] = publish_why_known(p, p->blobs[k], d);
            self->mounts[k] = publish_mount_candidate(p, p->blobs[k], d);
        }
        endpoint_gate(&d->endpoint, &self->base);
        p->open_steps++;
        job_submit_step(p->job, &self->base);
    }
}

json_t *publish_survey_result(struct publish *p)
{
    const struct manifest *root = publish_root(p, 0);
    json_t *plan = p->survey ? json_incref(p->survey) : json_object();
    json_object_set_new(plan, "bytes_to_send", json_integer(p->survey_bytes));
    json_object_set_new(plan, "requests", json_integer(p->survey_requests));
    return json_pack("{s:b, s:s, s:s, s:I, s:[], s:o}", "dry_run", 1, "digest", root->digest.text, "media_type",
                     root->media_type, "size", (json_int_t)root->len, "refs", "plan", plan);
}
