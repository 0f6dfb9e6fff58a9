// SPDX-License-Identifier: Apache-2.0
//
// What a worker does for one blob: a source, the destinations that are still to be served, the push; and once more with what was
// made again, if the cache has lost or damaged it.
#include "images/blob_step.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "blobs/blob_store.h"
#include "layout/image_store.h"

static void state_of_push(void *arg, int target, const char *state, const char *from, const char *why)
{
    struct blob_step *self = arg;
    json_t *members = json_pack("{s:s, s:s, s:s}", "blob", self->blob->what.label, "digest",
                                self->blob->what.descriptor.digest.text, "state", state);
    json_object_set_new(members, "target",
                        target < 0 ? json_null()
                                   : json_integer((json_int_t)publish_first_target(
                                         self->publish, self->destinations[target])));
    if (from)
        json_object_set_new(members, "from", json_string(from));
    if (why)
        json_object_set_new(members, "why", json_string(why));
    step_event(&self->base, "blob.state", members);
}

static struct reader_at *open_local_source(const struct blob_step *self, struct error *err)
{
    const struct publish_blob *what = &self->blob->what;
    if (what->bytes)
        return reader_at_bytes(what->bytes, (size_t)what->descriptor.size);
    if (what->cached)
        return blob_store_read(self->publish->context->blobs, &what->descriptor.digest, err);
    return image_store_blob_open(what->from->store, &what->descriptor.digest, err);
}

static int prepare_target(struct blob_step *self, size_t index, struct blob_push_target *target, struct error *err)
{
    struct destination *d = &self->publish->destinations[self->destinations[index]];
    const struct descriptor *blob = &self->blob->what.descriptor;
    target->mount_from = self->mounts[index];
    target->force = self->force;
    if (endpoint_is_registry(&d->endpoint)) {
        target->scope = endpoint_scope(&d->endpoint, &self->base);
        if (self->uploads[index]) {
            target->session = upload_journal_session(self->uploads[index]);
            target->hasher = upload_journal_hash(self->uploads[index], &target->hashed);
        }
        return 0;
    }
    if (!self->force && image_store_blob_size(d->endpoint.store, &blob->digest) == blob->size) {
        target->how = BLOB_PUSH_EXISTS;
        return 0;
    }
    target->sink = image_store_blob_sink(d->endpoint.store, &blob->digest, blob->size, err);
    return target->sink ? 0 : -1;
}

static enum blob_how how_of(enum blob_push_how how)
{
    switch (how) {
    case BLOB_PUSH_EXISTS:
        return HOW_EXISTS;
    case BLOB_PUSH_MOUNTED:
        return HOW_MOUNTED;
    case BLOB_PUSH_COPIED:
        return HOW_MOVED;
    default:
        return HOW_PENDING;
    }
}

// Another destination at the same registry, whose repository this one can mount from. -1: none.
static ptrdiff_t neighbour(const struct blob_step *self, size_t index, bool served)
{
    const struct endpoint *own = blob_step_place(self, index);
    for (size_t i = 0; i < self->count && endpoint_is_registry(own) && !self->force; i++) {
        const struct endpoint *other = blob_step_place(self, i);
        bool fits = served ? self->how[i] != HOW_PENDING : i < index && self->how[i] == HOW_PENDING;
        if (fits && endpoint_is_registry(other) && str_equal(other->where.ref.registry, own->where.ref.registry))
            return (ptrdiff_t)i;
    }
    return -1;
}

// The bytes go to a registry once; its other repositories mount them in the next round.
static bool can_wait(const struct blob_step *self, size_t index)
{
    return !self->mounts[index] && neighbour(self, index, true) < 0 && neighbour(self, index, false) >= 0;
}

// A run takes on the destinations that no earlier run of this step has served.
static int push_pending(struct blob_step *self, struct blob_push *push, size_t *numbers, struct error *err)
{
    for (size_t i = 0; i < self->count; i++) {
        if (self->how[i] != HOW_PENDING || can_wait(self, i))
            continue;
        struct blob_push_target *target = &push->targets[push->n_targets];
        *target = (struct blob_push_target){.error = ERROR_INIT}; // nothing of one that was passed over
        if (prepare_target(self, i, target, err))
            return -1;
        if (target->how == BLOB_PUSH_EXISTS) {
            self->how[i] = HOW_EXISTS;
            state_of_push(self, (int)i, "exists", NULL, NULL);
            continue;
        }
        numbers[push->n_targets++] = i;
    }
    return push->n_targets ? blob_push_run(push, err) : 0;
}

