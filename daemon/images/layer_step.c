// SPDX-License-Identifier: Apache-2.0
//
// The two steps of a layer. Identical layers of several jobs are packed once: the flight key is the fingerprint.
#include "images/layer_step.h"

#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "blobs/blob_graph.h"
#include "blobs/blob_store.h"
#include "images/context_file.h"
#include "images/layer_ahead.h"
#include "images/layer_memory.h"
#include "images/upload_journal.h"

struct layer_step {
    struct step base;
    struct layer_work *work;
    struct upload_entry *upload; // of a layer that may be sent while it is packed, or NULL
};

static void layer_free(struct step *step)
{
    struct upload_entry *upload = ((struct layer_step *)step)->upload;
    if (upload)
        upload_journal_release(upload);
    free(step);
}

static struct layer_step *make_step(struct layer_work *work, const struct step_ops *ops, const char *what)
{
    struct layer_step *self = mem_new(struct layer_step);
    AUTO_FREE char *name = mem_printf("%s %s", what, work->label);
    step_init(&self->base, ops, name, work->label);
    self->work = work;
    return self;
}

// The caller's primary group; without an entry in the user database, one that owns nothing.
static void complete_caller(struct layer_caller *caller)
{
    char buffer[4096];
    struct passwd entry, *found = NULL;
    if (!caller->apply)
        return;
    caller->gid = 65534;
    if (getpwuid_r(caller->uid, &entry, buffer, sizeof(buffer), &found) == 0 && found)
        caller->gid = found->pw_gid;
}

static int pack_to(struct layer_work *work, const struct layer_spec *spec, struct sink *out, struct step *step,
                   struct layer_result *ret, struct error *err)
{
    return layer_pack(spec, work->context->build_roots, &work->caller, work->context->lanes, out, &step->monitor, ret,
                      err);
}

static int pack_run(struct step *step, struct error *err)
{
    struct layer_step *self = (struct layer_step *)step;
    struct layer_work *work = self->work;
    struct blob_writer *writer = blob_store_write(work->context->blobs, NULL, -1, err);
    if (!writer)
        return -1;
    step_event(step, "blob.state", json_pack("{s:s, s:n, s:n, s:s}", "blob", work->label, "target", "digest", "state",
                                             "packing"));
    struct layer_memory memory;
    struct layer_spec spec = *work->spec;
    struct layer_ahead ahead;
    spec.spool_dirfd = work->context->spool_dirfd;
    layer_memory_open(&memory, work->context, &work->caller, &(struct layer_edit){work->files, work->changed}, &spec);
    layer_ahead_open(&ahead, work->registry, step->side_host ? self->upload : NULL, step, &memory, writer);
    int result = pack_to(work, &spec, &ahead.sink, step, &work->result, err);
    if (!result)
        result = blob_writer_publish(writer, &work->result.digest, err);
    layer_ahead_close(&ahead, result < 0);
    if (!result)
        layer_memory_keep(&memory, work->context, &work->result);
    layer_memory_close(&memory);
    free(work->result.index);
    work->result.index = NULL;
    work->leased = !result;
    blob_writer_free(writer);
    return result;
}

int layer_work_remake(void *arg, struct step *step, struct error *err)
{
    struct layer_work *work = arg;
    struct blob_store *blobs = work->context->blobs;
    struct layer_result made = {0};
    if (blob_store_size(blobs, &work->result.digest) >= 0)
        return 0; // another job was quicker
    struct blob_writer *writer = blob_store_write(blobs, NULL, -1, err);
    if (!writer)
        return -1;
    int result = pack_to(work, work->spec, blob_writer_sink(writer), step, &made, err);
    if (!result && !digest_equal(&made.digest, &work->result.digest))
        result = error_set(err, ERR_SOURCE_CHANGED, "%s was lost from the cache, and its files have changed since",
                           work->label);
    if (!result)
        result = blob_writer_publish(writer, &made.digest, err);
    if (!result)
        blob_store_release(blobs, &made.digest); // the lease of before still counts
    blob_writer_free(writer);
    layer_result_clear(&made);
    return result;
}

