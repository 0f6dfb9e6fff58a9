// SPDX-License-Identifier: Apache-2.0
//
// The order of publishing. Everything that blocks is a step of publish_blobs.c or publish_manifests.c; here stands only what
// follows what: open ▸ blobs ▸ manifests by digest ▸ checkpoint ▸ tags.
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"
#include "base/table.h"
#include "blobs/blob_graph.h"
#include "blobs/blob_store.h"
#include "credentials/credentials.h"
#include "images/publish_internal.h"
#include "images/upload_journal.h"

static void set_identity(struct publish *p, const json_t *auth)
{
    if (!auth) {
        snprintf(p->identity, sizeof(p->identity), "daemon");
        return;
    }
    AUTO_FREE char *text = json_text_canonical(auth);
    struct secret *secret = secret_new(text);
    secret_identity(secret, p->identity);
    secret_free(secret);
    explicit_bzero(text, strlen(text));
}

static char *mount_source(const struct location *source, const struct location *target)
{
    bool fits = source && source->kind == LOCATION_REGISTRY && target->kind == LOCATION_REGISTRY &&
                str_equal(source->ref.registry, target->ref.registry) &&
                !str_equal(source->ref.repository, target->ref.repository);
    return fits ? mem_strdup(source->ref.repository) : NULL;
}

static size_t destination_for(struct publish *p, const struct target *target, const struct location *source)
{
    struct endpoint fresh;
    endpoint_init(&fresh, p->context, &target->where, p->auth);
    fresh.mount_from = mount_source(source, &target->where);
    for (size_t i = 0; i < p->n_destinations; i++)
        if (str_equal(p->destinations[i].endpoint.key, fresh.key)) {
            endpoint_fini(&fresh);
            return i;
        }
    struct destination *d = &p->destinations[p->n_destinations];
    d->endpoint = fresh;
    d->targets = mem_calloc(p->targets->count, sizeof(*d->targets));
    d->found = mem_calloc(p->targets->count, sizeof(*d->found));
    d->look = p->look_first ? LOOK_WANTED : LOOK_NOT;
    return p->n_destinations++;
}

struct publish *publish_new(const struct publish_options *options)
{
    struct publish *p = mem_new(struct publish);
    p->blobs_by_digest = table_new();
    p->job = options->job;
    p->context = options->context;
    p->targets = options->targets;
    p->auth = options->auth_set ? credential_set_ref(options->auth_set) : NULL;
    p->look_first = options->look_first && !options->force;
    p->force = options->force;
    p->dry_run = options->dry_run;
    p->item_failed = options->item_failed;
    p->item_arg = options->item_arg;
    set_identity(p, options->auth);
    size_t n = p->targets->count;
    p->destinations = mem_calloc(n, sizeof(*p->destinations));
    p->destination_of_target = mem_calloc(n, sizeof(*p->destination_of_target));
    p->root_of_target = mem_calloc(n, sizeof(*p->root_of_target));
    for (size_t i = 0; i < n; i++) {
        size_t at = destination_for(p, &p->targets->items[i], options->source);
        p->destination_of_target[i] = at;
        p->destinations[at].targets[p->destinations[at].n_targets++] = i;
    }
    return p;
}

static void free_blob(struct publish *p, struct blob *blob)
{
    if (blob->what.cached)
        blob_store_release(p->context->blobs, &blob->what.descriptor.digest);
    descriptor_clear(&blob->what.descriptor);
    free(blob->what.label);
    free(blob->what.bytes);
    free(blob->how);
    free(blob);
}

void publish_free(struct publish *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n_destinations; i++) {
        endpoint_fini(&p->destinations[i].endpoint);
        free(p->destinations[i].targets);
        free(p->destinations[i].found);
    }
    for (size_t i = 0; i < p->n_blobs; i++)
        free_blob(p, p->blobs[i]);
    table_free(p->blobs_by_digest);
    for (size_t i = 0; i < p->n_manifests; i++)
        manifest_clear(&p->manifests[i]);
    for (size_t i = 0; i < p->n_extra; i++)
        free(p->extra[i].tag);
    free(p->extra);
    json_decref(p->survey);
    free(p->manifests);
    free(p->blobs);
    free(p->destinations);
    free(p->destination_of_target);
    free(p->root_of_target);
    json_decref(p->inputs);
    json_decref(p->layers);
    if (p->auth)
        credential_set_unref(p->auth);
    upload_journal_look(p->context->uploads);
    free(p);
}

size_t publish_first_target(const struct publish *p, size_t destination)
{
    return p->destinations[destination].targets[0];
}

