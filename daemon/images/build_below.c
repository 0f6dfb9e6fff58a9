// SPDX-License-Identifier: Apache-2.0
//
// What lies below the new layers of each platform: nothing on scratch; else what is known of the base, after rebase and
// removal, as far as `base_tree` lets us look.
#include "base/mem.h"
#include "images/build_plan.h"

static bool packs_layers(const struct build_plan *plan)
{
    for (size_t i = 0; i < plan->spec.n_layers; i++)
        if (!plan->spec.layers[i].is_blob)
            return true;
    return false;
}

bool build_needs_below(const struct build_plan *plan)
{
    return plan->spec.base.kind != LOCATION_SCRATCH && plan->spec.base_tree != BASE_TREE_IGNORE && packs_layers(plan);
}

static void warn_unknown(struct build_plan *plan)
{
    AUTO_FREE char *base = location_format(&plan->spec.base);
    AUTO_FREE char *message =
        mem_printf("the layers of %s are not in the cache, so it was not examined whether a path of a new layer crosses "
                   "one of its symbolic links, or meets a directory of other attributes; \"base_tree\": \"fetch\" reads "
                   "them, \"ignore\" is without this warning",
                   base);
    job_event(plan->job, "warning", json_pack("{s:s, s:s}", "code", "base-not-examined", "message", message));
}

static bool any_unknown(const struct build_plan *plan)
{
    for (size_t v = 0; v < plan->spec.n_platforms; v++)
        if (!plan->variants[v].below)
            return true;
    return false;
}

// With "known" the digest must depend as little as can be on what happens to be in the cache.
static int examined(struct base_tree_step *step, struct job *job, struct error *err)
{
    (void)job;
    (void)err;
    struct build_plan *plan = step->plan;
    plan->variants[step->number].below = step->below;
    step->below = NULL;
    if (plan->spec.base_tree == BASE_TREE_KNOWN && plan->variants[step->number].below)
        below_silence_parents(plan->variants[step->number].below);
    if (--plan->n_examining == 0 && any_unknown(plan))
        warn_unknown(plan);
    return 0;
}

void build_examine_base(struct build_plan *plan)
{
    plan->n_examining = plan->spec.n_platforms;
    for (size_t v = 0; v < plan->spec.n_platforms; v++) {
        struct base_tree_step *step =
            base_tree_step_new(plan->context, &plan->variants[v].stack, plan->spec.base_tree, examined, plan);
        step->number = v;
        job_submit_step(plan->job, &step->base);
    }
}
