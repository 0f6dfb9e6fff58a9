// SPDX-License-Identifier: Apache-2.0
//
// flatten and recompress of a build, for each platform: after rebase, removal and the new layers, so that what is merged is
// what the result would have been.
#include "images/build_plan.h"

static size_t first_to_merge(const struct build_plan *plan, const struct layer_stack *stack)
{
    size_t first = 0;
    if (plan->spec.edits.flatten == FLATTEN_ABOVE_BASE)
        while (first < stack->count && stack->items[first].of_base)
            first++;
    return first;
}

void build_begin_flatten(struct build_plan *plan)
{
    const struct layer_edits *edits = &plan->spec.edits;
    for (size_t i = 0; i < plan->spec.n_platforms; i++) {
        struct build_variant *variant = &plan->variants[i];
        variant->reshape = (struct reshape){
            .context = plan->context,
            .job = plan->job,
            .stack = &variant->stack,
            .config = &variant->config,
            .algorithm = edits->algorithm,
            .level = edits->level,
            .created_s = plan->spec.created_s,
        };
        if (edits->flatten)
            reshape_flatten(&variant->reshape, first_to_merge(plan, &variant->stack));
    }
}

void build_begin_recompress(struct build_plan *plan)
{
    for (size_t i = 0; plan->spec.edits.recompress && i < plan->spec.n_platforms; i++)
        reshape_recompress(&plan->variants[i].reshape);
}

bool build_reshaped(const struct build_plan *plan)
{
    for (size_t i = 0; i < plan->spec.n_platforms; i++)
        if (!reshape_done(&plan->variants[i].reshape))
            return false;
    return true;
}
