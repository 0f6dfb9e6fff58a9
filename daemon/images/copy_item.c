// SPDX-License-Identifier: Apache-2.0
//
// The bytes of manifests are never rewritten, except that a selection of platforms makes a new index and a wanted format new
// documents (manifest_tree). What was read stays in the tree until it is sealed.
#include "images/copy_item.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "credentials/credentials.h"
#include "images/referrers.h"
#include "images/resolve.h"

static int manifest_found(struct resolve_step *step, struct job *job, struct error *err);

// --- failing -----------------------------------------------------------------------------------------------------------

// In a batch an error ends the item, not the job.
static int item_failed(struct copy_item *item, struct error *err)
{
    if (!item->in_batch)
        return -1;
    if (!item->failed)
        error_copy(&item->error, err);
    item->failed = true;
    error_clear(err);
    return 0;
}

static void publish_failed(void *arg, const struct error *err)
{
    struct copy_item *item = arg;
    if (!item->failed)
        error_copy(&item->error, err);
    item->failed = true;
}

static int reading_failed(struct copy_item *item, const struct error *err)
{
    item->open--;
    if (!item->in_batch)
        return -1;
    publish_failed(item, err);
    return 0;
}

// An index may name manifests that its repository does not have (a sparse index, OCI distribution-spec "Pushing
// Manifests"), and a list of referrers what was removed since: the copy is then as sparse as its source, and says so. What
// `platforms` selects has to be there.
static bool may_be_missing(const struct resolve_step *step, const struct error *err)
{
    const struct copy_item *item = step->plan;
    return err->code == ERR_IMAGE_NOT_FOUND && step->has_expected && (!item->spec->n_platforms || step->number > 1);
}

static int resolve_failed(struct resolve_step *step, struct job *job, const struct error *err)
{
    struct copy_item *item = step->plan;
    if (!may_be_missing(step, err))
        return reading_failed(item, err);
    item->open--;
    job_warning(job, "child-missing", "the source lacks %s, which it refers to; the copy lacks it, too",
                step->expected.digest.text);
    return 0;
}

static int listing_failed(struct referrers_step *step, struct job *job, const struct error *err)
{
    (void)job;
    return reading_failed(step->plan, err);
}

// --- reading -----------------------------------------------------------------------------------------------------------

static struct resolve_step *submit_resolve(struct copy_item *item, const struct descriptor *child, const char *tag,
                                           int depth)
{
    struct resolve_step *step = resolve_step_new(&item->source, child, false, manifest_found, item);
    step->number = (size_t)depth;
    step->reference = mem_strdup_null(tag);
    step->failed = resolve_failed;
    item->open++;
    job_submit_step(item->job, &step->base);
    return step;
}

// Each manifest is asked for once.
static int ask(struct copy_item *item, const struct descriptor *child, int depth, struct error *err)
{
    int fresh = image_bounds_manifest(&item->bounds, &child->digest, child->size, err);
    if (fresh > 0)
        submit_resolve(item, child, NULL, depth);
    return fresh < 0 ? -1 : 0;
}

static bool is_selected(const struct copy_item *item, const struct descriptor *child)
{
    if (!item->spec->n_platforms)
        return true;
    for (size_t i = 0; i < item->spec->n_platforms; i++)
        if (child->has_platform && platform_matches(&item->spec->platforms[i], &child->platform))
            return true;
    return false;
}

static int add_children(struct copy_item *item, const struct manifest *index, int depth, struct error *err)
{
    if (depth >= MANIFEST_DEPTH_MAX)
        return error_set(err, ERR_MANIFEST_UNSUPPORTED, "indexes are nested deeper than %d levels",
                         MANIFEST_DEPTH_MAX);
    for (size_t i = 0; i < index->n_children; i++)
        if ((depth > 0 || is_selected(item, &index->children[i])) &&
            ask(item, &index->children[i], depth + 1, err))
            return -1;
    return 0;
}

static int add_blob(struct copy_item *item, const struct descriptor *descriptor, enum blob_role role,
                    struct error *err)
{
    // Foreign layers keep their URLs and are not pushed unless wanted: many registries refuse the bytes.
    if (!item->spec->foreign && media_type_is_foreign_layer(descriptor->media_type) && descriptor->urls)
        return 0;
    int fresh = image_bounds_blob(&item->bounds, &descriptor->digest, err);
    if (fresh <= 0)
        return fresh;
    struct publish_blob blob = {.label = mem_strdup(descriptor->digest.text), .role = role, .from = &item->source};
    descriptor_copy(&blob.descriptor, descriptor);
    publish_add_blob(item->publish, &blob);
    return 0;
}

