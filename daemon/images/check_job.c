// SPDX-License-Identifier: Apache-2.0
//
// Reads all manifests and – for a deep check – configs, then checks every blob once. Each thing checked is a row of the result;
// the job fails with ERR_PARTIAL if one of them is not as it should be.
#include "images/check_job.h"

#include <string.h>

#include "base/mem.h"
#include "credentials/credentials.h"
#include "images/check_spec.h"
#include "images/check_step.h"
#include "images/image_bounds.h"
#include "images/resolve.h"
#include "oci/image_config.h"
#include "oci/media_type.h"

struct check_plan {
    struct job *job;
    struct check_spec spec;
    struct credential_set *auth;
    struct endpoint source;
    struct image_bounds bounds;
    json_t *rows;
    json_t *root;               // digest, media_type, size
    size_t open, failed;
    struct error first;         // finding
};

static int manifest_found(struct resolve_step *step, struct job *job, struct error *err);

static void add_row(struct check_plan *plan, const struct digest *digest, const char *media_type, int64_t size,
                    const char *role, const struct error *finding)
{
    bool bad = finding && finding->code != ERR_NONE;
    AUTO_FREE char *source = mem_printf("%s@%s", plan->source.key, digest->text);
    json_array_append_new(plan->rows, json_pack("{s:s, s:s, s:s?, s:I, s:s, s:[], s:s, s:o}", "source", source, "digest",
                                                digest->text, "media_type", media_type, "size", (json_int_t)size, "role",
                                                role, "refs", "state", bad ? "failed" : "succeeded", "error",
                                                bad ? error_to_json(finding, NULL, NULL) : json_null()));
    if (bad && !plan->failed)
        error_copy(&plan->first, finding);
    plan->failed += bad;
}

// --- blobs ---------------------------------------------------------------------------------------------------------------

static void blob_checked(struct check_step *step, struct job *job)
{
    (void)job;
    struct check_plan *plan = step->plan;
    plan->open--;
    add_row(plan, &step->blob.digest, step->blob.media_type, step->blob.size, step->is_layer ? "layer" : "blob",
            &step->finding);
}

static int check_blob(struct check_plan *plan, const struct descriptor *blob, bool is_layer,
                      const struct digest *diff_id, struct error *err)
{
    if (media_type_is_foreign_layer(blob->media_type) && blob->urls)
        return 0;
    int fresh = image_bounds_blob(&plan->bounds, &blob->digest, err);
    if (fresh <= 0)
        return fresh;
    struct check_step *step = check_step_new(&plan->source, blob, plan->spec.deep, blob_checked, plan);
    step->is_layer = is_layer && media_type_is_layer(blob->media_type);
    if (diff_id)
        step->diff_id = *diff_id;
    plan->open++;
    job_submit_step(plan->job, &step->base);
    return 0;
}

static int check_config(const struct resolve_step *step, struct image_config *config, struct error *err)
{
    if (image_config_parse(config, step->config, step->config_len, err))
        return -1;
    if (image_config_layers(config) == step->manifest.n_layers)
        return 0;
    error_set(err, ERR_REGISTRY_PROTOCOL, "the manifest has %zu layers, its config %zu diff_ids",
              step->manifest.n_layers, image_config_layers(config));
    return -1;
}

static int check_layers(struct check_plan *plan, const struct manifest *m, const struct image_config *config,
                        bool known, struct error *err)
{
    for (size_t i = 0; i < m->n_layers; i++) {
        struct digest diff_id;
        CLEANUP(error_clear) struct error ignored = ERROR_INIT;
        bool have = known && !image_config_diff_id(config, i, &diff_id, &ignored);
        if (check_blob(plan, &m->layers[i], true, have ? &diff_id : NULL, err))
            return -1;
    }
    return 0;
}

static int check_image(struct check_plan *plan, const struct resolve_step *step, struct error *err)
{
    const struct manifest *m = &step->manifest;
    struct image_config config = {0};
    CLEANUP(error_clear) struct error finding = ERROR_INIT;
    bool known = step->config && !check_config(step, &config, &finding);
    add_row(plan, &m->digest, m->media_type, (int64_t)m->len, "manifest", &finding);
    int failed = check_blob(plan, &m->config, false, NULL, err);
    if (!failed)
        failed = check_layers(plan, m, &config, known, err);
    image_config_clear(&config);
    return failed;
}

// --- manifests -------------------------------------------------------------------------------------------------------------