// Under the fingerprint of what was really read, which layer_pack took.
static void remember(struct layer_work *work)
{
    const struct layer_result *made = &work->result;
    if (!made->stable)
        return;
    AUTO_JSON json_t *record =
        json_pack("{s:s, s:s, s:I, s:I, s:I}", "digest", made->digest.text, "diff_id", made->diff_id.text, "size",
                  (json_int_t)made->size, "tar_size", (json_int_t)made->tar_size, "files", (json_int_t)made->files);
    if (made->toc_digest)
        json_object_set_new(record, "toc_digest", json_string(made->toc_digest));
    blob_graph_layer_put(work->context->graph, &made->fingerprint, record);
}

// The layer is there when its parts are.
static int part_made(struct layer_work *part, struct job *job, struct error *err)
{
    struct layer_work *work = part->lower ? part->lower : part;
    return --work->open_parts ? 0 : work->made(work, job, err);
}

// How much of the layer an earlier one had.
static void tell_reuse(const struct layer_work *work, struct job *job)
{
    const struct layer_result *made = &work->result;
    metrics_add(METRIC_LAYER_BLOCKS, made->blocks_reused, "reused", NULL, NULL);
    metrics_add(METRIC_LAYER_BLOCKS, made->blocks - made->blocks_reused, "compressed", NULL, NULL);
    if (!made->blocks_reused)
        return;
    AUTO_FREE char *message = mem_printf("%s: %lld of %lld blocks are as they were in an earlier build", work->label,
                                         (long long)made->blocks_reused, (long long)made->blocks);
    job_event(job, "log", json_pack("{s:s, s:s, s:s, s:I, s:I}", "code", "blocks-reused", "message", message, "blob",
                                    work->label, "blocks", (json_int_t)made->blocks, "blocks_reused",
                                    (json_int_t)made->blocks_reused));
}

// What publishes the layer finds the session there; what does not want it leaves it to be ended.
static void hand_over_session(struct layer_step *self)
{
    const struct layer_result *made = &self->work->result;
    struct upload_entry *upload = mem_take(self->upload);
    if (!upload)
        return;
    upload_journal_name(upload, &(struct descriptor){.digest = made->digest, .size = made->size});
    upload_journal_release(upload);
}

static void expect_session(struct layer_step *self, struct job *job)
{
    const struct layer_work *work = self->work;
    if (!work->registry || !work->context->uploads)
        return;
    self->upload = upload_journal_claim(work->context->uploads, job, work->registry, &(struct descriptor){.size = INT64_MAX});
    self->base.side_host = mem_strdup(work->registry->where.ref.registry);
}

static int pack_done(struct step *step, struct job *job, struct error *err)
{
    struct layer_work *work = ((struct layer_step *)step)->work;
    remember(work);
    tell_reuse(work, job);
    hand_over_session((struct layer_step *)step);
    return part_made(work, job, err);
}

static int pack_joined(struct step *step, struct step *other, struct job *job, struct error *err)
{
    struct layer_work *work = ((struct layer_step *)step)->work;
    work->result = ((struct layer_step *)other)->work->result;
    work->result.toc_digest = mem_strdup_null(work->result.toc_digest);
    work->cached = true;
    work->leased = blob_store_lease(work->context->blobs, &work->result.digest);
    if (!work->leased)
        return error_set(err, ERR_INTERNAL, "the layer was packed by another job and evicted at once; try again");
    return part_made(work, job, err);
}

static const struct step_ops pack_ops = {
    .run = pack_run, .done = pack_done, .joined = pack_joined, .free = layer_free};

// What was packed before counts only if its bytes are still here.
static bool take_record(struct layer_work *work)
{
    AUTO_JSON json_t *record = blob_graph_layer_find(work->context->graph, &work->fingerprint);
    struct error why = ERROR_INIT;
    const char *digest = json_get_string(record, "digest"), *diff_id = json_get_string(record, "diff_id");
    bool good = digest && diff_id && !digest_parse(&work->result.digest, digest, &why) &&
                !digest_parse(&work->result.diff_id, diff_id, &why) &&
                blob_store_lease(work->context->blobs, &work->result.digest);
    error_clear(&why);
    work->leased = work->cached = good;
    work->result.size = json_get_int(record, "size", 0);
    work->result.tar_size = json_get_int(record, "tar_size", 0);
    work->result.files = json_get_int(record, "files", 0);
    work->result.toc_digest = mem_strdup_null(json_get_string(record, "toc_digest"));
    return good;
}

