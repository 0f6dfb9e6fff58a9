// SPDX-License-Identifier: Apache-2.0
//
// Reads what `docker save` and its like put into manifest.json, and finds images in it by name.
#include "layout/docker_list.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "oci/reference.h"

enum { IMAGES_MAX = 1000, NAMES_MAX = 1000, LISTED_MAX = 50 };

static bool is_string_array(const json_t *value, size_t max)
{
    size_t i;
    json_t *element;
    if (!json_is_array(value) || json_array_size(value) > max)
        return false;
    json_array_foreach(value, i, element) if (!json_is_string(element)) return false;
    return true;
}

static bool is_image_entry(const json_t *entry)
{
    const json_t *names = json_object_get(entry, "RepoTags");
    const json_t *layers = json_object_get(entry, "Layers");
    return json_get_string(entry, "Config") &&
           (!names || json_is_null(names) || is_string_array(names, NAMES_MAX)) &&
           (!layers || json_is_null(layers) || is_string_array(layers, DOCKER_LIST_LAYERS_MAX));
}

static int check_list(const json_t *list, struct error *err)
{
    size_t i;
    json_t *entry;
    if (!json_is_array(list) || json_array_size(list) > IMAGES_MAX)
        return error_set(err, ERR_REGISTRY_PROTOCOL, DOCKER_LIST_FILE " is not a list of images");
    json_array_foreach(list, i, entry) if (!is_image_entry(entry)) return error_set(
        err, ERR_REGISTRY_PROTOCOL, DOCKER_LIST_FILE " has an entry %zu that is not an image", i);
    return 0;
}

json_t *docker_list_parse(const char *bytes, size_t len, struct error *err)
{
    CLEANUP(error_clear) struct error cause = ERROR_INIT;
    json_t *list = json_parse(bytes, len, &json_limits_manifest, &cause);
    if (!list) {
        error_set(err, ERR_REGISTRY_PROTOCOL, DOCKER_LIST_FILE " cannot be read: %s", cause.detail);
        return NULL;
    }
    if (check_list(list, err) == 0)
        return list;
    json_decref(list);
    return NULL;
}

// Do two texts name the same image? What is not a reference names only itself.
static bool same_name(const struct reference *wanted, const char *have)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    struct reference ref;
    if (reference_parse(&ref, have, &ignored) < 0)
        return false;
    bool same = strcmp(ref.registry, wanted->registry) == 0 &&
                strcmp(ref.repository, wanted->repository) == 0 &&
                str_equal(reference_tag(&ref), reference_tag(wanted));
    reference_clear(&ref);
    return same;
}

static const json_t *find_named(const json_t *list, const struct reference *wanted)
{
    size_t i, j;
    json_t *entry, *name;
    json_array_foreach(list, i, entry)
        json_array_foreach(json_object_get(entry, "RepoTags"), j,
                           name) if (same_name(wanted, json_string_value(name))) return entry;
    return NULL;
}

static char *list_names(const json_t *list)
{
    struct strbuf text = STRBUF_INIT(8192);
    size_t i, j, listed = 0, unnamed = 0;
    json_t *entry, *name;
    json_array_foreach(list, i, entry)
    {
        unnamed += json_array_size(json_object_get(entry, "RepoTags")) == 0;
        json_array_foreach(json_object_get(entry, "RepoTags"), j, name)
        {
            if (listed == LISTED_MAX)
                break;
            AUTO_FREE char *quoted = str_quote(json_string_value(name), 100);
            strbuf_printf(&text, "%s%s", listed++ ? ", " : "", quoted);
        }
    }
    if (unnamed)
        strbuf_printf(&text, "%s%zu without a name", listed ? " and " : "", unnamed);
    if (text.len == 0)
        strbuf_puts(&text, "none");
    return strbuf_take(&text);
}

static const json_t *refuse(const json_t *list, const char *name, struct error *err)
{
    AUTO_FREE char *there = list_names(list);
    AUTO_FREE char *quoted = str_quote(name ? name : "", 160);
    if (name)
        error_set(err, ERR_IMAGE_NOT_FOUND, "there is no image '%s'; it has %s", quoted, there);
    else
        error_set(err, ERR_IMAGE_NOT_FOUND, "no image was named and it has %s", there);
    return NULL;
}

const json_t *docker_list_find(const json_t *list, const char *name, struct error *err)
{
    struct reference wanted;
    if (!name)
        return json_array_size(list) == 1 ? json_array_get(list, 0) : refuse(list, name, err);
    if (reference_parse(&wanted, name, err) < 0)
        return NULL;
    const json_t *found = find_named(list, &wanted);
    reference_clear(&wanted);
    return found ? found : refuse(list, name, err);
}
