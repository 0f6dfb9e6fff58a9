// SPDX-License-Identifier: Apache-2.0
//
// Blobs: one step moves one blob from its source to every destination that lacks it (blob_step.h). Known facts save the step, what
// others move is waited for; what a step finds out becomes a fact.
#include "images/blob_step.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "blobs/blob_graph.h"
#include "blobs/blob_store.h"

enum { FLIGHT_KEY_MAX = 1 << 20 };

static const char *how_counted(const struct blob *blob, enum blob_how how)
{
    if (how == HOW_MOUNTED)
        return "mounted";
    if (how != HOW_MOVED)
        return "exists";
    return str_equal(blob->what.how_made, "cached") ? "cache" : "copied";
}

static void settle(struct publish *p, struct blob *blob, size_t destination, enum blob_how how)
{
    struct job_progress *progress = job_progress_get(p->job);
    int64_t size = blob->what.descriptor.size;
    blob->how[destination] = how;
    metrics_add(METRIC_BLOB_BYTES, size, how_counted(blob, how), NULL, NULL);
    progress->blobs_done++;
    if (how == HOW_MOVED)
        progress->bytes_done += size;
    else if (how == HOW_MOUNTED)
        progress->bytes_mounted += size;
    else
        progress->bytes_skipped += size;
}

static void learn(struct publish *p, const struct blob *blob, size_t destination)
{
    const struct endpoint *endpoint = &p->destinations[destination].endpoint;
    if (endpoint_is_registry(endpoint))
        blob_graph_add(p->context->graph, p->identity, endpoint->key, &blob->what.descriptor.digest);
}

static int blob_done(struct step *step, struct job *job, struct error *err)
{
    (void)job;
    (void)err;
    struct blob_step *self = (struct blob_step *)step;
    struct publish *p = self->publish;
    for (size_t i = 0; i < self->count; i++) {
        settle(p, self->blob, self->destinations[i], self->how[i]);
        learn(p, self->blob, self->destinations[i]);
    }
    self->blob->open = false;
    p->open_steps--;
    return 0;
}

// Where the image comes from is the registry that it goes to.
static bool is_neighbour_of_source(const struct blob *blob, const struct destination *d)
{
    const struct endpoint *from = blob->what.from;
    return from && endpoint_is_registry(from) && endpoint_is_registry(&d->endpoint) &&
           str_equal(from->where.ref.registry, d->endpoint.where.ref.registry);
}

// One upload serves all repositories of a registry: jobs that want the same blob at the same registries have one key, whoever
// moves it is waited for, and the others mount from there. What can be mounted from the source waits only for those that want
// it at the very same place; so it is after that wait, too.
static char *flight_key(const struct blob_step *self)
{
    const struct publish *p = self->publish;
    if (self->force)
        return NULL;
    struct strbuf key = STRBUF_INIT(FLIGHT_KEY_MAX);
    strbuf_printf(&key, "blob %s %s", self->blob->what.descriptor.digest.text, p->identity);
    for (size_t i = 0; i < self->count; i++) {
        const struct endpoint *place = blob_step_place(self, i);
        bool exact = self->waited || !endpoint_is_registry(place) ||
                     is_neighbour_of_source(self->blob, &p->destinations[self->destinations[i]]);
        strbuf_printf(&key, " %s", exact ? place->key : place->where.ref.registry);
    }
    return strbuf_take(&key);
}

static void wait_for_same_places_only(struct blob_step *self)
{
    self->waited = true;
    free(self->base.flight_key);
    self->base.flight_key = flight_key(self);
}

// A repository that gives trouble does not hold up what goes to others.
static bool blob_parts(struct step *step)
{
    struct blob_step *self = (struct blob_step *)step;
    if (self->waited || !step->flight_key)
        return false;
    wait_for_same_places_only(self);
    return true;
}

// Another job moved the same blob to the same registries with the same credentials while we waited: to the very same places, or
// to repositories that it can be mounted from.
static bool blob_joins(struct step *step, const struct step *other)
{
    struct blob_step *self = (struct blob_step *)step;
    bool same = true;
    for (size_t i = 0; i < self->count; i++) {
        const struct endpoint *theirs = blob_step_place((const struct blob_step *)other, i);
        bool here = str_equal(blob_step_place(self, i)->key, theirs->key);
        same &= here;
        if (here || !endpoint_is_registry(theirs))
            continue;
        free(self->mounts[i]);
        self->mounts[i] = mem_strdup(theirs->where.ref.repository);
    }
    if (same)
        return true;
    wait_for_same_places_only(self);
    return false;
}

static int blob_joined(struct step *step, struct step *other, struct job *job, struct error *err)
{
    (void)other;
    (void)job;
    (void)err;
    struct blob_step *self = (struct blob_step *)step;
    struct publish *p = self->publish;
    for (size_t i = 0; i < self->count; i++) {
        settle(p, self->blob, self->destinations[i], HOW_JOINED);
        learn(p, self->blob, self->destinations[i]);
        publish_blob_state(p, self->blob, self->destinations[i], "joined", "another job moved it");
    }
    self->blob->open = false;
    p->open_steps--;
    return 0;
}

static void blob_free(struct step *step)
{
    struct blob_step *self = (struct blob_step *)step;
    for (size_t i = 0; i < self->count; i++) {
        free(self->mounts[i]);
        if (self->uploads[i])
            upload_journal_release(self->uploads[i]);
    }
    free(self->mounts);
    free(self->uploads);
    free(self->destinations);
    free(self->how);
    free(self);
}

