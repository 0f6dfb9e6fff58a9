// SPDX-License-Identifier: Apache-2.0
//
// Picks are judged against the base as it was, all at once, so that one removal does not shift the index of the next.
#include "images/layer_pick.h"

#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "oci/image_config.h"

static int decode_object(struct layer_pick *pick, const json_t *value, const char *pointer, struct error *err)
{
    struct json_reader r;
    json_reader_init(&r, value, pointer, err);
    pick->index = json_read_int(&r, "index", 0, STACK_LAYERS_MAX, -1);
    const char *expression = json_read_string(&r, "created_by", false);
    const char *digest = json_read_string(&r, "digest", false);
    CLEANUP(error_clear) struct error why = ERROR_INIT;
    if ((pick->index >= 0) + (expression != NULL) + (digest != NULL) != 1)
        json_read_fail(&r, NULL, "name a layer by exactly one of `digest`, `index` and `created_by`");
    else if (expression && pattern_parse_regex(&pick->created_by, expression, &why))
        json_read_fail(&r, "created_by", "%s", why.detail);
    else if (digest && digest_parse(&pick->digest, digest, &why))
        json_read_fail(&r, "digest", "%s", why.detail);
    return json_reader_end(&r);
}

static int decode_pick(struct layer_pick *pick, const json_t *value, const char *pointer, struct error *err)
{
    pick->index = -1;
    if (json_is_object(value))
        return decode_object(pick, value, pointer, err);
    CLEANUP(error_clear) struct error why = ERROR_INIT;
    if (json_is_string(value) && !digest_parse(&pick->digest, json_string_value(value), &why))
        return 0;
    return error_set_pointer(err, ERR_INVALID_REQUEST, pointer,
                             "%s: a layer is named by its digest, {\"index\": n} or {\"created_by\": \"expression\"}",
                             pointer);
}

int layer_picks_decode(struct layer_pick **ret, size_t *ret_count, const json_t *array, const char *pointer,
                       struct error *err)
{
    size_t count = json_array_size(array);
    *ret = NULL;
    *ret_count = 0;
    if (count > LAYER_PICKS_MAX)
        return error_set_pointer(err, ERR_TOO_LARGE, pointer, "%s: at most %d entries", pointer, LAYER_PICKS_MAX);
    *ret = count ? mem_calloc(count, sizeof(**ret)) : NULL;
    for (size_t i = 0; i < count; i++) {
        AUTO_FREE char *at = json_pointer_index(pointer, i);
        *ret_count = i + 1;
        if (decode_pick(&(*ret)[i], json_array_get(array, i), at, err))
            return -1;
    }
    return 0;
}

void layer_picks_free(struct layer_pick *picks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pattern_clear(&picks[i].created_by);
    free(picks);
}

static bool names(const struct layer_pick *pick, size_t index, const struct stack_layer *layer,
                  const struct image_config *config)
{
    if (digest_known(&pick->digest))
        return digest_equal(&pick->digest, &layer->descriptor.digest) || digest_equal(&pick->digest, &layer->diff_id);
    if (pick->index >= 0)
        return (size_t)pick->index == index;
    const char *created_by = json_get_string(image_config_layer_history(config, index), "created_by");
    return created_by && pattern_matches(&pick->created_by, created_by);
}

void layer_picks_mark(const struct layer_pick *picks, size_t count, const struct layer_stack *stack,
                      const struct image_config *config, bool *marks, bool *hits)
{
    for (size_t k = 0; k < count; k++)
        for (size_t i = 0; i < stack->count; i++)
            if (names(&picks[k], i, &stack->items[i], config))
                marks[i] = hits[k] = true;
}

void layer_picks_remove(struct layer_stack *stack, struct image_config *config, const bool *marks)
{
    for (size_t i = stack->count; i-- > 0;)
        if (marks[i]) {
            layer_stack_remove(stack, i, 1);
            image_config_remove_layer(config, i);
        }
}

int layer_pick_missing(const struct layer_pick *pick, size_t number, const struct layer_stack *stack,
                       struct error *err)
{
    AUTO_FREE char *pointer = mem_printf("/remove_layers/%zu", number);
    CLEANUP(strbuf_free) struct strbuf have = STRBUF_INIT(1024);
    for (size_t i = 0; i < stack->count && !have.overflow; i++)
        strbuf_printf(&have, "%s%zu: %.19s…", i ? ", " : "", i, stack->items[i].descriptor.digest.text);
    AUTO_FREE char *what = pick->index >= 0              ? mem_printf("layer %lld", (long long)pick->index)
                           : digest_known(&pick->digest) ? mem_printf("layer %s", pick->digest.text)
                                                         : mem_strdup("layer with such a created_by");
    error_set_pointer(err, ERR_INVALID_REQUEST, pointer, "the base has no %s; it has %zu layers", what, stack->count);
    if (stack->count)
        error_hint(err, "Its layers are %s%s.", strbuf_text(&have), have.overflow ? ", …" : "");
    return -1;
}
