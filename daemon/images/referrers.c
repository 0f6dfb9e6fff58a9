// SPDX-License-Identifier: Apache-2.0
//
// The tags are listed once for all subjects: three HEADs for each would be more requests than that.
#include "images/referrers.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

static int ask_subject(struct referrers_step *self, const struct registry_scope *scope, const struct digest *subject,
                       struct error *err)
{
    AUTO_JSON json_t *index = registry_referrers(scope, subject, NULL, err);
    if (!index)
        return error_wrap(err, "what refers to %.19s…", subject->text);
    json_array_extend(self->descriptors, json_object_get(index, "manifests"));
    if (json_array_size(self->descriptors) > MANIFEST_DESCRIPTORS_MAX)
        return error_set(err, ERR_TOO_LARGE, "more than %d manifests refer to the image", MANIFEST_DESCRIPTORS_MAX);
    return 0;
}

static bool names_subject(const struct referrers_step *self, const char *tag)
{
    static const char *const suffixes[] = {".sig", ".att", ".sbom"};
    for (size_t i = 0; i < self->n_subjects; i++) {
        const char *hex = digest_hex(&self->subjects[i]);
        size_t len = strlen(hex);
        if (!str_starts(tag, "sha256-") || strncmp(tag + 7, hex, len) != 0)
            continue;
        for (size_t k = 0; k < sizeof(suffixes) / sizeof(*suffixes); k++)
            if (str_equal(tag + 7 + len, suffixes[k]))
                return true;
    }
    return false;
}

static int ask_tags(struct referrers_step *self, const struct registry_scope *scope, struct error *err)
{
    AUTO_JSON json_t *tags = registry_tags(scope, err);
    if (!tags)
        return -1;
    size_t i;
    json_t *tag;
    json_array_foreach(tags, i, tag)
        if (names_subject(self, json_string_value(tag)))
            json_array_append(self->tags, tag);
    return 0;
}

static int referrers_run(struct step *step, struct error *err)
{
    struct referrers_step *self = (struct referrers_step *)step;
    struct registry_scope scope = endpoint_scope(self->endpoint, step);
    json_array_clear(self->descriptors);
    json_array_clear(self->tags);
    for (size_t i = 0; i < self->n_subjects; i++)
        if (ask_subject(self, &scope, &self->subjects[i], err))
            return -1;
    return ask_tags(self, &scope, err);
}

static int referrers_done(struct step *step, struct job *job, struct error *err)
{
    struct referrers_step *self = (struct referrers_step *)step;
    return self->found(self, job, err);
}

static int referrers_failed(struct step *step, struct job *job, const struct error *err)
{
    struct referrers_step *self = (struct referrers_step *)step;
    return self->failed(self, job, err);
}

static void referrers_free(struct step *step)
{
    struct referrers_step *self = (struct referrers_step *)step;
    json_decref(self->descriptors);
    json_decref(self->tags);
    free(self->subjects);
    free(self);
}

struct referrers_step *referrers_step_new(struct endpoint *endpoint, struct digest *subjects, size_t n_subjects,
                                          void *plan)
{
    static const struct step_ops ops = {
        .run = referrers_run, .done = referrers_done, .free = referrers_free, .failed = referrers_failed};
    struct referrers_step *self = mem_new(struct referrers_step);
    AUTO_FREE char *name = mem_printf("referrers in %s", endpoint->key);
    step_init(&self->base, &ops, name, NULL);
    self->endpoint = endpoint;
    self->subjects = subjects;
    self->n_subjects = n_subjects;
    self->descriptors = json_array();
    self->tags = json_array();
    self->plan = plan;
    endpoint_gate(endpoint, &self->base);
    return self;
}
