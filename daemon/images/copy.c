// SPDX-License-Identifier: Apache-2.0
//
// Reads the source's manifests – the root, then children level by level, each digest once – adds every blob they name to the
// publish plan, and seals it when the last manifest is in. The bytes of manifests are never rewritten, except that a
// selection of platforms makes a new index.
#include "images/copy.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "credentials/credentials.h"
#include "images/copy_spec.h"
#include "images/publish.h"
#include "images/resolve.h"

struct copy_plan {
    struct image_context *context;
    struct copy_spec spec;
    struct credential_set *auth;
    struct endpoint source;
    struct publish *publish;
    struct resolved {          // in the order found: parents before children
        struct manifest manifest;
        int depth;
    } *resolved;
    size_t n_resolved;
    size_t open;               // resolve steps under way
    struct digest *asked;      // digests of children that were asked for
    size_t n_asked;
    bool sealed;
};

static int manifest_found(struct resolve_step *step, struct job *job, struct error *err);

static bool ask_once(struct copy_plan *plan, const struct digest *digest)
{
    for (size_t i = 0; i < plan->n_asked; i++)
        if (digest_equal(&plan->asked[i], digest))
            return false;
    plan->asked = mem_realloc(plan->asked, (plan->n_asked + 1) * sizeof(*plan->asked));
    plan->asked[plan->n_asked++] = *digest;
    return true;
}

static void submit_resolve(struct copy_plan *plan, struct job *job, const struct descriptor *child, int depth)
{
    struct resolve_step *step = resolve_step_new(&plan->source, child, false, manifest_found, plan);
    step->number = (size_t)depth;
    plan->open++;
    job_submit_step(job, &step->base);
}

static bool is_selected(const struct copy_plan *plan, const struct descriptor *child)
{
    if (!plan->spec.n_platforms)
        return true;
    for (size_t i = 0; i < plan->spec.n_platforms; i++)
        if (child->has_platform && platform_matches(&plan->spec.platforms[i], &child->platform))
            return true;
    return false;
}

static int add_children(struct copy_plan *plan, struct job *job, const struct manifest *index, int depth,
                        struct error *err)
{
    if (depth >= MANIFEST_DEPTH_MAX)
        return error_set(err, ERR_MANIFEST_UNSUPPORTED, "indexes are nested deeper than %d levels", MANIFEST_DEPTH_MAX);
    if (plan->n_asked + index->n_children > MANIFEST_DESCRIPTORS_MAX)
        return error_set(err, ERR_TOO_LARGE, "the image has more than %d manifests", MANIFEST_DESCRIPTORS_MAX);
    for (size_t i = 0; i < index->n_children; i++)
        if ((depth > 0 || is_selected(plan, &index->children[i])) && ask_once(plan, &index->children[i].digest))
            submit_resolve(plan, job, &index->children[i], depth + 1);
    return 0;
}

static void add_blob(struct copy_plan *plan, const struct descriptor *descriptor, enum blob_role role)
{
    // Foreign layers keep their URLs and are not pushed: many registries refuse the bytes.
    if (media_type_is_foreign_layer(descriptor->media_type) && descriptor->urls)
        return;
    struct publish_blob blob = {.label = mem_strdup(descriptor->digest.text), .role = role, .from = &plan->source};
    descriptor_copy(&blob.descriptor, descriptor);
    publish_add_blob(plan->publish, &blob);
}

static void add_blobs(struct copy_plan *plan, const struct manifest *manifest)
{
    for (size_t i = 0; i < manifest->n_layers; i++)
        add_blob(plan, &manifest->layers[i], BLOB_LAYER);
    add_blob(plan, &manifest->config, BLOB_CONFIG);
}

static int check_platforms(const struct copy_plan *plan, const struct manifest *root, struct error *err)
{
    if (!plan->spec.n_platforms)
        return 0;
    if (!root->is_index)
        return error_set_pointer(err, ERR_PLATFORM_MISSING, "/platforms",
                                 "the source is a single image, not an index: leave out `platforms` to copy it");
    for (size_t i = 0; i < plan->spec.n_platforms; i++)
        if (!manifest_find_platform(root, &plan->spec.platforms[i], err))
            return -1;
    return 0;
}