static int fingerprint_run(struct step *step, struct error *err)
{
    struct layer_work *work = ((struct layer_step *)step)->work;
    const struct roots *roots = work->context->build_roots;
    complete_caller(&work->caller);
    if (context_files_open(work->context, work->owner_uid, work->spec, err))
        return -1;
    struct layer_spec spec = *work->spec;
    if (work->split)
        spec.part = LAYER_APPLICATION; // what changes more often
    int64_t since_ms = layer_memory_time(work->context, &work->caller, &spec);
    return layer_survey(work->spec, roots, &work->caller, since_ms, &step->monitor, &work->survey, err);
}

// The fingerprint is known: was it packed before?
static int find_or_pack(struct layer_work *work, struct job *job, struct error *err)
{
    if (take_record(work)) {
        job_event(job, "blob.state", json_pack("{s:s, s:n, s:s, s:s, s:s}", "blob", work->label, "target", "digest",
                                               work->result.digest.text, "state", "done", "why", "packed before"));
        return part_made(work, job, err);
    }
    struct layer_step *pack = make_step(work, &pack_ops, "pack");
    expect_session(pack, job);
    pack->base.flight_key = work->stable ? mem_printf("pack %s", work->fingerprint.text) : NULL;
    job_submit_step(job, &pack->base);
    return 0;
}

static void set_part(struct layer_work *work, const struct layer_spec *spec, const struct layer_survey *survey,
                     enum layer_part part)
{
    work->part = *spec;
    work->part.part = part;
    work->spec = &work->part;
    work->files = survey->files[part];
    work->changed = survey->changed[part];
    work->fingerprint = survey->fingerprint[part];
    work->stable = survey->stable[part];
}

static void part_in_two(struct layer_work *work)
{
    struct layer_work *upper = work->upper = mem_new(struct layer_work);
    upper->context = work->context;
    upper->caller = work->caller;
    upper->label = mem_printf("%s/application", work->label);
    upper->plan = work->plan;
    upper->lower = work;
    upper->registry = work->registry;
    set_part(upper, work->spec, &work->survey, LAYER_APPLICATION);
    set_part(work, work->spec, &work->survey, LAYER_DEPENDENCIES);
    work->open_parts = 2;
}

static int fingerprint_done(struct step *step, struct job *job, struct error *err)
{
    struct layer_work *work = ((struct layer_step *)step)->work;
    work->open_parts = 1;
    if (!work->split || !work->survey.splits) {
        set_part(work, work->spec, &work->survey, LAYER_WHOLE);
        return find_or_pack(work, job, err);
    }
    part_in_two(work);
    return find_or_pack(work, job, err) ? -1 : find_or_pack(work->upper, job, err);
}

static const struct step_ops fingerprint_ops = {
    .run = fingerprint_run, .done = fingerprint_done, .free = layer_free};

void layer_work_init(struct layer_work *work, const struct layer_spec *spec, const struct layer_below *base,
                     const struct layer_spec *const *lower, size_t n_lower)
{
    *work = (struct layer_work){.whole = *spec};
    work->spec = &work->whole;
    work->whole.entries = mem_calloc(spec->n_entries + 1, sizeof(*spec->entries));
    memcpy(work->whole.entries, spec->entries, spec->n_entries * sizeof(*spec->entries));
    if (!base)
        return;
    between_init(&work->between, base, lower, n_lower);
    work->whole.below = &work->between.view;
}

void layer_work_start(struct layer_work *work, struct job *job)
{
    int64_t uid = job_owner_uid(job);
    work->caller.apply = work->context->privileged && uid >= 0 && uid != (int64_t)geteuid();
    work->owner_uid = uid;
    work->caller.uid = (uint32_t)uid;
    job_submit_step(job, &make_step(work, &fingerprint_ops, "look at")->base);
}

bool layer_work_take_lease(struct layer_work *work)
{
    bool leased = work->leased;
    work->leased = false;
    return leased;
}

void layer_work_clear(struct layer_work *work)
{
    if (work->upper)
        layer_work_clear(work->upper);
    free(work->upper);
    if (work->leased)
        blob_store_release(work->context->blobs, &work->result.digest);
    if (work->spec && !work->lower)
        context_files_close(work->spec);
    free(work->whole.entries);
    layer_result_clear(&work->result);
    free(work->label);
    *work = (struct layer_work){0};
}
