// SPDX-License-Identifier: Apache-2.0
//
// Decodes the layer edits of a build job.
#include "images/layer_edits.h"

#include "base/mem.h"
#include "base/str.h"
#include "images/layer_decode.h"
#include "images/target.h"

static void decode_end(struct json_reader *r, const char *key, const struct roots *roots, struct location *ret,
                       bool *ret_given)
{
    const char *text = json_read_string(r, key, false);
    if (!text || r->failed)
        return;
    AUTO_FREE char *pointer = json_pointer_join(r->pointer, key);
    *ret_given = target_decode_location(ret, text, pointer, roots, false, r->err) == 0;
    r->failed = !*ret_given;
}

static void decode_rebase(struct layer_edits *edits, struct json_reader *r, const struct roots *roots)
{
    const json_t *value = json_read_object(r, "rebase", false);
    if (!value || r->failed)
        return;
    struct json_reader inner;
    json_reader_init(&inner, value, "/rebase", r->err);
    edits->rebase = true;
    decode_end(&inner, "from", roots, &edits->from, &edits->has_from);
    decode_end(&inner, "onto", roots, &edits->onto, &edits->has_onto);
    if (json_reader_end(&inner))
        r->failed = true;
}

static void decode_flatten(struct layer_edits *edits, struct json_reader *r)
{
    static const char *const names[] = {"none", "above-base", "all"};
    const char *text = json_read_string(r, "flatten", false);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (!text || str_equal(names[i], text)) {
            edits->flatten = (enum flatten)i;
            return;
        }
    json_read_fail(r, "flatten", "must be \"none\", \"above-base\" or \"all\"");
}

static void decode_recompress(struct layer_edits *edits, struct json_reader *r)
{
    struct layer_spec spec = {.level = LAYER_LEVEL_FAST};
    edits->recompress = layer_decode_compression(r, "recompress", &spec);
    edits->algorithm = spec.algorithm;
    edits->level = spec.level;
}

void layer_edits_decode(struct layer_edits *ret, struct json_reader *r, const struct roots *build_roots)
{
    *ret = (struct layer_edits){0};
    const json_t *remove = json_read_array(r, "remove_layers", false);
    if (!r->failed && layer_picks_decode(&ret->remove, &ret->n_remove, remove, "/remove_layers", r->err))
        r->failed = true;
    decode_rebase(ret, r, build_roots);
    decode_flatten(ret, r);
    decode_recompress(ret, r);
}

void layer_edits_clear(struct layer_edits *edits)
{
    layer_picks_free(edits->remove, edits->n_remove);
    location_clear(&edits->from);
    location_clear(&edits->onto);
    *edits = (struct layer_edits){0};
}
