// SPDX-License-Identifier: Apache-2.0
//
// The image config as a JSON tree whose shape was checked once: editors may rely on the types of every member
// of the specification, and what the specification does not name goes through untouched. diff_ids and history
// move together here and nowhere else, so that they cannot disagree.
#include "oci/image_config.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "oci/document.h"

#define WHERE "the image config"

static const char *const root_keys[] = {"architecture", "os",      "variant", "os.version", "config",
                                        "rootfs",       "history", "author",  "created",    NULL};
static const char *const rootfs_keys[] = {"type", "diff_ids", NULL};
static const char *const history_keys[] = {"created", "created_by", "author", "comment", "empty_layer", NULL};

struct member_type {
    const char *key;
    json_type type;
    json_type element; // of arrays and maps; JSON_NULL: anything
};

static const struct member_type root_types[] = {
    {"architecture", JSON_STRING, JSON_NULL}, {"os", JSON_STRING, JSON_NULL},
    {"variant", JSON_STRING, JSON_NULL},      {"os.version", JSON_STRING, JSON_NULL},
    {"author", JSON_STRING, JSON_NULL},       {"created", JSON_STRING, JSON_NULL},
    {"config", JSON_OBJECT, JSON_NULL},       {"rootfs", JSON_OBJECT, JSON_NULL},
    {"history", JSON_ARRAY, JSON_OBJECT},     {NULL, JSON_NULL, JSON_NULL},
};

static const struct member_type config_types[] = {
    {"User", JSON_STRING, JSON_NULL},       {"ExposedPorts", JSON_OBJECT, JSON_NULL},
    {"Env", JSON_ARRAY, JSON_STRING},       {"Entrypoint", JSON_ARRAY, JSON_STRING},
    {"Cmd", JSON_ARRAY, JSON_STRING},       {"Volumes", JSON_OBJECT, JSON_NULL},
    {"WorkingDir", JSON_STRING, JSON_NULL}, {"Labels", JSON_OBJECT, JSON_STRING},
    {"StopSignal", JSON_STRING, JSON_NULL}, {"Healthcheck", JSON_OBJECT, JSON_NULL},
    {"Shell", JSON_ARRAY, JSON_STRING},     {"OnBuild", JSON_ARRAY, JSON_STRING},
    {"ArgsEscaped", JSON_TRUE, JSON_NULL},  {NULL, JSON_NULL, JSON_NULL},
};

static const char *type_name(json_type type)
{
    switch (type) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    default:
        return "true or false";
    }
}

static bool has_type(const json_t *value, json_type type)
{
    return type == JSON_TRUE ? json_is_boolean(value) : json_typeof(value) == type;
}

static bool elements_have_type(json_t *value, json_type element)
{
    size_t i;
    const char *key;
    json_t *member;
    if (element == JSON_NULL)
        return true;
    if (json_is_array(value))
        json_array_foreach(value, i, member) if (!has_type(member, element)) return false;
    if (json_is_object(value))
        json_object_foreach(value, key, member) if (!has_type(member, element)) return false;
    return true;
}

static int check_types(const json_t *object, const struct member_type *types, struct error *err)
{
    for (; types->key; types++) {
        json_t *value = document_member(object, types->key);
        if (!value)
            continue;
        if (!has_type(value, types->type))
            return document_fail(err, WHERE, "has a member %s that is not %s", types->key,
                                 type_name(types->type));
        if (!elements_have_type(value, types->element))
            return document_fail(err, WHERE, "has a member %s with an element that is not %s", types->key,
                                 type_name(types->element));
    }
    return 0;
}

static int check_config(const json_t *config, struct error *err)
{
    const char *keys[sizeof config_types / sizeof config_types[0]];
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        keys[i] = config_types[i].key;
    if (!config)
        return 0;
    if (document_check_keys(config, keys, WHERE, err) < 0)
        return -1;
    return check_types(config, config_types, err);
}

static int check_rootfs(const json_t *rootfs, struct error *err)
{
    if (!rootfs)
        return document_fail(err, WHERE, "has no rootfs");
    if (document_check_keys(rootfs, rootfs_keys, WHERE, err) < 0)
        return -1;
    const json_t *diff_ids = document_member(rootfs, "diff_ids");
    if (diff_ids && !json_is_array(diff_ids))
        return document_fail(err, WHERE, "has rootfs.diff_ids that are not an array");
    size_t i;
    json_t *diff_id;
    json_array_foreach(
        diff_ids, i,
        diff_id) if (!json_is_string(diff_id) ||
                     !digest_valid(json_string_value(
                         diff_id))) return document_fail(err, WHERE,
                                                         "has a diff_id at index %zu that is not a digest",
                                                         i);
    return 0;
}

static int check_history(const json_t *history, struct error *err)
{
    size_t i;
    json_t *entry;
    json_array_foreach(history, i, entry)
    {
        if (document_check_keys(entry, history_keys, WHERE, err) < 0)
            return -1;
        const json_t *empty = document_member(entry, "empty_layer");
        if (empty && !json_is_boolean(empty))
            return document_fail(err, WHERE, "has a history entry whose empty_layer is not true or false");
    }
    return 0;
}

int image_config_check(const struct image_config *config, struct error *err)
{
    const json_t *root = config->root;
    if (document_check_keys(root, root_keys, WHERE, err) < 0 || check_types(root, root_types, err) < 0 ||
        check_config(document_member(root, "config"), err) < 0 ||
        check_rootfs(document_member(root, "rootfs"), err) < 0)
        return -1;
    return check_history(document_member(root, "history"), err);
}

