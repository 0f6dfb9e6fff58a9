// SPDX-License-Identifier: Apache-2.0
//
// Resolving for several platforms. What must hold: an image's config has one diff_id for each layer of its manifest.
#include "images/platform_set.h"

#include "base/mem.h"

static int child_found(struct resolve_step *step, struct job *job, struct error *err);

static int adopt(struct platform_set *set, size_t number, struct resolve_step *step, struct error *err)
{
    struct platform_image *image = &set->images[number];
    if (image_config_parse(&image->config, step->config, step->config_len, err))
        return error_wrap(err, "the config of %s", set->what);
    manifest_move(&image->manifest, &step->manifest);
    if (image_config_layers(&image->config) != image->manifest.n_layers)
        return error_set(err, ERR_REGISTRY_PROTOCOL, "the manifest of %s has %zu layers, its config %zu diff_ids",
                         set->what, image->manifest.n_layers, image_config_layers(&image->config));
    image->found = true;
    set->n_found++;
    return 0;
}

static int ask_children(struct platform_set *set, struct job *job, struct error *err)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct descriptor *child = manifest_find_platform(&set->root, &set->platforms[i], err);
        if (!child)
            return error_wrap(err, "%s", set->what);
        struct resolve_step *step = resolve_step_new(set->endpoint, child, true, child_found, set);
        step->number = i;
        job_submit_step(job, &step->base);
    }
    return 0;
}

static int check_single(const struct platform_set *set, struct error *err)
{
    struct platform have;
    image_config_platform(&set->images[0].config, &have);
    bool fits = set->count == 1 && (!set->given || platform_matches(&set->platforms[0], &have));
    AUTO_FREE char *name = platform_format(&have);
    platform_clear(&have);
    if (fits)
        return 0;
    return error_set_pointer(err, ERR_PLATFORM_MISSING, "/platforms", "%s is a single image for %s", set->what, name);
}

static int root_found(struct resolve_step *step, struct job *job, struct error *err)
{
    struct platform_set *set = step->plan;
    if (step->manifest.is_index) {
        manifest_move(&set->root, &step->manifest);
        return ask_children(set, job, err);
    }
    if (adopt(set, 0, step, err))
        return -1;
    return check_single(set, err);
}

static int child_found(struct resolve_step *step, struct job *job, struct error *err)
{
    (void)job;
    struct platform_set *set = step->plan;
    if (step->manifest.is_index)
        return error_set(err, ERR_MANIFEST_UNSUPPORTED, "%s is an index of indexes: name the inner one by digest",
                         set->what);
    return adopt(set, step->number, step, err);
}

void platform_set_init(struct platform_set *set, struct endpoint *endpoint, const struct platform *platforms,
                       size_t count, bool given, const char *what)
{
    *set = (struct platform_set){
        .endpoint = endpoint, .platforms = platforms, .count = count, .given = given, .what = what};
    set->images = mem_calloc(count, sizeof(*set->images));
}

void platform_set_fini(struct platform_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        manifest_clear(&set->images[i].manifest);
        image_config_clear(&set->images[i].config);
    }
    manifest_clear(&set->root);
    free(set->images);
    *set = (struct platform_set){0};
}

void platform_set_start(struct platform_set *set, struct job *job)
{
    job_submit_step(job, &resolve_step_new(set->endpoint, NULL, true, root_found, set)->base);
}

bool platform_set_complete(const struct platform_set *set)
{
    return set->n_found == set->count;
}

const struct digest *platform_set_digest(const struct platform_set *set)
{
    const struct manifest *root = set->root.bytes ? &set->root : set->count ? &set->images[0].manifest : NULL;
    return root && root->bytes ? &root->digest : NULL;
}