static int add_blobs(struct copy_item *item, const struct manifest *manifest, struct error *err)
{
    for (size_t i = 0; i < manifest->n_layers; i++)
        if (add_blob(item, &manifest->layers[i], BLOB_LAYER, err))
            return -1;
    return add_blob(item, &manifest->config, BLOB_CONFIG, err);
}

static int check_platforms(const struct copy_item *item, const struct manifest *root, struct error *err)
{
    if (!item->spec->n_platforms)
        return 0;
    if (!root->is_index)
        return error_set_pointer(err, ERR_PLATFORM_MISSING, "/platforms",
                                 "the source is a single image, not an index: leave out `platforms` to copy it");
    for (size_t i = 0; i < item->spec->n_platforms; i++)
        if (!manifest_find_platform(root, &item->spec->platforms[i], err))
            return -1;
    return 0;
}

static void note_tag(struct copy_item *item, const char *tag, const struct digest *digest)
{
    item->tags = mem_realloc(item->tags, (item->n_tags + 1) * sizeof(*item->tags));
    item->tags[item->n_tags++] = (struct referring_tag){mem_strdup(tag), *digest};
}

static int take_manifest(struct copy_item *item, struct resolve_step *step, struct error *err)
{
    int depth = (int)step->number;
    bool is_root = depth == 0;
    if (step->reference)
        note_tag(item, step->reference, &step->manifest.digest);
    if (is_root) {
        item->root = step->manifest.digest;
        item->pin = mem_strdup(item->root.text);
    }
    // Those that a tag named were asked for before their digest was known.
    if ((is_root || step->reference) &&
        image_bounds_manifest(&item->bounds, &step->manifest.digest, (int64_t)step->manifest.len, err) < 0)
        return -1;
    const struct manifest *manifest = manifest_tree_add(&item->tree, &step->manifest);
    if (!manifest)
        return 0;
    if (is_root && check_platforms(item, manifest, err))
        return -1;
    if (manifest->is_index)
        return add_children(item, manifest, depth, err);
    return add_blobs(item, manifest, err);
}

static int manifest_found(struct resolve_step *step, struct job *job, struct error *err)
{
    (void)job;
    struct copy_item *item = step->plan;
    item->open--;
    if (item->failed || !take_manifest(item, step, err))
        return 0;
    return item_failed(item, err);
}

// --- what refers to it ---------------------------------------------------------------------------------------------------

static int take_referrers(struct copy_item *item, const struct referrers_step *step, struct error *err)
{
    size_t i;
    json_t *value;
    if (json_array_size(step->descriptors) + json_array_size(step->tags) > 0 &&
        ++item->n_rounds > IMAGE_REFERRERS_DEPTH_MAX)
        return error_set(err, ERR_MANIFEST_UNSUPPORTED,
                         "what refers to the image is referred to in turn, deeper than %d levels",
                         IMAGE_REFERRERS_DEPTH_MAX);
    json_array_foreach(step->descriptors, i, value)
    {
        struct descriptor descriptor = {0};
        if (descriptor_parse(&descriptor, value, "referrer", err))
            return -1;
        int failed = ask(item, &descriptor, 1, err);
        descriptor_clear(&descriptor);
        if (failed)
            return -1;
    }
    json_array_foreach(step->tags, i, value)
        submit_resolve(item, NULL, json_string_value(value), 1);
    return 0;
}

static int referrers_found(struct referrers_step *step, struct job *job, struct error *err)
{
    (void)job;
    struct copy_item *item = step->plan;
    item->open--;
    if (item->failed || !take_referrers(item, step, err))
        return 0;
    return item_failed(item, err);
}

// Asks for what refers to manifests that are new since the last time. False if there are none.
static bool ask_referrers(struct copy_item *item)
{
    size_t count = item->tree.count - item->n_referred;
    if (!item->spec->referrers || !count || !endpoint_is_registry(&item->source))
        return false;
    struct digest *subjects = mem_calloc(count, sizeof(*subjects));
    for (size_t i = 0; i < count; i++)
        subjects[i] = item->tree.items[item->n_referred + i]->digest;
    item->n_referred = item->tree.count;
    struct referrers_step *step = referrers_step_new(&item->source, subjects, count, item);
    step->found = referrers_found;
    step->failed = listing_failed;
    item->open++;
    job_submit_step(item->job, &step->base);
    return true;
}

