// SPDX-License-Identifier: Apache-2.0
//
// Opening destinations, asking for tags, and writing manifests: first by digest wherever a tag alone would not put
// everything in place, last of all the tags.
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/table.h"
#include "images/publish_internal.h"

struct destination_step {
    struct step base;
    struct publish *publish;
    size_t destination;
    size_t target;            // tag steps
    const struct extra_tag *extra; // tag steps: this one instead of a target; or NULL
    struct digest *found;     // look and prepare steps: per target of the destination
    bool blob_unknown;        // result: the registry misses a blob that it was said to have
};

static struct destination *destination_of(const struct destination_step *self)
{
    return &self->publish->destinations[self->destination];
}

static void destination_free(struct step *step)
{
    struct destination_step *self = (struct destination_step *)step;
    free(self->found);
    free(self);
}

static int destination_failed(struct step *step, struct job *job, const struct error *err)
{
    (void)job;
    return publish_step_failed(((struct destination_step *)step)->publish, err);
}

static struct destination_step *make_step(struct publish *p, const struct step_ops *ops, const char *what,
                                          size_t destination)
{
    struct destination_step *self = mem_new(struct destination_step);
    const struct destination *d = &p->destinations[destination];
    AUTO_FREE char *name = mem_printf("%s %s", what, d->endpoint.key);
    step_init(&self->base, ops, name, NULL);
    self->publish = p;
    self->destination = destination;
    self->found = mem_calloc(d->n_targets, sizeof(*self->found));
    endpoint_gate(&d->endpoint, &self->base);
    return self;
}

static void submit(struct destination_step *self)
{
    self->publish->open_steps++;
    job_submit_step(self->publish->job, &self->base);
}

static bool is_archive(const struct destination *d)
{
    return !endpoint_is_registry(&d->endpoint) && d->endpoint.where.kind != LOCATION_OCI_LAYOUT;
}

// An archive is made anew, whatever was in it; to go on, what stands there has to be told first.
static int find_archived(struct destination_step *self, const struct target *target, struct digest *ret, struct error *err)
{
    int found = endpoint_find_archived(&destination_of(self)->endpoint, &target->where, &self->base, ret, err);
    if (found >= 0 || err->code == ERR_FORBIDDEN || err->code == ERR_PATH_NOT_ALLOWED)
        return found < 0 ? -1 : 0;
    AUTO_FREE char *name = location_format(&target->where), *why = mem_strdup(err->detail);
    error_clear(err);
    error_set(err, ERR_TARGET_EXISTS, "%s exists with other content: %s", name, why);
    error_hint(err, "Choose another file, or if_exists \"replace\".");
    return -1;
}

// What the tags of this destination point at now. With only_asked, just those whose if_exists wants to know.
static int find_tags(struct destination_step *self, bool only_asked, struct error *err)
{
    const struct destination *d = destination_of(self);
    for (size_t k = 0; k < d->n_targets; k++) {
        const struct target *target = &self->publish->targets->items[d->targets[k]];
        if ((only_asked || is_archive(d)) && target->if_exists == TARGET_REPLACE)
            continue;
        if (is_archive(d) && find_archived(self, target, &self->found[k], err) < 0)
            return -1;
        if (!is_archive(d) && endpoint_find_tag(&d->endpoint, endpoint_tag(&target->where), &self->base, &self->found[k], err) < 0)
            return -1;
        if (digest_known(&self->found[k]) && target->if_exists == TARGET_FAIL) {
            AUTO_FREE char *name = location_format(&target->where);
            error_set(err, ERR_TARGET_EXISTS, "%s exists already: it is %s", name, self->found[k].text);
            error_hint(err, "Choose another tag, or if_exists \"same\" or \"replace\".");
            return -1;
        }
    }
    return 0;
}

static int prepare_run(struct step *step, struct error *err)
{
    struct destination_step *self = (struct destination_step *)step;
    if (endpoint_open(&destination_of(self)->endpoint, true, step, err))
        return -1;
    return find_tags(self, true, err);
}

static int prepare_done(struct step *step, struct job *job, struct error *err)
{
    (void)job;
    (void)err;
    struct destination_step *self = (struct destination_step *)step;
    struct destination *d = destination_of(self);
    memcpy(d->found, self->found, d->n_targets * sizeof(*d->found));
    d->ready = true;
    self->publish->open_steps--;
    return 0;
}

static const struct step_ops prepare_ops = {
    .run = prepare_run, .done = prepare_done, .free = destination_free, .failed = destination_failed};

static bool needs_preparing(const struct publish *p, const struct destination *d)
{
    if (!endpoint_is_registry(&d->endpoint))
        return true;
    for (size_t k = 0; k < d->n_targets; k++)
        if (p->targets->items[d->targets[k]].if_exists != TARGET_REPLACE)
            return true;
    return false;
}

void publish_submit_prepare(struct publish *p)
{
    for (size_t i = 0; i < p->n_destinations; i++)
        if (needs_preparing(p, &p->destinations[i]))
            submit(make_step(p, &prepare_ops, "prepare", i));
        else
            p->destinations[i].ready = true;
}

