// SPDX-License-Identifier: Apache-2.0
//
// The part of a step that plans and workers use. A worker's event travels as a letter of its own; it arrives
// before the step's end because letters of one sender keep their order.
#include "jobs/step.h"

#include "base/mem.h"
#include "jobs/engine_core.h"
#include "jobs/job_core.h"

struct step_letter {
    struct letter letter;
    struct step *step;
    char *type;
    json_t *members;
};

void step_init(struct step *step, const struct step_ops *ops, const char *name, const char *blob)
{
    *step = (struct step){.ops = ops, .error = ERROR_INIT};
    step->name = mem_strdup(name);
    step->blob = mem_strdup_null(blob);
}

void step_free(struct step *step)
{
    free(mem_take(step->name));
    free(mem_take(step->blob));
    free(mem_take(step->flight_key));
    free(mem_take(step->side_host));
    for (int i = 0; i < STEP_HOSTS_MAX; i++)
        free(mem_take(step->hosts[i]));
    error_clear(&step->error);
    step->ops->free(step);
}

static void deliver(struct step *step, const char *type, json_t *members)
{
    if (step->job)
        job_event(step->job, type, members);
    else
        json_decref(members);
}

static void on_letter(struct letter *letter)
{
    struct step_letter *mail = container_of(letter, struct step_letter, letter);
    deliver(mail->step, mail->type, mail->members);
    free(mail->type);
    free(mail);
}

void step_event(struct step *step, const char *type, json_t *members)
{
    if (!step->engine || pthread_equal(pthread_self(), step->engine->loop_thread)) {
        deliver(step, type, members);
        return;
    }
    struct step_letter *mail = mem_new(struct step_letter);
    mail->letter.deliver = on_letter;
    list_init(&mail->letter.link);
    mail->step = step;
    mail->type = mem_strdup(type);
    mail->members = members;
    mailbox_post(step->engine->mailbox, &mail->letter);
}