static int blob_failed(struct step *step, struct job *job, const struct error *err)
{
    (void)job;
    return publish_step_failed(((struct blob_step *)step)->publish, err);
}

static const struct step_ops blob_ops = {.run = blob_step_run,
                                         .done = blob_done,
                                         .joined = blob_joined,
                                         .joins = blob_joins,
                                         .parts = blob_parts,
                                         .free = blob_free,
                                         .failed = blob_failed};

// A repository of the same registry that should have the blob: where the image comes from, else what the graph remembers.
char *publish_mount_candidate(const struct publish *p, const struct blob *blob, const struct destination *d)
{
    if (!endpoint_is_registry(&d->endpoint))
        return NULL;
    const struct reference *to = &d->endpoint.where.ref;
    const struct endpoint *from = blob->what.from;
    if (is_neighbour_of_source(blob, d))
        return str_equal(from->where.ref.repository, to->repository) ? NULL
                                                                    : mem_strdup(from->where.ref.repository);
    const char *known = blob_graph_find_mount(p->context->graph, p->identity, to->registry,
                                              &blob->what.descriptor.digest);
    if (!known || str_equal(known, d->endpoint.key) || strlen(known) <= strlen(to->registry) + 1)
        return NULL;
    return mem_strdup(known + strlen(to->registry) + 1);
}

// The source repository is the destination: what its manifest names is there. Only the bytes of foreign layers may lie elsewhere.
static bool is_in_place(const struct blob *blob, const struct destination *d)
{
    return blob->what.from && !blob->what.descriptor.urls && str_equal(blob->what.from->key, d->endpoint.key);
}

// The reason for which nothing has to be asked; NULL: there is none.
const char *publish_why_known(const struct publish *p, const struct blob *blob, const struct destination *d)
{
    if (d->complete)
        return "the tag is there already";
    if (p->force || d->healed)
        return NULL;
    if (is_in_place(blob, d))
        return "same repository";
    if (endpoint_is_registry(&d->endpoint) &&
        blob_graph_has(p->context->graph, p->identity, d->endpoint.key, &blob->what.descriptor.digest))
        return "known";
    return NULL;
}

void publish_settle_known(struct publish *p, struct blob *blob)
{
    for (size_t i = 0; i < p->n_destinations; i++) {
        const char *why = blob->how[i] == HOW_PENDING ? publish_why_known(p, blob, &p->destinations[i]) : NULL;
        if (!why)
            continue;
        settle(p, blob, i, HOW_KNOWN);
        publish_blob_state(p, blob, i, "exists", why);
    }
}

static struct blob_step *make_step(struct publish *p, struct blob *blob, size_t wanting)
{
    struct blob_step *self = mem_new(struct blob_step);
    AUTO_FREE char *name = mem_printf("blob %.19s", blob->what.descriptor.digest.text);
    step_init(&self->base, &blob_ops, name, blob->what.label);
    self->publish = p;
    self->blob = blob;
    self->force = p->force;
    self->destinations = mem_calloc(wanting, sizeof(*self->destinations));
    self->mounts = mem_calloc(wanting, sizeof(*self->mounts));
    self->uploads = mem_calloc(wanting, sizeof(*self->uploads));
    self->keep_sessions = p->context->uploads && blob->what.descriptor.size > BLOB_PUSH_KEPT_BYTES;
    self->how = mem_calloc(wanting, sizeof(*self->how));
    for (size_t i = 0; i < p->n_destinations; i++) {
        const struct destination *d = &p->destinations[i];
        if (blob->how[i] != HOW_PENDING)
            continue;
        self->force |= d->healed;
        self->mounts[self->count] = self->force ? NULL : publish_mount_candidate(p, blob, d);
        if (self->keep_sessions && endpoint_is_registry(&d->endpoint))
            self->uploads[self->count] =
                upload_journal_claim(p->context->uploads, p->job, &d->endpoint, &blob->what.descriptor);
        self->destinations[self->count++] = i;
        endpoint_gate(&d->endpoint, &self->base);
    }
    if (blob->what.from)
        endpoint_gate(blob->what.from, &self->base);
    self->base.size_hint = blob->what.descriptor.size;
    self->base.flight_key = flight_key(self);
    return self;
}

void publish_submit_blob(struct publish *p, struct blob *blob)
{
    if (blob->open)
        return;
    publish_settle_known(p, blob);
    size_t wanting = 0;
    for (size_t i = 0; i < p->n_destinations; i++)
        wanting += blob->how[i] == HOW_PENDING;
    if (!wanting)
        return;
    blob->open = true;
    p->open_steps++;
    job_submit_step(p->job, &make_step(p, blob, wanting)->base);
}

bool publish_blobs_done(const struct publish *p)
{
    for (size_t i = 0; i < p->n_blobs; i++)
        for (size_t d = 0; d < p->n_destinations; d++)
            if (p->blobs[i]->how[d] == HOW_PENDING)
                return false;
    return true;
}

void publish_forget_facts(struct publish *p, size_t destination)
{
    const struct destination *d = &p->destinations[destination];
    struct job_progress *progress = job_progress_get(p->job);
    for (size_t i = 0; i < p->n_blobs; i++) {
        const struct descriptor *blob = &p->blobs[i]->what.descriptor;
        blob_graph_drop(p->context->graph, p->identity, d->endpoint.key, &blob->digest);
        p->blobs[i]->how[destination] = HOW_PENDING;
        progress->blobs_total++; // it is to be moved once more
        progress->bytes_total += blob->size;
    }
}
