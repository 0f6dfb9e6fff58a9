// SPDX-License-Identifier: Apache-2.0
//
// The step owns its endpoint: nobody else needs it.
#include "images/tag_list.h"

#include "base/mem.h"

struct tag_list {
    struct step base;
    struct endpoint endpoint;
    json_t *tags;
    int (*listed)(void *arg, json_t *tags, struct error *err);
    void *arg;
};

static int list_run(struct step *step, struct error *err)
{
    struct tag_list *self = (struct tag_list *)step;
    struct registry_scope scope = endpoint_scope(&self->endpoint, step);
    self->tags = registry_tags(&scope, err);
    return self->tags ? 0 : -1;
}

static int list_done(struct step *step, struct job *job, struct error *err)
{
    (void)job;
    struct tag_list *self = (struct tag_list *)step;
    return self->listed(self->arg, self->tags, err);
}

static void list_free(struct step *step)
{
    struct tag_list *self = (struct tag_list *)step;
    endpoint_fini(&self->endpoint);
    json_decref(self->tags);
    free(self);
}

void tag_list_submit(struct job *job, struct image_context *context, const struct location *repository,
                     struct credential_set *auth, int (*listed)(void *arg, json_t *tags, struct error *err), void *arg)
{
    static const struct step_ops ops = {.run = list_run, .done = list_done, .free = list_free};
    struct tag_list *self = mem_new(struct tag_list);
    endpoint_init(&self->endpoint, context, repository, auth);
    AUTO_FREE char *name = mem_printf("tags of %s", self->endpoint.key);
    step_init(&self->base, &ops, name, NULL);
    self->listed = listed;
    self->arg = arg;
    endpoint_gate(&self->endpoint, &self->base);
    job_submit_step(job, &self->base);
}
