// SPDX-License-Identifier: Apache-2.0
//
// Decodes a copy job.
#include "images/copy_spec.h"

#include "base/mem.h"
#include "base/str.h"
#include "images/images.h"
#include "images/spec_common.h"

static void decode_index(struct json_reader *r, struct copy_spec *spec)
{
    const char *index = json_read_string(r, "index", false);
    spec->sparse = str_equal(index, "sparse");
    if (index && !spec->sparse && !str_equal(index, "prune"))
        json_read_fail(r, "index", "must be \"prune\" or \"sparse\"");
}

static int refuse_format(const struct targets *targets, struct error *err)
{
    for (size_t i = 0; i < targets->count; i++)
        if (targets->items[i].format != TARGET_KEEP) {
            AUTO_FREE char *pointer = mem_printf("/targets/%zu/format", i);
            return error_set_pointer(err, ERR_INVALID_REQUEST, pointer,
                                     "a copy keeps every byte; converting while copying is not supported by this version");
        }
    return 0;
}

static int decode_places(struct copy_spec *spec, const char *source, const json_t *targets,
                         const struct image_context *context, struct error *err)
{
    if (target_decode_location(&spec->source, source, "/source", context->build_roots, false, err) ||
        targets_decode(&spec->targets, targets, "/targets", context->output_roots, err))
        return -1;
    return refuse_format(&spec->targets, err);
}

int copy_spec_decode(struct copy_spec *ret, const json_t *json, const struct image_context *context, struct error *err)
{
    *ret = (struct copy_spec){0};
    struct json_reader r;
    json_reader_init(&r, json, "", err);
    spec_read_common(&r);
    const char *source = json_read_string(&r, "source", true);
    const json_t *targets = json_read_array(&r, "targets", true);
    spec_read_platforms(&r, "platforms", &ret->platforms, &ret->n_platforms);
    decode_index(&r, ret);
    ret->force = json_read_bool(&r, "force", false);
    spec_refuse(&r, "referrers", "false");
    spec_refuse(&r, "foreign_layers", "\"keep\"");
    spec_refuse(&r, "tags", "null");
    spec_refuse(&r, "prune", "null");
    spec_refuse(&r, "dry_run", "false");
    if (json_reader_end(&r) || decode_places(ret, source, targets, context, err)) {
        copy_spec_clear(ret);
        return -1;
    }
    return 0;
}

void copy_spec_clear(struct copy_spec *spec)
{
    location_clear(&spec->source);
    targets_clear(&spec->targets);
    spec_platforms_free(spec->platforms, spec->n_platforms);
    *spec = (struct copy_spec){0};
}