// --- sealing -----------------------------------------------------------------------------------------------------------

// A new, valid index with the selected children only; everything else stays as it was.
static int prune_index(struct copy_item *item, struct error *err)
{
    const struct manifest *root = manifest_tree_find(&item->tree, &item->root);
    AUTO_JSON json_t *document = json_deep_copy(root->root);
    json_t *children = json_array();
    for (size_t i = 0; i < root->n_children; i++)
        if (is_selected(item, &root->children[i]))
            json_array_append(children, json_array_get(json_object_get(root->root, "manifests"), i));
    json_object_set_new(document, "manifests", children);
    AUTO_FREE char *text = json_text(document);
    struct manifest pruned;
    if (manifest_parse(&pruned, text, strlen(text), root->media_type, err))
        return -1;
    item->root = pruned.digest;
    manifest_tree_add(&item->tree, &pruned);
    return 0;
}

static void add_tags(struct copy_item *item, const struct manifest *manifests, size_t count)
{
    for (size_t i = 0; i < item->n_tags; i++)
        for (size_t k = 0; k < count; k++)
            if (digest_equal(&manifests[k].digest, &item->tags[i].digest)) {
                publish_add_tag(item->publish, item->tags[i].tag, k);
                break;
            }
}

static int seal(struct copy_item *item, struct error *err)
{
    item->sealed = true;
    if (item->spec->n_platforms && !item->spec->sparse && prune_index(item, err))
        return -1;
    struct manifest *manifests;
    size_t count;
    AUTO_FREE size_t *roots = mem_calloc(item->targets.count, sizeof(*roots));
    if (manifest_tree_seal(&item->tree, &item->root, &item->targets, &manifests, &count, roots, err))
        return -1;
    publish_plan(item->publish, NULL, false);
    publish_seal(item->publish, manifests, count, roots, json_pack("{s:s}", "source", item->pin));
    add_tags(item, manifests, count);
    return 0;
}

// --- life --------------------------------------------------------------------------------------------------------------

struct copy_item *copy_item_new(const struct copy_item_options *options)
{
    struct copy_item *item = mem_new(struct copy_item);
    item->job = options->job;
    item->spec = options->spec;
    item->targets = *options->targets;
    item->in_batch = options->in_batch;
    item->error = ERROR_INIT;
    manifest_tree_init(&item->tree);
    image_bounds_init(&item->bounds);
    endpoint_init(&item->source, options->context, options->source, options->auth_set);
    item->publish = publish_new(&(struct publish_options){.job = options->job,
                                                          .context = options->context,
                                                          .targets = &item->targets,
                                                          .source = options->source,
                                                          .auth = options->auth,
                                                          .auth_set = options->auth_set,
                                                          .look_first = true,
                                                          .force = options->spec->force,
                                                          .dry_run = options->spec->dry_run,
                                                          .item_failed = options->in_batch ? publish_failed : NULL,
                                                          .item_arg = item});
    return item;
}

void copy_item_free(struct copy_item *item)
{
    if (!item)
        return;
    publish_free(item->publish);
    endpoint_fini(&item->source);
    manifest_tree_fini(&item->tree);
    for (size_t i = 0; i < item->n_tags; i++)
        free(item->tags[i].tag);
    free(item->tags);
    image_bounds_fini(&item->bounds);
    free(item->pin);
    error_clear(&item->error);
    free(item);
}

void copy_item_start(struct copy_item *item)
{
    publish_start(item->publish);
    submit_resolve(item, NULL, NULL, 0);
    if (item->spec->referrers && !endpoint_is_registry(&item->source))
        job_warning(item->job, "referrers-not-read", "what refers to an image is looked for in registries only");
}

int copy_item_advance(struct copy_item *item, struct error *err)
{
    if (item->failed)
        return 0;
    bool read = !item->open && item->tree.count;
    if (!item->sealed && read && !ask_referrers(item) && seal(item, err))
        return item_failed(item, err);
    return publish_advance(item->publish, err) ? item_failed(item, err) : 0;
}

bool copy_item_done(const struct copy_item *item)
{
    if (item->failed)
        return !item->open && publish_idle(item->publish);
    return item->sealed && publish_done(item->publish);
}
