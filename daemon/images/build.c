// SPDX-License-Identifier: Apache-2.0
//
// The order of a build: the base is resolved and the layers are packed side by side; base layers begin to move as soon as they
// are known; when both are done the image is assembled and published.
#include "images/build.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "credentials/credentials.h"
#include "images/build_plan.h"
#include "images/resolve.h"

static int child_found(struct resolve_step *step, struct job *job, struct error *err);

static int adopt_base(struct build_plan *plan, struct build_variant *variant, struct resolve_step *step,
                      struct error *err)
{
    if (image_config_parse(&variant->config, step->config, step->config_len, err))
        return error_wrap(err, "the base's config");
    manifest_move(&variant->base, &step->manifest);
    if (image_config_layers(&variant->config) != variant->base.n_layers)
        return error_set(err, ERR_REGISTRY_PROTOCOL, "the base's manifest has %zu layers, its config %zu diff_ids",
                         variant->base.n_layers, image_config_layers(&variant->config));
    variant->resolved = true;
    plan->n_resolved++;
    return 0;
}

static int ask_children(struct build_plan *plan, struct job *job, struct error *err)
{
    for (size_t i = 0; i < plan->spec.n_platforms; i++) {
        const struct descriptor *child = manifest_find_platform(&plan->root, plan->variants[i].platform, err);
        if (!child)
            return -1;
        struct resolve_step *step = resolve_step_new(&plan->base, child, true, child_found, plan);
        step->number = i;
        job_submit_step(job, &step->base);
    }
    return 0;
}

static int check_single(const struct build_plan *plan, const struct build_variant *variant, struct error *err)
{
    struct platform have;
    image_config_platform(&variant->config, &have);
    bool fits = plan->spec.n_platforms == 1 &&
                (!plan->spec.platforms_given || platform_matches(variant->platform, &have));
    AUTO_FREE char *name = platform_format(&have);
    platform_clear(&have);
    if (fits)
        return 0;
    return error_set_pointer(err, ERR_PLATFORM_MISSING, "/platforms", "the base is a single image for %s", name);
}

static int root_found(struct resolve_step *step, struct job *job, struct error *err)
{
    struct build_plan *plan = step->plan;
    if (step->manifest.is_index) {
        manifest_move(&plan->root, &step->manifest);
        return ask_children(plan, job, err);
    }
    if (adopt_base(plan, &plan->variants[0], step, err))
        return -1;
    return check_single(plan, &plan->variants[0], err);
}

static int child_found(struct resolve_step *step, struct job *job, struct error *err)
{
    (void)job;
    struct build_plan *plan = step->plan;
    if (step->manifest.is_index)
        return error_set(err, ERR_MANIFEST_UNSUPPORTED, "the base is an index of indexes: name the inner one by digest");
    return adopt_base(plan, &plan->variants[step->number], step, err);
}

static void begin_base(struct build_plan *plan)
{
    if (plan->spec.base.kind != LOCATION_SCRATCH) {
        struct resolve_step *step = resolve_step_new(&plan->base, NULL, true, root_found, plan);
        job_submit_step(plan->job, &step->base);
        return;
    }
    for (size_t i = 0; i < plan->spec.n_platforms; i++) {
        image_config_new(&plan->variants[i].config, plan->variants[i].platform);
        plan->variants[i].resolved = true;
        plan->n_resolved++;
    }
}

static int layer_made(struct layer_work *work, struct job *job, struct error *err)
{
    (void)job;
    (void)err;
    struct build_plan *plan = work->plan;
    plan->n_made++;
    return 0;
}

// The first plan: what is to be packed. Sizes and digests follow when they are known.
static void announce_layers(struct build_plan *plan)
{
    json_t *list = json_array();
    for (size_t i = 0; i < plan->spec.n_layers; i++)
        json_array_append_new(list, json_pack("{s:s, s:n, s:n, s:n, s:s, s:n}", "blob", plan->layers[i].label, "digest",
                                              "media_type", "size", "role", "layer", "target"));
    job_event(plan->job, "job.plan", json_pack("{s:o, s:i, s:b}", "blobs", list, "bytes_total", 0, "estimated", 1));
}

