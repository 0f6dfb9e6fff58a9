// SPDX-License-Identifier: Apache-2.0
//
// A copy job is one copy_item, or a batch of them.
#include "images/copy.h"

#include "base/mem.h"
#include "base/str.h"
#include "credentials/credentials.h"
#include "images/copy_batch.h"
#include "images/copy_item.h"

struct copy_plan {
    struct copy_spec spec;
    struct credential_set *auth;
    struct copy_item *item;        // or
    struct copy_batch *batch;
};

static void copy_free(void *arg)
{
    struct copy_plan *plan = arg;
    copy_item_free(plan->item);
    copy_batch_free(plan->batch);
    if (plan->auth)
        credential_set_unref(plan->auth);
    copy_spec_clear(&plan->spec);
    free(plan);
}

static int begin(struct copy_plan *plan, const json_t *checkpoint, struct error *err)
{
    if (plan->batch) {
        copy_batch_start(plan->batch);
        return 0;
    }
    if (publish_can_resume(plan->item->publish, checkpoint)) {
        plan->item->sealed = true;
        return publish_resume(plan->item->publish, checkpoint, err);
    }
    copy_item_start(plan->item);
    return 0;
}

static int copy_start(struct job *job, const json_t *spec, const json_t *auth, const json_t *checkpoint, void **ret_plan,
                      struct error *err)
{
    struct copy_plan *plan = mem_new(struct copy_plan);
    struct image_context *context = image_context_get();
    if (copy_spec_decode(&plan->spec, spec, context, err) ||
        (auth && !(plan->auth = image_auth_open(job, auth, err)))) {
        copy_free(plan);
        return -1;
    }
    publish_pin(&plan->spec.source, json_get_string(json_object_get(checkpoint, "inputs"), "source"));
    struct copy_item_options options = {.job = job,
                                        .context = context,
                                        .spec = &plan->spec,
                                        .source = &plan->spec.source,
                                        .targets = &plan->spec.targets,
                                        .auth = auth,
                                        .auth_set = plan->auth};
    if (plan->spec.batch)
        plan->batch = copy_batch_new(&options);
    else
        plan->item = copy_item_new(&options);
    *ret_plan = plan;
    return begin(plan, checkpoint, err);
}

static int copy_advance(struct job *job, void *arg, struct error *err)
{
    (void)job;
    struct copy_plan *plan = arg;
    return plan->batch ? copy_batch_advance(plan->batch, err) : copy_item_advance(plan->item, err);
}

static json_t *copy_result(struct job *job, void *arg)
{
    (void)job;
    struct copy_plan *plan = arg;
    return plan->batch ? copy_batch_result(plan->batch) : publish_result(plan->item->publish);
}

static bool copy_complete(const void *arg)
{
    const struct copy_plan *plan = arg;
    return plan->batch ? copy_batch_done(plan->batch) : copy_item_done(plan->item);
}

const struct job_ops copy_job_ops = {"copy", copy_start, copy_advance, copy_result, copy_free, copy_complete};