static int look_run(struct step *step, struct error *err)
{
    return find_tags((struct destination_step *)step, false, err);
}

static int look_done(struct step *step, struct job *job, struct error *err)
{
    (void)job;
    (void)err;
    struct destination_step *self = (struct destination_step *)step;
    struct destination *d = destination_of(self);
    d->complete = true;
    for (size_t k = 0; k < d->n_targets; k++)
        d->complete &= digest_equal(&self->found[k], &publish_root(self->publish, d->targets[k])->digest);
    step->cached = d->complete;
    d->look = LOOK_DONE;
    self->publish->open_steps--;
    return 0;
}

static const struct step_ops look_ops = {
    .run = look_run, .done = look_done, .free = destination_free, .failed = destination_failed};

void publish_submit_look(struct publish *p, size_t destination)
{
    p->destinations[destination].look = LOOK_ASKING;
    submit(make_step(p, &look_ops, "look at", destination));
}

// Is `index` a root of one of the destination's targets?
static bool is_root(const struct publish *p, const struct destination *d, size_t index)
{
    for (size_t k = 0; k < d->n_targets; k++)
        if (p->root_of_target[d->targets[k]] == index)
            return true;
    return false;
}

static void mark_number(const struct publish *p, const struct table *by_digest, const struct digest *digest, bool *marks)
{
    const struct manifest *m = table_find(by_digest, digest->text);
    if (m)
        marks[m - p->manifests] = true;
}

// Children stand before parents, so one pass from the end follows them all down.
static void mark_children(const struct publish *p, const struct table *by_digest, bool *marks)
{
    for (size_t i = p->n_manifests; i-- > 0;)
        for (size_t k = 0; marks[i] && k < p->manifests[i].n_children; k++)
            mark_number(p, by_digest, &p->manifests[i].children[k].digest, marks);
}

// What refers to a manifest that is marked; true if there was something new.
static bool mark_referrers(const struct publish *p, const struct table *by_digest, bool *marks)
{
    bool more = false;
    for (size_t i = 0; i < p->n_manifests; i++) {
        const struct manifest *m = &p->manifests[i];
        const struct manifest *subject = m->has_subject ? table_find(by_digest, m->subject.digest.text) : NULL;
        if (marks[i] || !subject || !marks[subject - p->manifests])
            continue;
        marks[i] = more = true;
    }
    return more;
}

void publish_mark_reachable(const struct publish *p, size_t destination, bool *marks)
{
    const struct destination *d = &p->destinations[destination];
    struct table *by_digest = table_new();
    for (size_t i = 0; i < p->n_manifests; i++)
        table_put(by_digest, p->manifests[i].digest.text, &p->manifests[i]);
    for (size_t k = 0; k < d->n_targets; k++)
        marks[p->root_of_target[d->targets[k]]] = true;
    for (size_t i = 0; i < p->n_extra; i++)
        marks[p->extra[i].manifest] = true;
    do
        mark_children(p, by_digest, marks);
    while (mark_referrers(p, by_digest, marks));
    table_free(by_digest);
}

// One tag of one repository: the manifest and its tag are put by one request, and nothing else can be left behind.
static bool one_put_is_enough(const struct publish *p, const struct destination *d)
{
    return p->n_destinations == 1 && d->n_targets == 1 && endpoint_is_registry(&d->endpoint);
}

bool publish_needs_digest_push(const struct publish *p, size_t destination)
{
    const struct destination *d = &p->destinations[destination];
    if (!one_put_is_enough(p, d))
        return true;
    AUTO_FREE bool *marks = mem_calloc(p->n_manifests, sizeof(*marks));
    publish_mark_reachable(p, destination, marks);
    for (size_t i = 0; i < p->n_manifests; i++)
        if (marks[i] && !is_root(p, d, i))
            return true;
    return false;
}

// A manifest with a subject is to be found from it: registries without the referrers API keep a tag for that, layouts an entry
// of their index.
static int make_found(const struct destination *d, const struct manifest *manifest, struct step *step,
                      struct error *err)
{
    if (!manifest->has_subject)
        return 0;
    if (!endpoint_is_registry(&d->endpoint))
        return d->endpoint.where.kind == LOCATION_DOCKER_ARCHIVE
                   ? 0
                   : endpoint_push_manifest(&d->endpoint, "", manifest, step, err);
    struct registry_scope scope = endpoint_scope(&d->endpoint, step);
    return registry_referrers_add(&scope, manifest, err);
}

static int push_by_digest(const struct destination *d, const struct manifest *manifest, struct step *step,
                          struct error *err)
{
    if (monitor_check(&step->monitor, err) || endpoint_push_manifest(&d->endpoint, NULL, manifest, step, err))
        return -1;
    return make_found(d, manifest, step, err);
}