static void set_default(json_t *object, const char *key, json_t *value)
{
    if (document_member(object, key))
        json_decref(value);
    else
        json_object_set_new(object, key, value);
}

int image_config_parse(struct image_config *ret, const void *bytes, size_t len, struct error *err)
{
    ret->root = document_parse(bytes, len, &json_limits_config, WHERE, err);
    if (!ret->root)
        return -1;
    if (image_config_check(ret, err) < 0) {
        image_config_clear(ret);
        return -1;
    }
    set_default(json_object_get(ret->root, "rootfs"), "diff_ids", json_array());
    set_default(ret->root, "history", json_array());
    return 0;
}

void image_config_new(struct image_config *ret, const struct platform *platform)
{
    json_t *rootfs = json_object();
    json_object_set_new(rootfs, "type", json_string("layers"));
    json_object_set_new(rootfs, "diff_ids", json_array());
    ret->root = platform_to_json(platform);
    json_object_set_new(ret->root, "config", json_object());
    json_object_set_new(ret->root, "rootfs", rootfs);
    json_object_set_new(ret->root, "history", json_array());
}

void image_config_clear(struct image_config *config)
{
    json_decref(config->root);
    config->root = NULL;
}

void image_config_copy(struct image_config *dst, const struct image_config *src)
{
    dst->root = json_deep_copy(src->root);
}

char *image_config_text(const struct image_config *config)
{
    return json_text_canonical(config->root);
}

void image_config_platform(const struct image_config *config, struct platform *ret)
{
    const char *os = json_get_string(config->root, "os");
    const char *architecture = json_get_string(config->root, "architecture");
    const char *variant = json_get_string(config->root, "variant");
    const char *version = json_get_string(config->root, "os.version");
    *ret = (struct platform){
        .os = mem_strdup(os ? os : "unknown"),
        .architecture = mem_strdup(architecture ? architecture : "unknown"),
        .variant = mem_strdup_null(variant && *variant ? variant : NULL),
        .os_version = mem_strdup_null(version && *version ? version : NULL),
    };
}

static json_t *diff_ids_of(const struct image_config *config)
{
    return json_object_get(json_object_get(config->root, "rootfs"), "diff_ids");
}

static json_t *history_of(const struct image_config *config)
{
    return json_object_get(config->root, "history");
}

size_t image_config_layers(const struct image_config *config)
{
    return json_array_size(diff_ids_of(config));
}

int image_config_diff_id(const struct image_config *config, size_t index, struct digest *ret,
                         struct error *err)
{
    const json_t *diff_id = json_array_get(diff_ids_of(config), index);
    if (!diff_id)
        return document_fail(err, WHERE, "has %zu diff_ids, fewer than the image has layers",
                             image_config_layers(config));
    return digest_parse(ret, json_string_value(diff_id), err);
}

void image_config_set_created(struct image_config *config, const char *rfc3339)
{
    json_object_set_new(config->root, "created", json_string(rfc3339));
}

static bool is_empty_layer(const json_t *entry)
{
    return json_is_true(json_object_get(entry, "empty_layer"));
}

// Position in history of the entry of layer `index`, or the number of entries if it has none.
static size_t history_position(const struct image_config *config, size_t index)
{
    const json_t *history = history_of(config);
    size_t position;
    json_t *entry;
    json_array_foreach(history, position, entry) if (!is_empty_layer(entry) && index-- == 0) return position;
    return json_array_size(history);
}

static json_t *history_entry(const char *created, const char *created_by, const char *comment,
                             const char *author)
{
    const char *members[][2] = {
        {"created", created}, {"created_by", created_by}, {"comment", comment}, {"author", author}};
    json_t *entry = json_object();
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        if (members[i][1])
            json_object_set_new(entry, members[i][0], json_string(members[i][1]));
    return entry;
}

// Old and hand-made images have fewer entries than layers; an entry appended then would stand for another
// layer.
static void history_pad(struct image_config *config, size_t layers)
{
    json_t *history = history_of(config);
    size_t filled = 0, i;
    json_t *entry;
    json_array_foreach(history, i, entry) filled += !is_empty_layer(entry);
    for (; filled < layers; filled++)
        json_array_append_new(history, history_entry(NULL, NULL, "layer without history", NULL));
}

void image_config_append_layer(struct image_config *config, const struct digest *diff_id, const char *created,
                               const char *created_by, const char *comment, const char *author)
{
    history_pad(config, image_config_layers(config));
    json_array_append_new(diff_ids_of(config), json_string(diff_id->text));
    json_array_append_new(history_of(config), history_entry(created, created_by, comment, author));
}

void image_config_append_history(struct image_config *config, const char *created, const char *created_by,
                                 const char *comment, const char *author)
{
    json_t *entry = history_entry(created, created_by, comment, author);
    json_object_set_new(entry, "empty_layer", json_true());
    json_array_append_new(history_of(config), entry);
}

const json_t *image_config_layer_history(const struct image_config *config, size_t index)
{
    return json_array_get(history_of(config), history_position(config, index));
}

void image_config_remove_layer(struct image_config *config, size_t index)
{
    json_array_remove(history_of(config), history_position(config, index));
    json_array_remove(diff_ids_of(config), index);
}
