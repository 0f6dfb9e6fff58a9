// SPDX-License-Identifier: Apache-2.0
//
// Decodes a layer of a build job: its files entries, compression and binding to platforms. Everything that the text alone
// can tell is refused here, with the JSON pointer.
#include "images/layer_decode.h"

#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

static char *dup_path(struct json_reader *r, const char *key)
{
    const char *path = json_read_string(r, key, true);
    if (!path)
        return NULL;
    struct error why = ERROR_INIT;
    if (layer_path_check(path, &why))
        json_read_fail(r, key, "%s", why.detail);
    error_clear(&why);
    return mem_strdup(path);
}

// A local source: lexically under a build root.
static char *dup_source(struct json_reader *r, const char *key, const struct roots *roots)
{
    const char *path = json_read_string(r, key, true);
    if (!path || r->failed)
        return NULL;
    if (roots_check(roots, path, r->err)) {
        free(r->err->pointer);
        r->err->pointer = json_pointer_join(r->pointer, key);
        r->failed = true;
        return NULL;
    }
    return mem_strdup(path);
}

static char **dup_texts(struct json_reader *r, const char *key, size_t max, size_t *ret_count)
{
    const json_t *array = json_read_array(r, key, false);
    size_t count = json_array_size(array);
    if (count > max) {
        json_read_fail(r, key, "at most %zu entries", max);
        return NULL;
    }
    char **texts = count ? mem_calloc(count, sizeof(*texts)) : NULL;
    *ret_count = count;
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(array, i));
        if (!text)
            json_read_fail(r, key, "entry %zu is not a text", i);
        texts[i] = mem_strdup(text ? text : "");
    }
    return texts;
}

static void decode_owner(struct json_reader *r, struct layer_entry *entry)
{
    const char *text = json_read_string(r, "owner", false);
    if (!text)
        return;
    AUTO_FREE char *copy = mem_strdup(text);
    char *colon = strchr(copy, ':');
    if (colon)
        *colon = '\0';
    if (!str_to_int64(copy, 0, UINT32_MAX - 1, &entry->uid) ||
        !str_to_int64(colon ? colon + 1 : copy, 0, UINT32_MAX - 1, &entry->gid))
        json_read_fail(r, "owner", "must be numbers as in \"0:0\" or \"1000:1000\"");
}

static void decode_attributes(struct json_reader *r, struct layer_entry *entry)
{
    decode_owner(r, entry);
    const char *mode = json_read_string(r, "mode", false);
    struct error why = ERROR_INIT;
    if (mode && layer_mode_check(mode, &why))
        json_read_fail(r, "mode", "%s", why.detail);
    error_clear(&why);
    entry->mode = mem_strdup_null(mode);
    const char *mtime = json_read_string(r, "mtime", false);
    int64_t wall_ms = 0;
    if (mtime && !clock_parse(mtime, &wall_ms))
        json_read_fail(r, "mtime", "must be a time as in \"2026-01-01T00:00:00Z\" (RFC 3339)");
    entry->has_mtime = mtime != NULL;
    entry->mtime_s = wall_ms / 1000;
}

static void decode_copy(struct json_reader *r, struct layer_entry *entry, const struct roots *roots)
{
    entry->from = dup_source(r, "from", roots);
    entry->to = dup_path(r, "to");
    entry->exclude = dup_texts(r, "exclude", 1000, &entry->n_exclude);
    entry->ignore_files = dup_texts(r, "ignore_files", 16, &entry->n_ignore_files);
    entry->xattrs = dup_texts(r, "xattrs", 64, &entry->n_xattrs);
    const char *symlinks = json_read_string(r, "symlinks", false);
    if (str_equal(symlinks, "follow"))
        entry->symlinks = LAYER_SYMLINKS_FOLLOW;
    else if (symlinks && !str_equal(symlinks, "keep"))
        json_read_fail(r, "symlinks", "must be \"keep\" or \"follow\"");
    decode_attributes(r, entry);
}

static void decode_file(struct json_reader *r, struct layer_entry *entry)
{
    entry->to = dup_path(r, "to");
    const char *text = json_read_string(r, "text", false);
    const char *base64 = json_read_string(r, "base64", false);
    if (!text == !base64) {
        json_read_fail(r, NULL, "a file needs exactly one of `text` and `base64`");
        return;
    }
    if (text) {
        entry->data_len = strlen(text);
        entry->data = mem_dup(text, entry->data_len + 1);
    } else if (!base64_decode(base64, strlen(base64), &entry->data, &entry->data_len)) {
        json_read_fail(r, "base64", "is not valid base64 (RFC 4648)");
    }
    decode_attributes(r, entry);
}