static int manifests_run(struct step *step, struct error *err)
{
    struct destination_step *self = (struct destination_step *)step;
    const struct publish *p = self->publish;
    const struct destination *d = destination_of(self);
    AUTO_FREE bool *marks = mem_calloc(p->n_manifests, sizeof(*marks));
    publish_mark_reachable(p, self->destination, marks);
    for (size_t i = 0; i < p->n_manifests; i++) {
        if (!marks[i] || (one_put_is_enough(p, d) && is_root(p, d, i)))
            continue;
        if (push_by_digest(d, &p->manifests[i], step, err))
            break;
    }
    if (err->code == ERR_BLOB_UNKNOWN && !d->healed) {
        self->blob_unknown = true;
        error_clear(err);
    }
    return err->code ? -1 : 0;
}

// The registry lacks what it was known to have: drop the facts and push everything for real, once.
static void heal(struct publish *p, size_t destination)
{
    struct destination *d = &p->destinations[destination];
    d->healed = true;
    d->manifests_done = false;
    publish_forget_facts(p, destination);
    if (p->phase == PHASE_TAGS && !p->item_failed)
        job_checkpoint(p->job, publish_journal_again(p));
    p->phase = PHASE_BLOBS;
    job_warning(p->job, "blob-unknown", "%s lacks a blob that it was known to have; pushing the blobs again",
                d->endpoint.key);
}

static int manifests_done(struct step *step, struct job *job, struct error *err)
{
    (void)job;
    (void)err;
    struct destination_step *self = (struct destination_step *)step;
    self->publish->open_steps--;
    if (self->blob_unknown)
        heal(self->publish, self->destination);
    else
        destination_of(self)->manifests_done = true;
    return 0;
}

static const struct step_ops manifests_ops = {
    .run = manifests_run, .done = manifests_done, .free = destination_free, .failed = destination_failed};

void publish_submit_manifests(struct publish *p, size_t destination)
{
    submit(make_step(p, &manifests_ops, "manifests to", destination));
}

static int tag_one(struct destination_step *self, size_t target, struct error *err)
{
    const struct publish *p = self->publish;
    const struct destination *d = destination_of(self);
    const struct manifest *root = publish_root(p, target);
    if (endpoint_push_manifest(&d->endpoint, endpoint_tag(&p->targets->items[target].where), root, &self->base, err))
        return -1;
    return one_put_is_enough(p, d) ? make_found(d, root, &self->base, err) : 0;
}

static int tag_extra(struct destination_step *self, const struct extra_tag *extra, struct error *err)
{
    return endpoint_push_manifest(&destination_of(self)->endpoint, extra->tag,
                                  &self->publish->manifests[extra->manifest], &self->base, err);
}

// A local place gets all its tags from one step, which then finishes it: an archive appears whole or not at all.
static int tag_local(struct destination_step *self, struct error *err)
{
    struct destination *d = destination_of(self);
    if (!d->endpoint.store && endpoint_open(&d->endpoint, true, &self->base, err))
        return -1;
    for (size_t k = 0; k < d->n_targets; k++)
        if (tag_one(self, d->targets[k], err))
            return -1;
    for (size_t i = 0; i < self->publish->n_extra; i++)
        if (tag_extra(self, &self->publish->extra[i], err))
            return -1;
    return endpoint_finish(&d->endpoint, err);
}

static int tag_run(struct step *step, struct error *err)
{
    struct destination_step *self = (struct destination_step *)step;
    const struct destination *d = destination_of(self);
    if (!endpoint_is_registry(&d->endpoint))
        return tag_local(self, err);
    if (!(self->extra ? tag_extra(self, self->extra, err) : tag_one(self, self->target, err)))
        return 0;
    if (err->code != ERR_BLOB_UNKNOWN || d->healed || !self->publish->n_blobs)
        return -1;
    self->blob_unknown = true;
    error_clear(err);
    return 0;
}

static int tag_done(struct step *step, struct job *job, struct error *err)
{
    (void)job;
    (void)err;
    struct destination_step *self = (struct destination_step *)step;
    self->publish->open_steps--;
    if (self->blob_unknown)
        heal(self->publish, self->destination);
    return 0;
}

static const struct step_ops tag_ops = {
    .run = tag_run, .done = tag_done, .free = destination_free, .failed = destination_failed};

static void submit_extra_tags(struct publish *p, size_t destination)
{
    for (size_t i = 0; i < p->n_extra; i++) {
        struct destination_step *self = make_step(p, &tag_ops, "tag", destination);
        self->extra = &p->extra[i];
        submit(self);
    }
}

void publish_submit_tags(struct publish *p)
{
    for (size_t i = 0; i < p->n_destinations; i++) {
        const struct destination *d = &p->destinations[i];
        bool registry = endpoint_is_registry(&d->endpoint);
        size_t steps = d->complete ? 0 : registry ? d->n_targets : 1;
        if (steps && registry)
            submit_extra_tags(p, i);
        for (size_t k = 0; k < steps; k++) {
            struct destination_step *self = make_step(p, &tag_ops, "tag", i);
            self->target = d->targets[k];
            submit(self);
        }
    }
}
