// SPDX-License-Identifier: Apache-2.0
//
// JSON Merge Patch (RFC 7396) of the image config, for what has no field of its own. It may not reach
// diff_ids and history, which follow the layers, and what it leaves must still be a config that every reader
// understands.
#include "base/mem.h"
#include "base/str.h"
#include "oci/image_config.h"

enum { PATCH_DEPTH_MAX = 64 };

static int merge(json_t *target, const json_t *patch, int depth, struct error *err)
{
    const char *key;
    json_t *value;
    if (depth > PATCH_DEPTH_MAX)
        return error_set_pointer(err, ERR_INVALID_REQUEST, "/config_patch",
                                 "/config_patch is nested too deeply");
    json_object_foreach((json_t *)patch, key, value)
    {
        if (json_is_null(value)) {
            json_object_del(target, key);
            continue;
        }
        if (!json_is_object(value)) {
            json_object_set_new(target, key, json_deep_copy(value));
            continue;
        }
        if (!json_is_object(json_object_get(target, key)))
            json_object_set_new(target, key, json_object());
        if (merge(json_object_get(target, key), value, depth + 1, err) < 0)
            return -1;
    }
    return 0;
}

int image_config_check_patch(const json_t *patch, const char *pointer, struct error *err)
{
    static const char *const owned[] = {"rootfs", "history"};
    if (!json_is_object(patch))
        return error_set_pointer(err, ERR_INVALID_REQUEST, pointer, "%s must be an object", pointer);
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) {
        AUTO_FREE char *at = json_pointer_join(pointer, owned[i]);
        if (json_object_get(patch, owned[i]))
            return error_set_pointer(err, ERR_INVALID_REQUEST, at,
                                     "%s follows from the layers and cannot be patched", at);
    }
    return 0;
}

int image_config_merge_patch(struct image_config *config, const json_t *patch, struct error *err)
{
    if (image_config_check_patch(patch, "/config_patch", err) < 0 || merge(config->root, patch, 0, err) < 0)
        return -1;
    CLEANUP(error_clear) struct error cause = ERROR_INIT;
    if (image_config_check(config, &cause) < 0)
        return error_set_pointer(err, ERR_INVALID_REQUEST, "/config_patch", "with /config_patch applied, %s",
                                 cause.detail);
    return 0;
}