static void decode_symlink(struct json_reader *r, struct layer_entry *entry)
{
    entry->to = dup_path(r, "to");
    const char *target = json_read_string(r, "target", true);
    if (target && (!*target || strlen(target) > 4095))
        json_read_fail(r, "target", "a link target has 1 to 4095 bytes");
    entry->target = mem_strdup_null(target);
    decode_attributes(r, entry);
}

static void decode_directory(struct json_reader *r, struct layer_entry *entry)
{
    entry->to = dup_path(r, "to");
    decode_attributes(r, entry);
}

static void decode_removal(struct json_reader *r, struct layer_entry *entry)
{
    entry->to = dup_path(r, "path");
}

static void decode_tar(struct json_reader *r, struct layer_entry *entry, const struct roots *roots)
{
    if (entry->type == LAYER_TAR) {
        entry->from = dup_source(r, "from", roots);
    } else {
        const char *text = json_read_string(r, "digest", true);
        struct error why = ERROR_INIT;
        if (text && digest_parse(&entry->context, text, &why))
            json_read_fail(r, "digest", "%s", why.detail);
        error_clear(&why);
    }
    entry->to = dup_path(r, "to");
    entry->xattrs = dup_texts(r, "xattrs", 64, &entry->n_xattrs);
    decode_attributes(r, entry);
}

static void check_entry(struct json_reader *r, const struct layer_entry *entry)
{
    struct error why = ERROR_INIT;
    const char *member;
    if (layer_entry_check(entry, &member, &why))
        json_read_fail(r, member, "%s", why.detail);
    error_clear(&why);
}

