// SPDX-License-Identifier: Apache-2.0
//
// A registry that does not delete tags deletes manifests, with every tag that they have. Then a tag goes only if no tag that
// stays points at the same manifest.
#include "images/prune.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/table.h"

struct prune {
    json_t *source_tags;
    json_t *rows;
    size_t open, failed;
};

struct prune_step {
    struct step base;
    struct prune *prune;
    struct endpoint endpoint;
    const struct copy_spec *spec;  // borrowed
    const json_t *source_tags;     // borrowed from the prune; const
    json_t *rows;                  // result
    size_t failed;
};

static bool is_stale(const struct prune_step *self, const struct table *source, const char *tag)
{
    return !tag_is_referrer(tag) && !table_find(source, tag) && !pattern_list_matches(&self->spec->protect, tag);
}

static json_t *find_stale(const struct prune_step *self, const json_t *tags)
{
    struct table *source = table_new();
    size_t i;
    json_t *tag;
    json_array_foreach((json_t *)self->source_tags, i, tag)
        table_put(source, json_string_value(tag), tag);
    json_t *stale = json_array();
    json_array_foreach((json_t *)tags, i, tag)
        if (is_stale(self, source, json_string_value(tag)))
            json_array_append(stale, tag);
    table_free(source);
    return stale;
}

// Do all tags that stay point elsewhere?
static int check_unshared(struct prune_step *self, const struct registry_scope *scope, const json_t *tags,
                          const json_t *stale, const struct digest *digest, struct error *err)
{
    size_t i, k;
    json_t *tag, *other;
    json_array_foreach((json_t *)tags, i, tag)
    {
        bool goes = false;
        json_array_foreach((json_t *)stale, k, other)
            goes |= json_equal(tag, other);
        struct digest here;
        if (goes)
            continue;
        int found = registry_manifest_head(scope, json_string_value(tag), &here, NULL, NULL, err);
        if (found < 0 || monitor_check(&self->base.monitor, err))
            return -1;
        if (found && digest_equal(&here, digest))
            return error_set(err, ERR_CONFLICT, "the registry deletes no tags, only manifests, and the tag %s, which "
                             "stays, points at the same one", json_string_value(tag));
    }
    return 0;
}

static int remove_tag(struct prune_step *self, const struct registry_scope *scope, const json_t *tags,
                      const json_t *stale, const char *tag, struct error *err)
{
    struct digest digest;
    if (!registry_manifest_delete(scope, tag, err))
        return 0;
    int status = err->upstream.status;
    if (status != 400 && status != 405 && status != 404)
        return -1;
    error_clear(err);
    *err = ERROR_INIT;
    int found = registry_manifest_head(scope, tag, &digest, NULL, NULL, err);
    if (found <= 0)
        return found; // gone already, with another tag of the same manifest
    if (check_unshared(self, scope, tags, stale, &digest, err))
        return -1;
    return registry_manifest_delete(scope, digest.text, err);
}

static void add_row(struct prune_step *self, const char *tag, const char *state, const struct error *err)
{
    AUTO_FREE char *ref = mem_printf("%s:%s", self->endpoint.key, tag);
    json_array_append_new(self->rows, json_pack("{s:s, s:s, s:o}", "ref", ref, "state", state, "error",
                                                err ? error_to_json(err, NULL, NULL) : json_null()));
    self->failed += err != NULL;
}

static int prune_run(struct step *step, struct error *err)
{
    struct prune_step *self = (struct prune_step *)step;
    struct registry_scope scope = endpoint_scope(&self->endpoint, step);
    AUTO_JSON json_t *tags = registry_tags(&scope, err);
    if (!tags)
        return -1;
    AUTO_JSON json_t *stale = find_stale(self, tags);
    size_t i;
    json_t *value;
    json_array_foreach(stale, i, value)
    {
        CLEANUP(error_clear) struct error why = ERROR_INIT;
        const char *tag = json_string_value(value);
        if (monitor_check(&step->monitor, err))
            return -1;
        if (self->spec->dry_run)
            add_row(self, tag, "would-remove", NULL);
        else if (remove_tag(self, &scope, tags, stale, tag, &why))
            add_row(self, tag, "failed", &why);
        else
            add_row(self, tag, "removed", NULL);
    }
    return 0;
}

static int prune_done(struct step *step, struct job *job, struct error *err)
{
    (void)job;
    (void)err;
    struct prune_step *self = (struct prune_step *)step;
    json_array_extend(self->prune->rows, self->rows);
    self->prune->failed += self->failed;
    self->prune->open--;
    return 0;
}

static void prune_step_free(struct step *step)
{
    struct prune_step *self = (struct prune_step *)step;
    endpoint_fini(&self->endpoint);
    json_decref(self->rows);
    free(self);
}

struct prune *prune_start(const struct copy_item_options *options, const json_t *source_tags)
{
    static const struct step_ops ops = {.run = prune_run, .done = prune_done, .free = prune_step_free};
    struct prune *prune = mem_new(struct prune);
    prune->source_tags = json_incref((json_t *)source_tags);
    prune->rows = json_array();
    for (size_t i = 0; i < options->targets->count; i++) {
        struct prune_step *self = mem_new(struct prune_step);
        endpoint_init(&self->endpoint, options->context, &options->targets->items[i].where, options->auth_set);
        AUTO_FREE char *name = mem_printf("prune %s", self->endpoint.key);
        step_init(&self->base, &ops, name, NULL);
        self->prune = prune;
        self->spec = options->spec;
        self->source_tags = prune->source_tags;
        self->rows = json_array();
        endpoint_gate(&self->endpoint, &self->base);
        prune->open++;
        job_submit_step(options->job, &self->base);
    }
    return prune;
}

bool prune_complete(const struct prune *prune)
{
    return !prune->open;
}

size_t prune_failures(const struct prune *prune)
{
    return prune->failed;
}

json_t *prune_rows(const struct prune *prune)
{
    return json_incref(prune->rows);
}

void prune_free(struct prune *prune)
{
    if (!prune)
        return;
    json_decref(prune->source_tags);
    json_decref(prune->rows);
    free(prune);
}
