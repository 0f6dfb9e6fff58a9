// SPDX-License-Identifier: Apache-2.0
//
// Decodes `targets`. Called twice for a job: when it is posted (to judge it) and when an attempt starts.
#include "images/target.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"

int target_decode_location(struct location *ret, const char *text, const char *pointer, const struct roots *roots,
                           bool allow_scratch, struct error *err)
{
    if (location_parse(ret, text, err)) {
        if (!err->pointer)
            err->pointer = mem_strdup(pointer);
        return -1;
    }
    if (ret->kind == LOCATION_SCRATCH && !allow_scratch) {
        location_clear(ret);
        return error_set_pointer(err, ERR_REFERENCE_INVALID, pointer, "scratch cannot stand here: name an image");
    }
    if (ret->path && roots_check(roots, ret->path, err)) {
        location_clear(ret);
        if (!err->pointer)
            err->pointer = mem_strdup(pointer);
        return -1;
    }
    return 0;
}

static int decode_choice(struct json_reader *r, const char *key, const char *const *names)
{
    const char *text = json_read_string(r, key, false);
    if (!text)
        return 0;
    for (int i = 0; names[i]; i++)
        if (str_equal(names[i], text))
            return i;
    CLEANUP(strbuf_free) struct strbuf known = STRBUF_INIT(1024);
    for (int i = 0; names[i]; i++)
        strbuf_printf(&known, "%s%s", i ? ", " : "", names[i]);
    json_read_fail(r, key, "must be one of: %s", strbuf_text(&known));
    return 0;
}

static int decode_object(struct target *target, const json_t *value, const char *pointer, const struct roots *roots,
                         struct error *err)
{
    static const char *const formats[] = {"keep", "oci", "docker", NULL};
    static const char *const exists[] = {"replace", "same", "fail", NULL};
    struct json_reader r;
    json_reader_init(&r, value, pointer, err);
    const char *ref = json_read_string(&r, "ref", true);
    target->format = (enum target_format)decode_choice(&r, "format", formats);
    target->if_exists = (enum target_if_exists)decode_choice(&r, "if_exists", exists);
    if (json_reader_end(&r))
        return -1;
    AUTO_FREE char *at = json_pointer_join(pointer, "ref");
    return target_decode_location(&target->where, ref, at, roots, false, err);
}

static int decode_one(struct target *target, const json_t *value, const char *pointer, const struct roots *roots,
                      struct error *err)
{
    if (json_is_string(value))
        return target_decode_location(&target->where, json_string_value(value), pointer, roots, false, err);
    if (json_is_object(value))
        return decode_object(target, value, pointer, roots, err);
    return error_set_pointer(err, ERR_INVALID_REQUEST, pointer, "a target is a text or an object with `ref`");
}

static int refuse_digest_target(const struct target *target, const char *pointer, struct error *err)
{
    if (target->where.kind != LOCATION_REGISTRY || !digest_known(&target->where.ref.digest))
        return 0;
    error_set_pointer(err, ERR_REFERENCE_INVALID, pointer, "a target names a tag, not a digest");
    error_hint(err, "Leave out the @%s part: the digest of what was made is in the result.",
               digest_algorithm_name(&target->where.ref.digest));
    return -1;
}

static int refuse_repeated(const struct targets *targets, const char *pointer, struct error *err)
{
    const struct target *last = &targets->items[targets->count - 1];
    AUTO_FREE char *name = location_format(&last->where);
    for (size_t i = 0; i + 1 < targets->count; i++) {
        AUTO_FREE char *other = location_format(&targets->items[i].where);
        if (str_equal(name, other))
            return error_set_pointer(err, ERR_INVALID_REQUEST, pointer, "%s is named twice as a target", name);
    }
    return 0;
}

int targets_decode(struct targets *ret, const json_t *array, const char *pointer, const struct roots *output_roots,
                   struct error *err)
{
    *ret = (struct targets){0};
    size_t count = json_array_size(array);
    if (!json_is_array(array) || count == 0)
        return error_set_pointer(err, ERR_INVALID_REQUEST, pointer, "`targets` needs at least one target");
    if (count > TARGETS_MAX)
        return error_set_pointer(err, ERR_TOO_LARGE, pointer, "a job may have at most %d targets", TARGETS_MAX);
    ret->items = mem_calloc(count, sizeof(*ret->items));
    for (size_t i = 0; i < count; i++) {
        AUTO_FREE char *at = json_pointer_index(pointer, i);
        struct target *target = &ret->items[i];
        if (decode_one(target, json_array_get(array, i), at, output_roots, err))
            goto fail;
        ret->count++;
        if (refuse_digest_target(target, at, err) || refuse_repeated(ret, at, err))
            goto fail;
    }
    return 0;
fail:
    targets_clear(ret);
    return -1;
}

void targets_clear(struct targets *targets)
{
    for (size_t i = 0; i < targets->count; i++)
        location_clear(&targets->items[i].where);
    free(targets->items);
    *targets = (struct targets){0};
}
