// SPDX-License-Identifier: Apache-2.0
//
// Looking for a blob. What was found elsewhere or earlier does not count: each place is asked with this job's credentials.
#include "images/blob_find.h"

#include "base/mem.h"
#include "layout/image_store.h"

static int look_at(struct blob_find *self, struct endpoint *place, struct error *err)
{
    int64_t size = -1;
    int there;
    if (endpoint_is_registry(place)) {
        struct registry_scope scope = endpoint_scope(place, &self->base);
        there = registry_blob_head(&scope, &self->digest, &size, err);
    } else {
        size = place->store ? image_store_blob_size(place->store, &self->digest) : -1;
        there = size >= 0;
    }
    if (there <= 0)
        return there;
    if (self->size >= 0 && size >= 0 && size != self->size)
        return error_set(err, ERR_INVALID_REQUEST, "the blob %s in %s has %lld bytes, not %lld", self->digest.text,
                         place->key, (long long)size, (long long)self->size);
    if (size < 0 && self->size < 0)
        return error_set(err, ERR_INVALID_REQUEST, "%s does not tell the size of the blob %s: name it in `size`",
                         place->key, self->digest.text);
    self->size = size < 0 ? self->size : size;
    self->found = place;
    return 1;
}

static int find_run(struct step *step, struct error *err)
{
    struct blob_find *self = (struct blob_find *)step;
    for (size_t i = 0; i < self->n_places; i++) {
        if (monitor_check(&step->monitor, err))
            return -1;
        int there = look_at(self, self->places[i], err);
        if (there)
            return there < 0 ? -1 : 0;
    }
    return 0;
}

static int find_done(struct step *step, struct job *job, struct error *err)
{
    struct blob_find *self = (struct blob_find *)step;
    return self->done(self, job, err);
}

static void find_free(struct step *step)
{
    struct blob_find *self = (struct blob_find *)step;
    free(self->places);
    free(self);
}

struct blob_find *blob_find_new(const struct digest *digest, int64_t size, struct endpoint **places, size_t n_places,
                                int (*done)(struct blob_find *find, struct job *job, struct error *err), void *plan)
{
    static const struct step_ops ops = {.run = find_run, .done = find_done, .free = find_free};
    struct blob_find *self = mem_new(struct blob_find);
    AUTO_FREE char *name = mem_printf("look for %.19s", digest->text);
    step_init(&self->base, &ops, name, NULL);
    self->digest = *digest;
    self->size = size;
    self->places = places;
    self->n_places = n_places;
    self->done = done;
    self->plan = plan;
    for (size_t i = 0; i < n_places; i++)
        endpoint_gate(places[i], &self->base);
    return self;
}