struct renumber { // blob_push counts the targets of one run; events count destinations
    struct blob_step *step;
    const size_t *numbers;
};

static void state_renumbered(void *arg, int target, const char *state, const char *from, const char *why)
{
    const struct renumber *map = arg;
    state_of_push(map->step, target < 0 ? -1 : (int)map->numbers[target], state, from, why);
}

static void session_changed(void *arg, int target, const char *session)
{
    const struct renumber *map = arg;
    struct upload_entry *entry = map->step->uploads[map->numbers[target]];
    if (entry)
        upload_journal_note(entry, session);
}

// The bytes in the cache are not what they should be, or another job that saw it has put them aside: out with them, and the
// layer is made anew. 0: it is there again. -1 leaves err as it is.
static int remake_cached(struct blob_step *self, struct error *err)
{
    const struct publish_blob *what = &self->blob->what;
    CLEANUP(error_clear) struct error why = ERROR_INIT;
    if (!what->cached || (err->code != ERR_DIGEST_MISMATCH && err->code != ERR_NOT_FOUND))
        return -1;
    if (blob_store_verify(self->publish->context->blobs, &what->descriptor.digest, &why) == 0) {
        error_clear(err); // made anew by another job, maybe; once more will tell
        return 0;
    }
    log_warning("cached blob %s: %s", what->descriptor.digest.text, why.detail);
    error_clear(&why);
    if (!what->remake || what->remake(what->remake_arg, &self->base, &why))
        return -1;
    step_event(&self->base, "warning", json_pack("{s:s, s:s+}", "code", "cache-damaged", "message", what->label,
                                                 " was damaged in the cache and is made anew"));
    error_clear(err);
    return 0;
}

static int move_blob(struct blob_step *self, struct error *err)
{
    struct step *step = &self->base;
    const struct publish_blob *what = &self->blob->what;
    AUTO_FREE size_t *numbers = mem_calloc(self->count, sizeof(*numbers));
    struct renumber map = {self, numbers};
    struct registry_scope from = {0};
    struct blob_push push = {
        .digest = what->descriptor.digest,
        .size = what->descriptor.size,
        .from_urls = what->descriptor.urls,
        .targets = mem_calloc(self->count, sizeof(*push.targets)),
        .monitor = &step->monitor,
        .keep_sessions = self->keep_sessions,
        .state = state_renumbered,
        .session = session_changed,
        .state_arg = &map,
    };
    int result = -1;
    if (what->from && endpoint_is_registry(what->from)) {
        from = endpoint_scope(what->from, step);
        push.from = &from;
    } else {
        push.reader = open_local_source(self, err);
        if (!push.reader)
            goto out;
    }
    result = push_pending(self, &push, numbers, err);
out:
    for (size_t i = 0; i < push.n_targets; i++) {
        if (self->how[numbers[i]] == HOW_PENDING)
            self->how[numbers[i]] = how_of(push.targets[i].how);
        sink_close(push.targets[i].sink);
        free(push.targets[i].session);
        hasher_free(push.targets[i].hasher);
        error_clear(&push.targets[i].error);
    }
    free(push.targets);
    reader_at_close(push.reader);
    return result;
}

// What has waited for a repository of its registry to be served mounts from there. Is there any?
static bool begin_round(struct blob_step *self)
{
    bool pending = false;
    for (size_t i = 0; i < self->count; i++) {
        ptrdiff_t from = neighbour(self, i, true);
        if (self->how[i] == HOW_PENDING && !self->mounts[i] && from >= 0)
            self->mounts[i] = mem_strdup(blob_step_place(self, (size_t)from)->where.ref.repository);
        pending |= self->how[i] == HOW_PENDING;
    }
    return pending;
}

int blob_step_run(struct step *step, struct error *err)
{
    struct blob_step *self = (struct blob_step *)step;
    int result = 0;
    while (result == 0 && begin_round(self)) {
        result = move_blob(self, err);
        if (result && remake_cached(self, err) == 0)
            result = move_blob(self, err);
    }
    if (result)
        error_wrap(err, "blob %.19s…", self->blob->what.descriptor.digest.text);
    return result;
}
