// SPDX-License-Identifier: Apache-2.0
//
// The two ends of a rebase and the exchange itself, which moves no byte of the layers that stay.
#include "images/rebase.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

#define BASE_NAME "org.opencontainers.image.base.name"
#define BASE_DIGEST "org.opencontainers.image.base.digest"

static const char *annotation(const struct platform_set *base, const char *key)
{
    const char *text = json_get_string(base->images[0].manifest.annotations, key);
    return text ? text : json_get_string(base->root.annotations, key);
}

static int untold(struct error *err, const char *member)
{
    error_set_pointer(err, ERR_INVALID_REQUEST, "/rebase", "rebase needs `%s`: the image does not say what it was built on",
                      member);
    error_hint(err, "It has no usable annotations " BASE_NAME " and " BASE_DIGEST ".");
    return -1;
}

// What the annotations name: by digest for what the image stands on, by tag for what is to come.
static int from_annotations(struct location *ret, const struct platform_set *base, bool by_digest, struct error *err)
{
    const char *name = annotation(base, BASE_NAME), *digest = annotation(base, BASE_DIGEST);
    const char *member = by_digest ? "from" : "onto";
    CLEANUP(error_clear) struct error why = ERROR_INIT;
    if (!name || strlen(name) > 512 || (by_digest && !digest) || location_parse(ret, name, &why))
        return untold(err, member);
    if (ret->kind != LOCATION_REGISTRY || (by_digest && digest_parse(&ret->ref.digest, digest, &why))) {
        location_clear(ret);
        return untold(err, member);
    }
    if (!by_digest)
        ret->ref.digest = (struct digest){0};
    else // what the tag stands for by now is of no interest: it moves with each new base
        free(mem_take(ret->ref.tag));
    return 0;
}

static int open_end(struct endpoint *endpoint, const struct location *given, bool by_digest,
                    const struct platform_set *base, struct image_context *context, struct credential_set *auth,
                    struct error *err)
{
    struct location told = {0};
    if (!given && from_annotations(&told, base, by_digest, err))
        return -1;
    endpoint_init(endpoint, context, given ? given : &told, auth);
    location_clear(&told);
    return 0;
}

int rebase_start(struct rebase *rebase, const struct layer_edits *edits, const struct platform_set *base,
                 struct job *job, struct credential_set *auth, struct error *err)
{
    struct image_context *context = base->endpoint->context;
    if (open_end(&rebase->from, edits->has_from ? &edits->from : NULL, true, base, context, auth, err) ||
        open_end(&rebase->onto, edits->has_onto ? &edits->onto : NULL, false, base, context, auth, err))
        return -1;
    platform_set_init(&rebase->from_set, &rebase->from, base->platforms, base->count, base->given, "the old base");
    platform_set_init(&rebase->onto_set, &rebase->onto, base->platforms, base->count, base->given, "the new base");
    rebase->started = true;
    platform_set_start(&rebase->from_set, job);
    platform_set_start(&rebase->onto_set, job);
    return 0;
}

bool rebase_complete(const struct rebase *rebase)
{
    return rebase->started && platform_set_complete(&rebase->from_set) && platform_set_complete(&rebase->onto_set);
}

static int check_stands_on(const struct rebase *rebase, const struct platform_image *from,
                           const struct layer_stack *stack, struct error *err)
{
    size_t count = from->manifest.n_layers;
    AUTO_FREE char *name = location_format(&rebase->from.where);
    if (count > stack->count)
        return error_set_pointer(err, ERR_CONFLICT, "/rebase/from", "the image has %zu layers, %s has %zu: it does not "
                                 "stand on that", stack->count, name, count);
    for (size_t i = 0; i < count; i++) {
        struct digest diff_id;
        if (image_config_diff_id(&from->config, i, &diff_id, err))
            return -1;
        if (!digest_equal(&diff_id, &stack->items[i].diff_id))
            return error_set_pointer(err, ERR_CONFLICT, "/rebase/from", "the image does not stand on %s: layer %zu is "
                                     "another one (%.19s… is not %.19s…)", name, i, stack->items[i].diff_id.text,
                                     diff_id.text);
    }
    return 0;
}

int rebase_apply(const struct rebase *rebase, size_t platform, struct layer_stack *stack, struct image_config *config,
                 struct error *err)
{
    const struct platform_image *from = &rebase->from_set.images[platform];
    const struct platform_image *onto = &rebase->onto_set.images[platform];
    if (check_stands_on(rebase, from, stack, err))
        return -1;
    struct layer_stack fresh = {0};
    if (layer_stack_append_image(&fresh, &onto->manifest, &onto->config, (struct endpoint *)&rebase->onto, err)) {
        layer_stack_clear(&fresh);
        return -1;
    }
    for (size_t i = from->manifest.n_layers; i < stack->count; i++) {
        const struct stack_layer *kept = &stack->items[i];
        layer_stack_append(&fresh, &kept->descriptor, &kept->diff_id, kept->from);
    }
    layer_stack_clear(stack);
    *stack = fresh;
    image_config_rebase(config, &from->config, &onto->config);
    return 0;
}

char *rebase_base_name(const struct rebase *rebase)
{
    if (!rebase->started || rebase->onto.where.kind != LOCATION_REGISTRY)
        return NULL;
    char *name = reference_format(&rebase->onto.where.ref);
    name[strcspn(name, "@")] = '\0';
    return name;
}

void rebase_fini(struct rebase *rebase)
{
    platform_set_fini(&rebase->from_set);
    platform_set_fini(&rebase->onto_set);
    endpoint_fini(&rebase->from);
    endpoint_fini(&rebase->onto);
}