const struct manifest *publish_root(const struct publish *p, size_t target)
{
    return &p->manifests[p->root_of_target[target]];
}

void publish_blob_state(struct publish *p, const struct blob *blob, size_t destination, const char *state,
                        const char *why)
{
    json_t *members = json_pack("{s:s, s:I, s:s, s:s}", "blob", blob->what.label, "target",
                                (json_int_t)publish_first_target(p, destination), "digest",
                                blob->what.descriptor.digest.text, "state", state);
    if (why)
        json_object_set_new(members, "why", json_string(why));
    job_event(p->job, "blob.state", members);
}

static bool all_ready(const struct publish *p)
{
    for (size_t i = 0; i < p->n_destinations; i++)
        if (!p->destinations[i].ready)
            return false;
    return true;
}

void publish_start(struct publish *p)
{
    p->started = true;
    if (p->dry_run) {
        for (size_t i = 0; i < p->n_destinations; i++)
            p->destinations[i].ready = true;
        return;
    }
    publish_submit_prepare(p);
}

bool publish_ready(const struct publish *p)
{
    return p->started && all_ready(p);
}

size_t publish_places(struct publish *p, struct endpoint **places, size_t max)
{
    size_t count = p->n_destinations < max ? p->n_destinations : max;
    for (size_t i = 0; i < count; i++)
        places[i] = &p->destinations[i].endpoint;
    return count;
}

const struct endpoint *publish_only_registry(const struct publish *p)
{
    bool only = p->n_destinations == 1 && !p->dry_run && endpoint_is_registry(&p->destinations[0].endpoint);
    return only ? &p->destinations[0].endpoint : NULL;
}

static void drop_blob(struct publish *p, struct publish_blob *what)
{
    if (what->cached)
        blob_store_release(p->context->blobs, &what->descriptor.digest);
    descriptor_clear(&what->descriptor);
    free(what->label);
    free(what->bytes);
}

void publish_add_blob(struct publish *p, struct publish_blob *what)
{
    if (table_find(p->blobs_by_digest, what->descriptor.digest.text)) {
        drop_blob(p, what);
        return;
    }
    struct blob *blob = mem_new(struct blob);
    blob->what = *what;
    blob->how = mem_calloc(p->n_destinations, sizeof(*blob->how));
    if ((p->n_blobs & (p->n_blobs - 1)) == 0)
        p->blobs = mem_realloc(p->blobs, (p->n_blobs ? p->n_blobs * 2 : 1) * sizeof(struct blob *));
    p->blobs[p->n_blobs++] = blob;
    table_put(p->blobs_by_digest, blob->what.descriptor.digest.text, blob);
    struct job_progress *progress = job_progress_get(p->job);
    progress->blobs_total += (int64_t)p->n_destinations;
    progress->bytes_total += what->descriptor.size * (int64_t)p->n_destinations;
}

static const char *role_name(enum blob_role role)
{
    return role == BLOB_LAYER ? "layer" : role == BLOB_CONFIG ? "config" : "other";
}

void publish_plan(struct publish *p, json_t *others, bool estimated)
{
    json_t *list = others ? others : json_array();
    for (size_t i = 0; i < p->n_blobs; i++)
        for (size_t d = 0; d < p->n_destinations; d++) {
            const struct publish_blob *what = &p->blobs[i]->what;
            json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:I, s:s, s:I}", "blob", what->label, "digest",
                                                  what->descriptor.digest.text, "media_type",
                                                  what->descriptor.media_type, "size",
                                                  (json_int_t)what->descriptor.size, "role", role_name(what->role),
                                                  "target", (json_int_t)publish_first_target(p, d)));
        }
    job_event(p->job, "job.plan",
              json_pack("{s:o, s:I, s:b}", "blobs", list, "bytes_total",
                        (json_int_t)job_progress_get(p->job)->bytes_total, "estimated", estimated));
    p->planned = true;
}

const char *publish_how_name(const struct blob *blob, enum blob_how how)
{
    if (blob->what.how_made && how == HOW_MOVED)
        return blob->what.how_made;
    static const char *const names[] = {"pending", "exists", "exists", "mounted", "copied", "joined"};
    return names[how];
}

// A destination with a wish to look first is asked for its tags as soon as there is a reason to believe that it has the
// image: facts about its blobs, or the scout (the first blob) found in place. Otherwise asking would be one request more.
static bool has_facts(const struct publish *p, const struct destination *d)
{
    for (size_t i = 0; i < p->n_blobs; i++)
        if (blob_graph_has(p->context->graph, p->identity, d->endpoint.key, &p->blobs[i]->what.descriptor.digest))
            return true;
    return p->n_blobs == 0 || !endpoint_is_registry(&d->endpoint);
}

