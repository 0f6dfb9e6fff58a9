// SPDX-License-Identifier: Apache-2.0
//
// The kinds of job, and the judgement of a POST body by its kind.
#include "images/images.h"

#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "credentials/credentials.h"
#include "images/build.h"
#include "images/build_spec.h"
#include "images/check_job.h"
#include "images/check_spec.h"
#include "images/copy.h"
#include "images/copy_spec.h"
#include "images/index_job.h"
#include "images/index_spec.h"
#include "images/local_store.h"

const struct job_ops *const image_job_kinds[] = {&build_job_ops, &copy_job_ops, &index_job_ops, &check_job_ops, NULL};

// Set once before the engine starts; plans have no other way to the crafts, because the engine is image-blind.
static struct image_context *current;

void image_context_set(struct image_context *context)
{
    current = context;
}

struct image_context *image_context_get(void)
{
    return current;
}

struct credential_set *image_auth_open(struct job *job, const json_t *auth, struct error *err)
{
    struct credential_set *set = credential_set_new(auth, err);
    if (!set || !credential_set_names_file(set) || !local_store_caller(current, job_owner_uid(job)).apply)
        return set;
    credential_set_unref(set);
    error_set_pointer(err, ERR_PATH_NOT_ALLOWED, "/auth", "this daemon reads no key files for other users");
    error_hint(err, "Give the content of the key in gcp_service_account in place of its path.");
    return NULL;
}

static int check_build(const struct image_context *context, const json_t *spec, struct error *err)
{
    struct build_spec build;
    if (build_spec_decode(&build, spec, context, err))
        return -1;
    build_spec_clear(&build);
    return 0;
}

static int check_copy(const struct image_context *context, const json_t *spec, struct error *err)
{
    struct copy_spec copy;
    if (copy_spec_decode(&copy, spec, context, err))
        return -1;
    copy_spec_clear(&copy);
    return 0;
}

static int check_index(const struct image_context *context, const json_t *spec, struct error *err)
{
    struct index_spec index;
    if (index_spec_decode(&index, spec, context, err))
        return -1;
    index_spec_clear(&index);
    return 0;
}

static int check_check(const struct image_context *context, const json_t *spec, struct error *err)
{
    struct check_spec check;
    if (check_spec_decode(&check, spec, context, err))
        return -1;
    check_spec_clear(&check);
    return 0;
}

int image_job_check(const struct image_context *context, const json_t *spec, struct error *err)
{
    static const struct {
        const char *kind;
        int (*check)(const struct image_context *context, const json_t *spec, struct error *err);
    } kinds[] = {{"build", check_build}, {"copy", check_copy}, {"index", check_index}, {"check", check_check}};
    const char *kind = json_get_string(spec, "kind");
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
        if (str_equal(kinds[i].kind, kind))
            return kinds[i].check(context, spec, err);
    CLEANUP(strbuf_free) struct strbuf known = STRBUF_INIT(256);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
        strbuf_printf(&known, "%s%s", i ? ", " : "", kinds[i].kind);
    return error_set_pointer(err, ERR_INVALID_REQUEST, "/kind", "/kind: %s; known are: %s",
                             kind ? "there is no such kind of job" : "is required", strbuf_text(&known));
}

int image_auth_check(const json_t *auth, struct error *err)
{
    return credential_set_check(auth, "/auth", err);
}
