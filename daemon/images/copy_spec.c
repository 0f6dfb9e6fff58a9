// SPDX-License-Identifier: Apache-2.0
//
// Decodes a copy job.
#include "images/copy_spec.h"

#include "base/mem.h"
#include "base/str.h"
#include "images/images.h"
#include "images/spec_common.h"

static bool decode_choice(struct json_reader *r, const char *key, const char *otherwise, const char *chosen)
{
    const char *text = json_read_string(r, key, false);
    if (text && !str_equal(text, chosen) && !str_equal(text, otherwise))
        json_read_fail(r, key, "must be \"%s\" or \"%s\"", otherwise, chosen);
    return str_equal(text, chosen);
}

static void decode_tags(struct json_reader *r, struct copy_spec *spec)
{
    const json_t *tags = json_read_object(r, "tags", false);
    const json_t *prune = json_read_object(r, "prune", false);
    struct json_reader inner;
    spec->batch = tags != NULL;
    spec->prune = prune != NULL;
    if (tags && !r->failed) {
        json_reader_init(&inner, tags, "/tags", r->err);
        tag_filter_read(&spec->tags, &inner);
        r->failed |= json_reader_end(&inner) != 0;
    }
    if (prune && !r->failed) {
        json_reader_init(&inner, prune, "/prune", r->err);
        pattern_list_read(&spec->protect, &inner, "protect");
        r->failed |= json_reader_end(&inner) != 0;
    }
    if (prune && !tags)
        json_read_fail(r, "prune", "goes with `tags` only");
}

static int check_batch_place(const struct location *where, const char *pointer, bool is_source, struct error *err)
{
    if (where->kind == LOCATION_REGISTRY ? where->ref.tag || digest_known(&where->ref.digest) : where->name != NULL)
        return error_set_pointer(err, ERR_INVALID_REQUEST, pointer,
                                 "%s: with `tags` a repository is meant: leave out tag and digest", pointer);
    if (where->kind == LOCATION_REGISTRY || (!is_source && where->kind == LOCATION_OCI_LAYOUT))
        return 0;
    return error_set_pointer(err, ERR_INVALID_REQUEST, pointer, "%s: `tags` copies from repositories of registries to "
                             "such or to layout directories", pointer);
}

static int check_batch(const struct copy_spec *spec, struct error *err)
{
    if (check_batch_place(&spec->source, "/source", true, err))
        return -1;
    for (size_t i = 0; i < spec->targets.count; i++) {
        AUTO_FREE char *pointer = mem_printf("/targets/%zu", i);
        if (check_batch_place(&spec->targets.items[i].where, pointer, false, err))
            return -1;
        if (spec->prune && spec->targets.items[i].where.kind != LOCATION_REGISTRY)
            return error_set_pointer(err, ERR_INVALID_REQUEST, "/prune", "tags are pruned in registries only");
    }
    return 0;
}

// Signatures speak of bytes: an image that is written anew has none.
static int check_referrers(const struct copy_spec *spec, struct error *err)
{
    for (size_t i = 0; i < spec->targets.count; i++) {
        AUTO_FREE char *pointer = mem_printf("/targets/%zu/format", i);
        if (spec->targets.items[i].format != TARGET_KEEP)
            return error_set_pointer(err, ERR_INVALID_REQUEST, pointer,
                                     "what refers to an image by digest cannot go along with a converted one: "
                                     "leave out `referrers` or `format`");
    }
    return 0;
}

static int decode_places(struct copy_spec *spec, const char *source, const json_t *targets,
                         const struct image_context *context, struct error *err)
{
    if (target_decode_location(&spec->source, source, "/source", context->build_roots, false, err) ||
        targets_decode(&spec->targets, targets, "/targets", context->output_roots, err))
        return -1;
    if (spec->batch && check_batch(spec, err))
        return -1;
    return spec->referrers ? check_referrers(spec, err) : 0;
}

int copy_spec_decode(struct copy_spec *ret, const json_t *json, const struct image_context *context, struct error *err)
{
    *ret = (struct copy_spec){0};
    struct json_reader r;
    json_reader_init(&r, json, "", err);
    spec_read_common(&r);
    const char *source = json_read_string(&r, "source", true);
    const json_t *targets = json_read_array(&r, "targets", true);
    spec_read_platforms(&r, "platforms", &ret->platforms, &ret->n_platforms);
    ret->sparse = decode_choice(&r, "index", "prune", "sparse");
    ret->foreign = decode_choice(&r, "foreign_layers", "keep", "copy");
    ret->force = json_read_bool(&r, "force", false);
    ret->referrers = json_read_bool(&r, "referrers", false);
    ret->dry_run = json_read_bool(&r, "dry_run", false);
    decode_tags(&r, ret);
    if (json_reader_end(&r) || decode_places(ret, source, targets, context, err)) {
        copy_spec_clear(ret);
        return -1;
    }
    return 0;
}

void copy_spec_clear(struct copy_spec *spec)
{
    location_clear(&spec->source);
    targets_clear(&spec->targets);
    spec_platforms_free(spec->platforms, spec->n_platforms);
    tag_filter_clear(&spec->tags);
    pattern_list_clear(&spec->protect);
    *spec = (struct copy_spec){0};
}