static void begin_looking(struct publish *p)
{
    for (size_t i = 0; i < p->n_destinations; i++) {
        struct destination *d = &p->destinations[i];
        if (d->look != LOOK_WANTED)
            continue;
        if (has_facts(p, d))
            publish_submit_look(p, i);
        else
            d->look = LOOK_SCOUTING;
    }
}

// The scout is the last blob added: a config, small and proof of little else.
static struct blob *scout(const struct publish *p)
{
    return p->blobs[p->n_blobs - 1];
}

static void end_scouting(struct publish *p)
{
    for (size_t i = 0; i < p->n_destinations; i++) {
        struct destination *d = &p->destinations[i];
        enum blob_how how = p->n_blobs ? scout(p)->how[i] : HOW_EXISTS;
        if (d->look != LOOK_SCOUTING || how == HOW_PENDING)
            continue;
        if (how == HOW_EXISTS || how == HOW_KNOWN)
            publish_submit_look(p, i);
        else
            d->look = LOOK_DONE;
    }
}

static bool is_looking(const struct publish *p)
{
    for (size_t i = 0; i < p->n_destinations; i++)
        if (p->destinations[i].look != LOOK_NOT && p->destinations[i].look != LOOK_DONE)
            return true;
    return false;
}

static bool is_scouting(const struct publish *p)
{
    for (size_t i = 0; i < p->n_destinations; i++)
        if (p->destinations[i].look == LOOK_SCOUTING)
            return true;
    return false;
}

static void submit_blobs(struct publish *p)
{
    if (!p->planned || (p->look_first && !p->sealed))
        return;
    if (p->look_first)
        begin_looking(p);
    end_scouting(p);
    if (is_scouting(p)) {
        publish_submit_blob(p, scout(p));
        end_scouting(p); // known to be there without a step, after which nobody would call again
    }
    if (is_looking(p))
        return;
    for (size_t i = 0; i < p->n_blobs; i++)
        publish_submit_blob(p, p->blobs[i]);
}

static json_t *layer_result(struct publish *p, const struct blob *blob)
{
    json_t *per_target = json_array();
    for (size_t t = 0; t < p->targets->count; t++)
        json_array_append_new(per_target,
                              json_string(publish_how_name(blob, blob->how[p->destination_of_target[t]])));
    json_t *layer = json_pack("{s:s, s:I, s:o}", "digest", blob->what.descriptor.digest.text, "size",
                              (json_int_t)blob->what.descriptor.size, "targets", per_target);
    if (digest_known(&blob->what.diff_id))
        json_object_set_new(layer, "diff_id", json_string(blob->what.diff_id.text));
    if (blob->what.how_made)
        json_object_set_new(layer, "made", json_string(blob->what.how_made));
    return layer;
}

static void note_layers(struct publish *p)
{
    json_decref(p->layers);
    p->layers = json_array();
    for (size_t i = 0; i < p->n_blobs; i++)
        if (p->blobs[i]->what.role == BLOB_LAYER)
            json_array_append_new(p->layers, layer_result(p, p->blobs[i]));
}

// Once it is known what was made and what the targets hold; whichever came last.
static int check_if_exists(struct publish *p, struct error *err)
{
    if (!p->sealed || p->compared)
        return 0;
    p->compared = true;
    for (size_t t = 0; t < p->targets->count; t++) {
        const struct destination *d = &p->destinations[p->destination_of_target[t]];
        bool by_config = p->targets->items[t].where.kind == LOCATION_DOCKER_ARCHIVE;
        const struct digest *root = by_config ? &publish_root(p, t)->config.digest : &publish_root(p, t)->digest;
        for (size_t k = 0; k < d->n_targets; k++) {
            if (d->targets[k] != t || p->targets->items[t].if_exists != TARGET_SAME || !digest_known(&d->found[k]) ||
                digest_equal(&d->found[k], root))
                continue;
            AUTO_FREE char *name = location_format(&p->targets->items[t].where);
            error_set(err, ERR_TARGET_EXISTS, "%s exists with other content: it is %s, the job made %s", name,
                      d->found[k].text, root->text);
            error_hint(err, "Choose another tag, or if_exists \"replace\".");
            return -1;
        }
    }
    return 0;
}

void publish_seal(struct publish *p, struct manifest *manifests, size_t count, const size_t *root_of_target,
                  json_t *inputs)
{
    p->manifests = manifests;
    p->n_manifests = count;
    memcpy(p->root_of_target, root_of_target, p->targets->count * sizeof(*root_of_target));
    p->inputs = inputs;
    p->sealed = true;
}