static void begin_layers(struct build_plan *plan)
{
    for (size_t i = 0; i < plan->spec.n_layers; i++) {
        plan->layers[i] = (struct layer_work){
            .context = plan->context,
            .spec = &plan->spec.layers[i].spec,
            .label = mem_printf("layers/%zu", i),
            .made = layer_made,
            .plan = plan,
            .number = i,
        };
    }
    announce_layers(plan);
    for (size_t i = 0; i < plan->spec.n_layers; i++)
        layer_work_start(&plan->layers[i], plan->job);
}

static void free_variant(struct build_variant *variant)
{
    manifest_clear(&variant->base);
    image_config_clear(&variant->config);
    descriptor_clear(&variant->config_descriptor);
    free(variant->config_text);
}

static void build_free(void *arg)
{
    struct build_plan *plan = arg;
    publish_free(plan->publish);
    endpoint_fini(&plan->base);
    manifest_clear(&plan->root);
    for (size_t i = 0; plan->variants && i < plan->spec.n_platforms; i++)
        free_variant(&plan->variants[i]);
    for (size_t i = 0; plan->layers && i < plan->spec.n_layers; i++)
        if (plan->layers[i].context)
            layer_work_clear(&plan->layers[i]);
    free(plan->variants);
    free(plan->layers);
    if (plan->auth)
        credential_set_unref(plan->auth);
    build_spec_clear(&plan->spec);
    free(plan);
}

static void begin(struct build_plan *plan)
{
    publish_start(plan->publish);
    begin_layers(plan);
    begin_base(plan);
}

static int build_start(struct job *job, const json_t *spec, const json_t *auth, const json_t *checkpoint,
                       void **ret_plan, struct error *err)
{
    struct build_plan *plan = mem_new(struct build_plan);
    plan->job = job;
    plan->context = image_context_get();
    if (build_spec_decode(&plan->spec, spec, plan->context, err) ||
        (auth && !(plan->auth = credential_set_new(auth, err)))) {
        build_free(plan);
        return -1;
    }
    plan->variants = mem_calloc(plan->spec.n_platforms, sizeof(*plan->variants));
    plan->layers = mem_calloc(plan->spec.n_layers, sizeof(*plan->layers));
    for (size_t i = 0; i < plan->spec.n_platforms; i++)
        plan->variants[i].platform = &plan->spec.platforms[i];
    publish_pin(&plan->spec.base, json_get_string(json_object_get(checkpoint, "inputs"), "base"));
    endpoint_init(&plan->base, plan->context, &plan->spec.base, plan->auth);
    plan->publish = publish_new(&(struct publish_options){.job = job,
                                                          .context = plan->context,
                                                          .targets = &plan->spec.targets,
                                                          .auth = auth,
                                                          .auth_set = plan->auth});
    *ret_plan = plan;
    if (publish_can_resume(plan->publish, checkpoint)) {
        plan->sealed = true;
        return publish_resume(plan->publish, checkpoint, err);
    }
    begin(plan);
    return 0;
}

// Base layers need no packing: they may move while the new layers are made.
static void announce_base(struct build_plan *plan)
{
    plan->base_announced = true;
    for (size_t i = 0; i < plan->spec.n_platforms; i++) {
        const struct build_variant *variant = &plan->variants[i];
        for (size_t k = 0; k < variant->base.n_layers; k++) {
            const struct descriptor *layer = &variant->base.layers[k];
            if (media_type_is_foreign_layer(layer->media_type) && layer->urls)
                continue;
            struct publish_blob blob = {.label = mem_strdup(layer->digest.text), .role = BLOB_LAYER, .from = &plan->base};
            struct error ignored = ERROR_INIT;
            if (image_config_diff_id(&variant->config, k, &blob.diff_id, &ignored))
                error_clear(&ignored);
            descriptor_copy(&blob.descriptor, layer);
            publish_add_blob(plan->publish, &blob);
        }
    }
    publish_plan(plan->publish, true);
}

static int build_advance(struct job *job, void *arg, struct error *err)
{
    (void)job;
    struct build_plan *plan = arg;
    if (!plan->sealed && plan->n_resolved == plan->spec.n_platforms) {
        if (!plan->base_announced)
            announce_base(plan);
        if (plan->n_made == plan->spec.n_layers) {
            plan->sealed = true;
            if (build_assemble(plan, err))
                return -1;
        }
    }
    return publish_advance(plan->publish, err);
}

static json_t *build_result(struct job *job, void *arg)
{
    (void)job;
    struct build_plan *plan = arg;
    return publish_result(plan->publish);
}

const struct job_ops build_job_ops = {"build", build_start, build_advance, build_result, build_free};
