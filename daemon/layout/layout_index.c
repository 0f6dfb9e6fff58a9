// SPDX-License-Identifier: Apache-2.0
//
// Reading and changing index.json as a value; who reads and publishes the file, and under which lock, is the
// business of the layout or archive that calls.
#include "layout/layout_index.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"

#define REF_NAME "org.opencontainers.image.ref.name"

enum { LISTED_MAX = 50 };

int layout_index_check_version(const char *bytes, size_t len, struct error *err)
{
    CLEANUP(error_clear) struct error cause = ERROR_INIT;
    AUTO_JSON json_t *root = json_parse(bytes, len, &json_limits_small, &cause);
    const char *version = json_get_string(root, "imageLayoutVersion");
    if (!version)
        return error_set(err, ERR_REGISTRY_PROTOCOL,
                         "the file " LAYOUT_VERSION_FILE " does not say a version");
    if (str_starts(version, "1."))
        return 0;
    AUTO_FREE char *quoted = str_quote(version, 40);
    return error_set(err, ERR_REGISTRY_PROTOCOL, "the layout has the version '%s'; 1.x is understood",
                     quoted);
}

int layout_index_parse(struct manifest *ret, const char *bytes, size_t len, struct error *err)
{
    if (manifest_parse(ret, bytes, len, NULL, err) < 0)
        return error_wrap(err, LAYOUT_INDEX_FILE);
    if (ret->is_index)
        return 0;
    manifest_clear(ret);
    return error_set(err, ERR_REGISTRY_PROTOCOL, LAYOUT_INDEX_FILE " is not an index");
}

static const char *name_of(const struct descriptor *child)
{
    return json_get_string(child->annotations, REF_NAME);
}

// "v1, v2 and 1 without a tag"
static char *list_names(const struct manifest *index)
{
    struct strbuf text = STRBUF_INIT(8192);
    size_t listed = 0, unnamed = 0;
    for (size_t i = 0; i < index->n_children && listed < LISTED_MAX; i++) {
        const char *name = name_of(&index->children[i]);
        unnamed += !name;
        if (!name)
            continue;
        AUTO_FREE char *quoted = str_quote(name, 100);
        strbuf_printf(&text, "%s%s", listed++ ? ", " : "", quoted);
    }
    if (listed == LISTED_MAX)
        strbuf_puts(&text, ", …");
    if (unnamed)
        strbuf_printf(&text, "%s%zu without a tag", listed ? " and " : "", unnamed);
    if (text.len == 0)
        strbuf_puts(&text, "none");
    return strbuf_take(&text);
}

static const struct descriptor *refuse(const struct manifest *index, const char *tag, struct error *err)
{
    AUTO_FREE char *there = list_names(index);
    AUTO_FREE char *quoted = str_quote(tag ? tag : "latest", 160);
    if (tag)
        error_set(err, ERR_IMAGE_NOT_FOUND, "there is no image '%s'; it has %s", quoted, there);
    else
        error_set(err, ERR_IMAGE_NOT_FOUND, "no tag was named and none is '%s'; it has %s", quoted, there);
    return NULL;
}

static const struct descriptor *find_digest(const struct manifest *index, const char *digest,
                                            struct error *err)
{
    for (size_t i = 0; i < index->n_children; i++)
        if (strcmp(index->children[i].digest.text, digest) == 0)
            return &index->children[i];
    return refuse(index, digest, err);
}

static const struct descriptor *find_tag(const struct manifest *index, const char *tag, const char *asked,
                                         struct error *err)
{
    const struct descriptor *found = NULL;
    for (size_t i = 0; i < index->n_children; i++) {
        const struct descriptor *child = &index->children[i];
        if (!str_equal(name_of(child), tag))
            continue;
        if (found && !digest_equal(&found->digest, &child->digest)) {
            AUTO_FREE char *quoted = str_quote(tag, 160);
            error_set(err, ERR_REGISTRY_PROTOCOL, "'%s' names two images, %s and %s", quoted,
                      found->digest.text, child->digest.text);
            error_hint(err, "Name the image by its digest.");
            return NULL;
        }
        found = child;
    }
    return found ? found : refuse(index, asked, err);
}

const struct descriptor *layout_index_find(const struct manifest *index, const char *tag, struct error *err)
{
    if (tag && digest_valid(tag))
        return find_digest(index, tag, err);
    if (!tag && index->n_children == 1)
        return &index->children[0];
    return find_tag(index, tag ? tag : "latest", tag, err);
}

static bool gives_way(const json_t *child, const struct descriptor *manifest, const char *tag)
{
    const char *name = json_get_string(json_object_get(child, "annotations"), REF_NAME);
    bool same = str_equal(json_get_string(child, "digest"), manifest->digest.text);
    return tag ? str_equal(name, tag) || (!name && same) : !name && same;
}

static json_t *make_child(const struct descriptor *manifest, const char *tag)
{
    json_t *child = descriptor_to_json(manifest);
    json_t *annotations = manifest->annotations ? json_deep_copy(manifest->annotations) : json_object();
    json_object_del(annotations, REF_NAME);
    if (tag)
        json_object_set_new(annotations, REF_NAME, json_string(tag));
    if (json_object_size(annotations) > 0)
        json_object_set(child, "annotations", annotations);
    else
        json_object_del(child, "annotations");
    json_decref(annotations);
    return child;
}

char *layout_index_put(const struct manifest *index, const struct descriptor *manifest, const char *tag,
                       struct error *err)
{
    AUTO_JSON json_t *root = json_deep_copy(index->root);
    json_t *children = json_object_get(root, "manifests");
    if (!json_is_array(children)) {
        json_object_set_new(root, "manifests", json_array());
        children = json_object_get(root, "manifests");
    }
    size_t at = json_array_size(children);
    for (size_t i = json_array_size(children); i-- > 0;) {
        if (!gives_way(json_array_get(children, i), manifest, tag))
            continue;
        json_array_remove(children, i);
        at = i;
    }
    if (json_array_size(children) >= MANIFEST_DESCRIPTORS_MAX) {
        error_set(err, ERR_TOO_LARGE, "the layout already has %d images", MANIFEST_DESCRIPTORS_MAX);
        return NULL;
    }
    json_array_insert_new(children, at, make_child(manifest, tag));
    return json_text(root);
}
