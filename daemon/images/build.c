// SPDX-License-Identifier: Apache-2.0
//
// The order of a build: the base is resolved and, where `base_tree` says so, looked at; the layers are packed (beside all that
// if they do not depend on it); base layers begin to move as soon as they are known; when all is done the image is assembled and published.
#include "images/build.h"

#include "base/mem.h"
#include "credentials/credentials.h"
#include "images/build_plan.h"

static void free_variant(struct build_variant *variant)
{
    layer_stack_clear(&variant->stack);
    below_free(variant->below);
    image_config_clear(&variant->config);
    descriptor_clear(&variant->config_descriptor);
    free(variant->config_text);
}

static void build_free(void *arg)
{
    struct build_plan *plan = arg;
    for (size_t i = 0; plan->works && i < plan->spec.n_layers * plan->spec.n_platforms; i++)
        if (plan->works[i].context)
            layer_work_clear(&plan->works[i]);
    for (size_t i = 0; plan->variants && i < plan->spec.n_platforms; i++)
        free_variant(&plan->variants[i]);
    publish_free(plan->publish);
    rebase_fini(&plan->rebase);
    platform_set_fini(&plan->base_set);
    endpoint_fini(&plan->base);
    free(plan->variants);
    free(plan->works);
    free(plan->lower);
    free(plan->found);
    if (plan->auth)
        credential_set_unref(plan->auth);
    build_spec_clear(&plan->spec);
    free(plan);
}

static void pin_inputs(struct build_plan *plan, const json_t *checkpoint)
{
    const json_t *inputs = json_object_get(checkpoint, "inputs");
    publish_pin(&plan->spec.base, json_get_string(inputs, "base"));
    if (plan->spec.edits.has_from)
        publish_pin(&plan->spec.edits.from, json_get_string(inputs, "from"));
    if (plan->spec.edits.has_onto)
        publish_pin(&plan->spec.edits.onto, json_get_string(inputs, "onto"));
}

static void prepare(struct build_plan *plan, const json_t *auth, const json_t *checkpoint)
{
    const struct build_spec *spec = &plan->spec;
    plan->variants = mem_calloc(spec->n_platforms, sizeof(*plan->variants));
    plan->works = mem_calloc(spec->n_layers * spec->n_platforms, sizeof(*plan->works));
    plan->lower = mem_calloc(spec->n_layers, sizeof(*plan->lower));
    for (size_t i = 0; i < spec->n_layers; i++)
        plan->lower[i] = spec->layers[i].is_blob ? NULL : &spec->layers[i].spec;
    plan->found = mem_calloc(spec->n_layers, sizeof(*plan->found));
    for (size_t i = 0; i < spec->n_platforms; i++) {
        plan->variants[i].platform = &spec->platforms[i];
        plan->variants[i].below = spec->base.kind == LOCATION_SCRATCH ? below_empty() : NULL;
    }
    pin_inputs(plan, checkpoint);
    endpoint_init(&plan->base, plan->context, &spec->base, plan->auth);
    if (spec->base.kind != LOCATION_SCRATCH)
        platform_set_init(&plan->base_set, &plan->base, spec->platforms, spec->n_platforms, spec->platforms_given,
                          "the base");
    plan->publish = publish_new(&(struct publish_options){.job = plan->job,
                                                          .context = plan->context,
                                                          .targets = &spec->targets,
                                                          .source = &spec->base,
                                                          .auth = auth,
                                                          .auth_set = plan->auth,
                                                          .dry_run = spec->dry_run});
}

static void begin(struct build_plan *plan)
{
    publish_start(plan->publish);
    if (!build_needs_below(plan))
        build_begin_layers(plan);
    if (plan->spec.base.kind != LOCATION_SCRATCH)
        platform_set_start(&plan->base_set, plan->job);
}

static int build_advance(struct job *job, void *arg, struct error *err);

static int build_start(struct job *job, const json_t *spec, const json_t *auth, const json_t *checkpoint,
                       void **ret_plan, struct error *err)
{
    struct build_plan *plan = mem_new(struct build_plan);
    plan->job = job;
    plan->context = image_context_get();
    if (build_spec_decode(&plan->spec, spec, plan->context, err) ||
        (auth && !(plan->auth = image_auth_open(job, auth, err)))) {
        build_free(plan);
        return -1;
    }
    prepare(plan, auth, checkpoint);
    *ret_plan = plan;
    if (publish_can_resume(plan->publish, checkpoint)) {
        plan->stage = BUILD_SEALED;
        return publish_resume(plan->publish, checkpoint, err);
    }
    begin(plan);
    return build_advance(job, plan, err); // from scratch and without layers, no step would lead there
}

static int base_known(struct build_plan *plan, struct error *err)
{
    if (build_take_base(plan, err))
        return -1;
    plan->stage = BUILD_REBASE;
    if (!plan->spec.edits.rebase)
        return 0;
    return rebase_start(&plan->rebase, &plan->spec.edits, &plan->base_set, plan->job, plan->auth, err);
}

static int ends_known(struct build_plan *plan, struct error *err)
{
    if (build_edit_base(plan, err))
        return -1;
    plan->stage = BUILD_BELOW;
    if (build_needs_below(plan))
        build_examine_base(plan);
    return 0;
}

static void below_known(struct build_plan *plan)
{
    if (build_needs_below(plan))
        build_begin_layers(plan);
    plan->stage = BUILD_LAYERS;
    // Base layers that stay need no packing: they may move while the new layers are made.
    if (!plan->spec.edits.flatten && !plan->spec.edits.recompress)
        build_announce(plan, false);
}

static int layers_made(struct build_plan *plan, struct error *err)
{
    if (build_add_layers(plan, err))
        return -1;
    plan->stage = BUILD_FLATTEN;
    build_begin_flatten(plan);
    return 0;
}

static int reshape_layers(struct build_plan *plan, struct error *err)
{
    if (plan->stage == BUILD_FLATTEN && build_reshaped(plan)) {
        plan->stage = BUILD_RECOMPRESS;
        build_begin_recompress(plan);
    }
    if (plan->stage != BUILD_RECOMPRESS || !build_reshaped(plan))
        return 0;
    plan->stage = BUILD_SEALED;
    return build_assemble(plan, err);
}

static int build_advance(struct job *job, void *arg, struct error *err)
{
    (void)job;
    struct build_plan *plan = arg;
    if (plan->stage == BUILD_BASE && platform_set_complete(&plan->base_set) && base_known(plan, err))
        return -1;
    if (plan->stage == BUILD_REBASE && (!plan->spec.edits.rebase || rebase_complete(&plan->rebase)) &&
        ends_known(plan, err))
        return -1;
    if (plan->stage == BUILD_BELOW && !plan->n_examining)
        below_known(plan);
    if (plan->stage == BUILD_LAYERS && !plan->looking && publish_ready(plan->publish))
        build_look_for_blobs(plan);
    if (plan->stage == BUILD_LAYERS && plan->n_made == plan->n_begun && layers_made(plan, err))
        return -1;
    if (reshape_layers(plan, err))
        return -1;
    return publish_advance(plan->publish, err);
}

static json_t *build_result(struct job *job, void *arg)
{
    (void)job;
    struct build_plan *plan = arg;
    return publish_result(plan->publish);
}

static bool build_complete(const void *arg)
{
    return publish_done(((const struct build_plan *)arg)->publish);
}

const struct job_ops build_job_ops = {"build", build_start, build_advance, build_result, build_free, build_complete};
