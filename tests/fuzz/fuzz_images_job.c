// SPDX-License-Identifier: Apache-2.0
//
// Bodies of jobs: JSON to a plain struct, for each kind, and the credentials that they bring. What was judged
// to be fine when it was posted can be decoded when it is run.
#include "fuzz.h"
#include "images/build_spec.h"
#include "images/check_spec.h"
#include "images/copy_spec.h"
#include "images/images.h"
#include "images/index_spec.h"

static struct roots *roots;

static void begin(struct image_context *context)
{
    struct error err = ERROR_INIT;
    if (!roots) {
        roots = roots_new("build root", "--build-root");
        FUZZ_ASSERT(roots_add(roots, "/tmp", &err) == 0);
    }
    *context = (struct image_context){.build_roots = roots, .output_roots = roots};
}

#define DECODE(name)                                                                                         \
    static bool decode_##name(const json_t *body, const struct image_context *context, struct error *err)    \
    {                                                                                                        \
        struct name##_spec spec;                                                                             \
        if (name##_spec_decode(&spec, body, context, err) < 0)                                               \
            return false;                                                                                    \
        name##_spec_clear(&spec);                                                                            \
        return true;                                                                                         \
    }
DECODE(build)
DECODE(copy)
DECODE(index)
DECODE(check)

static const struct {
    const char *kind;
    bool (*decode)(const json_t *body, const struct image_context *context, struct error *err);
} kinds[] = {
    {"build", decode_build}, {"copy", decode_copy}, {"index", decode_index}, {"check", decode_check}};

static void decode_all(json_t *body, const struct image_context *context, bool accepted)
{
    const char *kind = json_get_string(body, "kind");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct error err = ERROR_INIT;
        bool good = kinds[i].decode(body, context, &err);
        FUZZ_ASSERT(good || !accepted || !kind || strcmp(kind, kinds[i].kind) != 0);
        if (!good)
            fuzz_check_error(&err);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct image_context context;
    begin(&context);
    AUTO_JSON json_t *body = json_parse((const char *)data, size, &json_limits_request, &err);
    if (!json_is_object(body))
        return 0;
    AUTO_JSON json_t *auth = json_incref(json_object_get(body, "auth"));
    json_object_del(body, "auth");
    if (auth && image_auth_check(auth, &err) < 0)
        fuzz_check_error(&err);
    bool accepted = image_job_check(&context, body, &err) == 0;
    if (!accepted)
        fuzz_check_error(&err);
    decode_all(body, &context, accepted);
    return 0;
}
