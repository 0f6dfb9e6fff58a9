// SPDX-License-Identifier: Apache-2.0
//
// Decodes a check job.
#include "images/check_spec.h"

#include "images/images.h"
#include "images/spec_common.h"

int check_spec_decode(struct check_spec *ret, const json_t *json, const struct image_context *context,
                      struct error *err)
{
    *ret = (struct check_spec){0};
    struct json_reader r;
    json_reader_init(&r, json, "", err);
    spec_read_common(&r);
    const char *source = json_read_string(&r, "source", true);
    spec_read_platforms(&r, "platforms", &ret->platforms, &ret->n_platforms);
    ret->deep = json_read_bool(&r, "deep", false);
    if (json_reader_end(&r) ||
        target_decode_location(&ret->source, source, "/source", context->build_roots, false, err)) {
        check_spec_clear(ret);
        return -1;
    }
    return 0;
}

void check_spec_clear(struct check_spec *spec)
{
    location_clear(&spec->source);
    spec_platforms_free(spec->platforms, spec->n_platforms);
    *spec = (struct check_spec){0};
}
