// SPDX-License-Identifier: Apache-2.0
//
// Edits that replace many layers of a config at once. What must hold afterwards: as many diff_ids as non-empty history
// entries, in the same order.
#include "base/mem.h"
#include "oci/image_config.h"

static json_t *diff_ids_of(const struct image_config *config)
{
    return json_object_get(json_object_get(config->root, "rootfs"), "diff_ids");
}

static json_t *history_of(const struct image_config *config)
{
    return json_object_get(config->root, "history");
}

static bool is_empty_layer(const json_t *entry)
{
    return json_is_true(json_object_get(entry, "empty_layer"));
}

// Where the history of the first n layers ends.
static size_t history_end(const json_t *history, size_t n)
{
    size_t i = 0;
    for (; i < json_array_size(history) && n > 0; i++)
        n -= !is_empty_layer(json_array_get(history, i));
    return i;
}

// The entries of `from` may end with empty ones (CMD …): where config begins with the very same entries, those are its too.
static size_t old_history(const json_t *history, const struct image_config *from)
{
    const json_t *old = history_of(from);
    size_t count = json_array_size(old);
    for (size_t i = 0; i < count; i++)
        if (!json_equal(json_array_get(history, i), json_array_get(old, i)))
            return history_end(history, image_config_layers(from));
    return count;
}

static void append_from(json_t *array, const json_t *more, size_t first)
{
    for (size_t i = first; i < json_array_size(more); i++)
        json_array_append_new(array, json_deep_copy(json_array_get(more, i)));
}

// An entry for each layer that has none, so that what is appended stands for the right one.
static void pad(json_t *history, size_t layers)
{
    size_t filled = 0;
    for (size_t i = 0; i < json_array_size(history); i++)
        filled += !is_empty_layer(json_array_get(history, i));
    for (; filled < layers; filled++)
        json_array_append_new(history, json_pack("{s:s}", "comment", "layer without history"));
}

void image_config_rebase(struct image_config *config, const struct image_config *from,
                         const struct image_config *onto)
{
    json_t *diff_ids = json_deep_copy(diff_ids_of(onto));
    json_t *history = json_deep_copy(history_of(onto));
    pad(history, image_config_layers(onto));
    append_from(history, history_of(config), old_history(history_of(config), from));
    append_from(diff_ids, diff_ids_of(config), image_config_layers(from));
    pad(history, json_array_size(diff_ids));
    json_object_set_new(json_object_get(config->root, "rootfs"), "diff_ids", diff_ids);
    json_object_set_new(config->root, "history", history);
}

void image_config_set_diff_id(struct image_config *config, size_t index, const struct digest *diff_id)
{
    json_array_set_new(diff_ids_of(config), index, json_string(diff_id->text));
}

void image_config_squash(struct image_config *config, size_t first, const struct digest *diff_id,
                         const char *created, const char *created_by)
{
    json_t *history = history_of(config);
    pad(history, image_config_layers(config));
    for (size_t i = history_end(history, first); i < json_array_size(history); i++)
        json_object_set_new(json_array_get(history, i), "empty_layer", json_true());
    while (image_config_layers(config) > first)
        json_array_remove(diff_ids_of(config), image_config_layers(config) - 1);
    image_config_append_layer(config, diff_id, created, created_by, NULL, NULL);
}
