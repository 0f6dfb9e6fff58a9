// SPDX-License-Identifier: Apache-2.0
//
// Decodes an index job.
#include "images/index_spec.h"

#include "base/mem.h"
#include "base/str.h"
#include "images/images.h"
#include "images/spec_common.h"

static void check_texts(struct json_reader *r, const char *key, const json_t *object, bool null_too)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)object, name, value)
        if (!json_is_string(value) && !(null_too && json_is_null(value)))
            json_read_fail(r, key, "every value must be a text%s", null_too ? " or null" : "");
}

static int decode_item(struct index_item *item, const json_t *value, const char *pointer,
                       const struct image_context *context, struct error *err)
{
    struct json_reader r;
    json_reader_init(&r, value, pointer, err);
    const char *ref = json_read_string(&r, "ref", true);
    const char *platform = json_read_string(&r, "platform", false);
    item->annotations = json_read_object(&r, "annotations", false);
    check_texts(&r, "annotations", item->annotations, false);
    CLEANUP(error_clear) struct error why = ERROR_INIT;
    if (platform && platform_parse(&item->platform, platform, &why))
        json_read_fail(&r, "platform", "%s", why.detail);
    item->has_platform = platform != NULL;
    if (json_reader_end(&r))
        return -1;
    AUTO_FREE char *at = json_pointer_join(pointer, "ref");
    return target_decode_location(&item->where, ref, at, context->build_roots, false, err);
}

static int decode_items(struct index_spec *spec, const json_t *array, const struct image_context *context,
                        struct error *err)
{
    size_t count = json_array_size(array);
    if (count > INDEX_ITEMS_MAX)
        return error_set_pointer(err, ERR_TOO_LARGE, "/items", "/items: at most %d entries", INDEX_ITEMS_MAX);
    spec->items = mem_calloc(count + 1, sizeof(*spec->items));
    for (size_t i = 0; i < count; i++) {
        AUTO_FREE char *at = json_pointer_index("/items", i);
        const json_t *value = json_array_get(array, i);
        AUTO_JSON json_t *wrapped = json_is_string(value) ? json_pack("{s:O}", "ref", value) : NULL;
        spec->n_items = i + 1;
        if (decode_item(&spec->items[i], wrapped ? wrapped : value, at, context, err))
            return -1;
    }
    return 0;
}

static int decode_remove(struct index_spec *spec, const json_t *array, struct error *err)
{
    size_t count = json_array_size(array);
    if (count > INDEX_ITEMS_MAX)
        return error_set_pointer(err, ERR_TOO_LARGE, "/remove", "/remove: at most %d entries", INDEX_ITEMS_MAX);
    spec->remove = mem_calloc(count + 1, sizeof(*spec->remove));
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(array, i));
        CLEANUP(error_clear) struct error why = ERROR_INIT;
        AUTO_FREE char *at = json_pointer_index("/remove", i);
        spec->n_remove = i + 1;
        if (!text || (digest_valid(text) ? digest_parse(&spec->remove[i].digest, text, &why)
                                         : platform_parse(&spec->remove[i].platform, text, &why)))
            return error_set_pointer(err, ERR_INVALID_REQUEST, at, "%s: name a digest or a platform such as "
                                     "\"linux/arm64\"", at);
    }
    return 0;
}

static int check_whole(const struct index_spec *spec, struct error *err)
{
    if (!spec->has_base && !spec->n_items)
        return error_set_pointer(err, ERR_INVALID_REQUEST, "/items", "an index needs `base` or at least one of `items`");
    if (!spec->has_base && spec->n_remove)
        return error_set_pointer(err, ERR_INVALID_REQUEST, "/remove", "`remove` takes entries out of `base`: name one");
    return 0;
}

static int decode_places(struct index_spec *spec, const char *base, const json_t *targets,
                         const struct image_context *context, struct error *err)
{
    spec->has_base = base != NULL;
    if (base && target_decode_location(&spec->base, base, "/base", context->build_roots, false, err))
        return -1;
    return targets_decode(&spec->targets, targets, "/targets", context->output_roots, err);
}

int index_spec_decode(struct index_spec *ret, const json_t *json, const struct image_context *context,
                      struct error *err)
{
    *ret = (struct index_spec){0};
    struct json_reader r;
    json_reader_init(&r, json, "", err);
    spec_read_common(&r);
    const char *base = json_read_string(&r, "base", false);
    const json_t *items = json_read_array(&r, "items", false);
    const json_t *remove = json_read_array(&r, "remove", false);
    const json_t *targets = json_read_array(&r, "targets", true);
    ret->annotations = json_read_object(&r, "annotations", false);
    check_texts(&r, "annotations", ret->annotations, true);
    ret->dry_run = json_read_bool(&r, "dry_run", false);
    if (json_reader_end(&r) || decode_places(ret, base, targets, context, err) ||
        decode_items(ret, items, context, err) || decode_remove(ret, remove, err) || check_whole(ret, err)) {
        index_spec_clear(ret);
        return -1;
    }
    return 0;
}

void index_spec_clear(struct index_spec *spec)
{
    location_clear(&spec->base);
    for (size_t i = 0; i < spec->n_items; i++) {
        location_clear(&spec->items[i].where);
        platform_clear(&spec->items[i].platform);
    }
    for (size_t i = 0; i < spec->n_remove; i++)
        platform_clear(&spec->remove[i].platform);
    free(spec->items);
    free(spec->remove);
    targets_clear(&spec->targets);
    *spec = (struct index_spec){0};
}