static int entry_type(const char *name)
{
    static const char *const names[] = {"copy", "file", "symlink", "directory", "delete", "opaque", "tar", "context"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (str_equal(names[i], name))
            return (int)i;
    return -1;
}

static int decode_entry(struct layer_entry *entry, const json_t *value, const char *pointer, const struct roots *roots,
                        struct error *err)
{
    struct json_reader r;
    json_reader_init(&r, value, pointer, err);
    entry->pointer = mem_strdup(pointer);
    const char *name = json_read_string(&r, "type", false);
    int type = entry_type(name ? name : "copy");
    if (type < 0)
        json_read_fail(&r, "type",
                       "must be one of: copy, file, symlink, directory, delete, opaque, tar, context");
    entry->type = (enum layer_entry_type)(type < 0 ? 0 : type);
    if (!r.failed)
        switch (entry->type) {
        case LAYER_COPY:
            decode_copy(&r, entry, roots);
            break;
        case LAYER_FILE:
            decode_file(&r, entry);
            break;
        case LAYER_SYMLINK:
            decode_symlink(&r, entry);
            break;
        case LAYER_DIRECTORY:
            decode_directory(&r, entry);
            break;
        case LAYER_DELETE:
        case LAYER_OPAQUE:
            decode_removal(&r, entry);
            break;
        default: // a request has no other kinds
            decode_tar(&r, entry, roots);
            break;
        }
    if (!r.failed)
        check_entry(&r, entry);
    return json_reader_end(&r);
}

static void set_algorithm(struct json_reader *r, const char *key, const char *name, struct layer_spec *spec)
{
    static const char *const names[] = {"gzip", "zstd", "none", "estargz"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (str_equal(names[i], name)) {
            spec->algorithm = (enum layer_algorithm)i;
            spec->level = spec->algorithm == LAYER_ZSTD ? 3 : LAYER_LEVEL_FAST;
            return;
        }
    json_read_fail(r, key, "must be one of: gzip, zstd, none, estargz");
}

static void set_level(struct json_reader *r, const json_t *level, struct layer_spec *spec)
{
    const char *name = json_string_value(level);
    bool gzip = spec->algorithm == LAYER_GZIP || spec->algorithm == LAYER_ESTARGZ;
    if (gzip && str_equal(name, "fast"))
        spec->level = LAYER_LEVEL_FAST;
    else if (gzip && str_equal(name, "small"))
        spec->level = LAYER_LEVEL_SMALL;
    else if (spec->algorithm == LAYER_ZSTD && json_is_integer(level) && json_integer_value(level) >= 1 &&
             json_integer_value(level) <= 19)
        spec->level = (int)json_integer_value(level);
    else
        json_read_fail(r, "level", "must be \"fast\" or \"small\" for gzip, 1 to 19 for zstd, absent for none");
}

bool layer_decode_compression(struct json_reader *r, const char *key, struct layer_spec *spec)
{
    spec->level = LAYER_LEVEL_FAST;
    const json_t *value = json_read_any(r, key);
    if (!value || json_is_null(value))
        return false;
    if (json_is_string(value)) {
        set_algorithm(r, key, json_string_value(value), spec);
        return true;
    }
    AUTO_FREE char *pointer = json_pointer_join(r->pointer, key);
    struct json_reader inner;
    json_reader_init(&inner, value, pointer, r->err);
    const char *name = json_read_string(&inner, "algorithm", true);
    if (name)
        set_algorithm(&inner, "algorithm", name, spec);
    const json_t *level = json_read_any(&inner, "level");
    if (level && !inner.failed)
        set_level(&inner, level, spec);
    if (json_reader_end(&inner))
        r->failed = true;
    return true;
}

static void decode_files(struct json_reader *r, struct layer_spec *spec, const struct roots *roots)
{
    const json_t *files = json_read_array(r, "files", true);
    size_t count = json_array_size(files);
    if (r->failed)
        return;
    if (count > LAYER_ENTRIES_MAX) {
        json_read_fail(r, "files", "at most %d entries a layer; use a directory or a tar", LAYER_ENTRIES_MAX);
        return;
    }
    spec->entries = mem_calloc(count ? count : 1, sizeof(*spec->entries));
    AUTO_FREE char *pointer = json_pointer_join(r->pointer, "files");
    for (size_t i = 0; i < count && !r->failed; i++) {
        AUTO_FREE char *at = json_pointer_index(pointer, i);
        spec->n_entries++;
        if (decode_entry(&spec->entries[i], json_array_get(files, i), at, roots, r->err))
            r->failed = true;
    }
}

static void decode_blob(struct json_reader *outer, struct build_layer *layer, const json_t *value)
{
    AUTO_FREE char *pointer = json_pointer_join(outer->pointer, "blob");
    struct json_reader r;
    json_reader_init(&r, value, pointer, outer->err);
    const char *digest = json_read_string(&r, "digest", true);
    const char *diff_id = json_read_string(&r, "diff_id", true);
    struct error why = ERROR_INIT;
    if (digest && digest_parse(&layer->blob.digest, digest, &why))
        json_read_fail(&r, "digest", "%s", why.detail);
    error_clear(&why);
    if (diff_id && digest_parse(&layer->blob_diff_id, diff_id, &why))
        json_read_fail(&r, "diff_id", "%s", why.detail);
    error_clear(&why);
    layer->blob.size = json_read_int(&r, "size", 0, (int64_t)1 << 53, -1);
    layer->blob.media_type = mem_strdup_null(json_read_string(&r, "media_type", false));
    const json_t *urls = json_read_array(&r, "urls", false);
    if (json_array_size(urls))
        layer->blob.urls = json_incref((json_t *)urls);
    layer->is_blob = true;
    if (json_reader_end(&r))
        outer->failed = true;
}

static void decode_platforms(struct json_reader *r, struct build_layer *layer)
{
    const json_t *array = json_read_array(r, "platforms", false);
    size_t count = json_array_size(array);
    if (!count)
        return;
    layer->platforms = mem_calloc(count, sizeof(*layer->platforms));
    for (size_t i = 0; i < count && !r->failed; i++) {
        const char *text = json_string_value(json_array_get(array, i));
        struct error why = ERROR_INIT;
        if (!text || platform_parse(&layer->platforms[i], text, &why))
            json_read_fail(r, "platforms", "%s", text ? why.detail : "must be texts as in \"linux/amd64\"");
        error_clear(&why);
        layer->n_platforms++;
    }
}

int layer_decode(struct build_layer *ret, const json_t *value, const char *pointer, int64_t mtime_s,
                 const struct roots *build_roots, struct error *err)
{
    *ret = (struct build_layer){0};
    ret->spec.mtime_s = mtime_s;
    struct json_reader r;
    json_reader_init(&r, value, pointer, err);
    const json_t *blob = json_read_object(&r, "blob", false);
    if (blob) {
        decode_blob(&r, ret, blob);
    } else {
        layer_decode_compression(&r, "compression", &ret->spec);
        const char *split = json_read_string(&r, "split", false);
        ret->split_auto = str_equal(split, "auto");
        if (split && !ret->split_auto && !str_equal(split, "none"))
            json_read_fail(&r, "split", "must be \"auto\" or \"none\"");
        if (!r.failed)
            decode_files(&r, &ret->spec, build_roots);
    }
    ret->comment = mem_strdup_null(json_read_string(&r, "comment", false));
    decode_platforms(&r, ret);
    if (json_reader_end(&r)) {
        build_layer_clear(ret);
        return -1;
    }
    return 0;
}

void build_layer_clear(struct build_layer *layer)
{
    layer_spec_clear(&layer->spec);
    descriptor_clear(&layer->blob);
    free(layer->comment);
    for (size_t i = 0; i < layer->n_platforms; i++)
        platform_clear(&layer->platforms[i]);
    free(layer->platforms);
    *layer = (struct build_layer){0};
}