static int manifest_missing(struct resolve_step *step, struct job *job, const struct error *err)
{
    (void)job;
    struct check_plan *plan = step->plan;
    plan->open--;
    if (!step->has_expected || err->code == ERR_CANCELLED)
        return -1; // there is nothing to check at all
    add_row(plan, &step->expected.digest, step->expected.media_type, step->expected.size, "manifest", err);
    return 0;
}

static bool is_selected(const struct check_plan *plan, const struct descriptor *child)
{
    for (size_t i = 0; i < plan->spec.n_platforms; i++)
        if (child->has_platform && platform_matches(&plan->spec.platforms[i], &child->platform))
            return true;
    return !plan->spec.n_platforms;
}

static void ask(struct check_plan *plan, const struct descriptor *child, int depth)
{
    struct resolve_step *step = resolve_step_new(&plan->source, child, plan->spec.deep, manifest_found, plan);
    step->artifacts_too = true;
    step->failed = manifest_missing;
    step->number = (size_t)depth;
    plan->open++;
    job_submit_step(plan->job, &step->base);
}

static int ask_children(struct check_plan *plan, const struct manifest *index, int depth, struct error *err)
{
    if (depth >= MANIFEST_DEPTH_MAX)
        return error_set(err, ERR_MANIFEST_UNSUPPORTED, "indexes are nested deeper than %d levels",
                         MANIFEST_DEPTH_MAX);
    bool any = false;
    for (size_t i = 0; i < index->n_children; i++) {
        if (depth == 0 && !is_selected(plan, &index->children[i]))
            continue;
        any = true;
        int fresh =
            image_bounds_manifest(&plan->bounds, &index->children[i].digest, index->children[i].size, err);
        if (fresh < 0)
            return -1;
        if (fresh)
            ask(plan, &index->children[i], depth + 1);
    }
    if (depth == 0 && plan->spec.n_platforms && !any)
        return manifest_find_platform(index, &plan->spec.platforms[0], err) ? 0 : -1;
    return 0;
}

static int manifest_found(struct resolve_step *step, struct job *job, struct error *err)
{
    (void)job;
    struct check_plan *plan = step->plan;
    const struct manifest *m = &step->manifest;
    plan->open--;
    if (!plan->root)
        plan->root = json_pack("{s:s, s:s, s:I}", "digest", m->digest.text, "media_type", m->media_type, "size",
                               (json_int_t)m->len);
    if (!m->is_index)
        return check_image(plan, step, err);
    add_row(plan, &m->digest, m->media_type, (int64_t)m->len, "index", NULL);
    return ask_children(plan, m, (int)step->number, err);
}

// --- life --------------------------------------------------------------------------------------------------------------

static void check_free(void *arg)
{
    struct check_plan *plan = arg;
    endpoint_fini(&plan->source);
    image_bounds_fini(&plan->bounds);
    json_decref(plan->rows);
    json_decref(plan->root);
    error_clear(&plan->first);
    if (plan->auth)
        credential_set_unref(plan->auth);
    check_spec_clear(&plan->spec);
    free(plan);
}

static int check_start(struct job *job, const json_t *spec, const json_t *auth, const json_t *checkpoint,
                       void **ret_plan, struct error *err)
{
    (void)checkpoint;
    struct check_plan *plan = mem_new(struct check_plan);
    plan->job = job;
    image_bounds_init(&plan->bounds);
    plan->rows = json_array();
    plan->first = ERROR_INIT;
    if (check_spec_decode(&plan->spec, spec, image_context_get(), err) ||
        (auth && !(plan->auth = image_auth_open(job, auth, err)))) {
        check_free(plan);
        return -1;
    }
    endpoint_init(&plan->source, image_context_get(), &plan->spec.source, plan->auth);
    *ret_plan = plan;
    ask(plan, NULL, 0);
    return 0;
}

static int check_advance(struct job *job, void *arg, struct error *err)
{
    (void)job;
    struct check_plan *plan = arg;
    if (plan->open || !plan->failed)
        return 0;
    error_set(err, ERR_PARTIAL, "%zu of %zu parts of the image are not as they should be; the first: %s", plan->failed,
              json_array_size(plan->rows), plan->first.detail);
    error_hint(err, "`result.items` has them all.");
    return -1;
}

static json_t *check_result(struct job *job, void *arg)
{
    (void)job;
    struct check_plan *plan = arg;
    json_t *result = plan->root ? json_deep_copy(plan->root) : json_object();
    json_object_set_new(result, "refs", json_array());
    json_object_set(result, "items", plan->rows);
    return result;
}

const struct job_ops check_job_ops = {"check", check_start, check_advance, check_result, check_free, NULL};