static bool manifests_done(const struct publish *p)
{
    for (size_t i = 0; i < p->n_destinations; i++)
        if (!p->destinations[i].complete && !p->destinations[i].manifests_done)
            return false;
    return true;
}

static void submit_manifests(struct publish *p)
{
    for (size_t i = 0; i < p->n_destinations; i++) {
        struct destination *d = &p->destinations[i];
        if (d->complete || d->manifests_done)
            continue;
        if (publish_needs_digest_push(p, i))
            publish_submit_manifests(p, i);
        else
            d->manifests_done = true;
    }
}

static bool anything_to_tag(const struct publish *p)
{
    for (size_t i = 0; i < p->n_destinations; i++)
        if (!p->destinations[i].complete)
            return true;
    return false;
}

void publish_add_tag(struct publish *p, const char *tag, size_t manifest)
{
    p->extra = mem_realloc(p->extra, (p->n_extra + 1) * sizeof(*p->extra));
    p->extra[p->n_extra++] = (struct extra_tag){mem_strdup(tag), manifest};
}

bool publish_done(const struct publish *p)
{
    return p->phase == PHASE_DONE || (p->phase == PHASE_TAGS && !p->open_steps);
}

bool publish_idle(const struct publish *p)
{
    return !p->open_steps;
}

int publish_step_failed(struct publish *p, const struct error *err)
{
    p->open_steps--;
    if (!p->item_failed)
        return -1;
    p->item_failed(p->item_arg, err);
    return 0;
}

// Everything is in place but the tags.
static void begin_tags(struct publish *p)
{
    p->phase = !anything_to_tag(p) ? PHASE_DONE : p->item_failed ? PHASE_TAGS : PHASE_CHECKPOINT;
    if (p->phase == PHASE_CHECKPOINT)
        job_checkpoint(p->job, publish_journal_make(p)); // advance comes again when it is durable
    if (p->phase == PHASE_TAGS)
        publish_submit_tags(p);
}

static void survey(struct publish *p)
{
    if (p->phase == PHASE_OPEN && p->sealed) {
        p->phase = PHASE_SURVEY;
        publish_submit_survey(p);
    }
    if (p->phase == PHASE_SURVEY && !p->open_steps)
        p->phase = PHASE_DONE;
}

int publish_advance(struct publish *p, struct error *err)
{
    if (p->dry_run) {
        survey(p);
        return 0;
    }
    if (p->phase == PHASE_OPEN && p->started && all_ready(p))
        p->phase = PHASE_BLOBS;
    if (p->phase == PHASE_BLOBS) {
        if (check_if_exists(p, err))
            return -1;
        submit_blobs(p);
        if (!p->sealed || is_looking(p) || p->open_steps || !publish_blobs_done(p))
            return 0;
        p->phase = PHASE_MANIFESTS;
        note_layers(p);
        submit_manifests(p);
    }
    if (p->phase == PHASE_MANIFESTS && !p->open_steps && manifests_done(p)) {
        begin_tags(p);
        return 0;
    }
    if (p->phase == PHASE_CHECKPOINT) {
        p->phase = PHASE_TAGS;
        publish_submit_tags(p);
    }
    return 0;
}

// One row for each platform: what an index holds. NULL: it is none.
static json_t *platform_rows(const struct manifest *root)
{
    json_t *rows = root->is_index ? json_array() : NULL;
    for (size_t i = 0; rows && i < root->n_children; i++) {
        const struct descriptor *child = &root->children[i];
        AUTO_FREE char *platform = child->has_platform ? platform_format(&child->platform) : NULL;
        json_array_append_new(rows, json_pack("{s:s, s:s, s:I, s:s?}", "digest", child->digest.text, "media_type",
                                              child->media_type, "size", (json_int_t)child->size, "platform", platform));
    }
    return rows;
}

json_t *publish_result(struct publish *p)
{
    if (!p->n_manifests)
        return NULL;
    if (p->dry_run)
        return publish_survey_result(p);
    const struct manifest *root = publish_root(p, 0);
    json_t *refs = json_array();
    for (size_t t = 0; t < p->targets->count; t++) {
        const struct location *where = &p->targets->items[t].where;
        AUTO_FREE char *name = location_format(where);
        AUTO_FREE char *ref = mem_printf("%s@%s", name, publish_root(p, t)->digest.text);
        json_array_append_new(refs, json_string(ref));
    }
    return json_pack("{s:s, s:s, s:I, s:o, s:o*, s:O}", "digest", root->digest.text, "media_type", root->media_type, "size",
                     (json_int_t)root->len, "refs", refs, "manifests", platform_rows(root), "layers", p->layers ? p->layers : json_array());
}