static int manifest_found(struct resolve_step *step, struct job *job, struct error *err)
{
    struct copy_plan *plan = step->plan;
    int depth = (int)step->number;
    if ((plan->n_resolved & (plan->n_resolved - 1)) == 0)
        plan->resolved =
            mem_realloc(plan->resolved, (plan->n_resolved ? plan->n_resolved * 2 : 1) * sizeof(*plan->resolved));
    struct resolved *entry = &plan->resolved[plan->n_resolved++];
    *entry = (struct resolved){.depth = depth};
    manifest_move(&entry->manifest, &step->manifest);
    plan->open--;
    if (depth == 0 && check_platforms(plan, &entry->manifest, err))
        return -1;
    if (entry->manifest.is_index)
        return add_children(plan, job, &entry->manifest, depth, err);
    add_blobs(plan, &entry->manifest);
    return 0;
}

// A new, valid index with the selected children only; everything else stays as it was.
static int prune_index(const struct copy_plan *plan, struct manifest *root, struct error *err)
{
    AUTO_JSON json_t *document = json_deep_copy(root->root);
    json_t *children = json_array();
    for (size_t i = 0; i < root->n_children; i++)
        if (is_selected(plan, &root->children[i]))
            json_array_append(children, json_array_get(json_object_get(root->root, "manifests"), i));
    json_object_set_new(document, "manifests", children);
    AUTO_FREE char *text = json_text(document);
    struct manifest pruned;
    if (manifest_parse(&pruned, text, strlen(text), root->media_type, err))
        return -1;
    manifest_clear(root);
    manifest_move(root, &pruned);
    return 0;
}

// Children before parents: what was found later never is a parent of what was found before.
static int seal(struct copy_plan *plan, struct error *err)
{
    plan->sealed = true;
    struct manifest *root = &plan->resolved[0].manifest;
    json_t *inputs = json_pack("{s:s}", "source", root->digest.text);
    if (plan->spec.n_platforms && !plan->spec.sparse && prune_index(plan, root, err)) {
        json_decref(inputs);
        return -1;
    }
    struct manifest *manifests = mem_calloc(plan->n_resolved, sizeof(*manifests));
    for (size_t i = 0; i < plan->n_resolved; i++)
        manifest_move(&manifests[plan->n_resolved - 1 - i], &plan->resolved[i].manifest);
    AUTO_FREE size_t *roots = mem_calloc(plan->spec.targets.count, sizeof(*roots));
    for (size_t t = 0; t < plan->spec.targets.count; t++)
        roots[t] = plan->n_resolved - 1;
    publish_plan(plan->publish, false);
    return publish_seal(plan->publish, manifests, plan->n_resolved, roots, inputs, err);
}

static void copy_free(void *arg)
{
    struct copy_plan *plan = arg;
    publish_free(plan->publish);
    endpoint_fini(&plan->source);
    for (size_t i = 0; i < plan->n_resolved; i++)
        manifest_clear(&plan->resolved[i].manifest);
    free(plan->resolved);
    free(plan->asked);
    if (plan->auth)
        credential_set_unref(plan->auth);
    copy_spec_clear(&plan->spec);
    free(plan);
}

static int copy_start(struct job *job, const json_t *spec, const json_t *auth, const json_t *checkpoint, void **ret_plan,
                      struct error *err)
{
    struct copy_plan *plan = mem_new(struct copy_plan);
    plan->context = image_context_get();
    if (copy_spec_decode(&plan->spec, spec, plan->context, err) ||
        (auth && !(plan->auth = credential_set_new(auth, err)))) {
        copy_free(plan);
        return -1;
    }
    publish_pin(&plan->spec.source, json_get_string(json_object_get(checkpoint, "inputs"), "source"));
    endpoint_init(&plan->source, plan->context, &plan->spec.source, plan->auth);
    plan->publish = publish_new(&(struct publish_options){.job = job,
                                                          .context = plan->context,
                                                          .targets = &plan->spec.targets,
                                                          .auth = auth,
                                                          .auth_set = plan->auth,
                                                          .look_first = true,
                                                          .force = plan->spec.force});
    *ret_plan = plan;
    if (publish_can_resume(plan->publish, checkpoint)) {
        plan->sealed = true;
        return publish_resume(plan->publish, checkpoint, err);
    }
    publish_start(plan->publish);
    submit_resolve(plan, job, NULL, 0);
    return 0;
}

static int copy_advance(struct job *job, void *arg, struct error *err)
{
    (void)job;
    struct copy_plan *plan = arg;
    if (!plan->sealed && !plan->open && plan->n_resolved && seal(plan, err))
        return -1;
    return publish_advance(plan->publish, err);
}

static json_t *copy_result(struct job *job, void *arg)
{
    (void)job;
    struct copy_plan *plan = arg;
    return publish_result(plan->publish);
}

const struct job_ops copy_job_ops = {"copy", copy_start, copy_advance, copy_result, copy_free};
