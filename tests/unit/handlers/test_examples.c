// SPDX-License-Identifier: Apache-2.0
//
// Every file in api/examples is a body of POST /v1/jobs: those in valid are accepted, those in invalid are
// refused with the code that begins their name. A temporary directory stands for /srv, the only root.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "images/images.h"

// The directory that stands for /srv.
static char root[] = "/tmp/dray-srv-XXXXXX";

static char *replaced(const char *text, const char *from, const char *to)
{
    struct strbuf out = STRBUF_INIT(1 << 20);
    for (const char *hit; (hit = strstr(text, from)) != NULL; text = hit + strlen(from)) {
        strbuf_append(&out, text, (size_t)(hit - text));
        strbuf_puts(&out, to);
    }
    strbuf_puts(&out, text);
    return strbuf_take(&out);
}

// As handlers/job_create judges a body.
static enum error_code judge(const char *path, const struct image_context *context)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    size_t len;
    AUTO_FREE char *text = file_read(path, 1 << 20, &len, &err);
    assert_non_null(text);
    AUTO_FREE char *here = replaced(text, "/srv", root);
    AUTO_JSON json_t *body = json_parse(here, strlen(here), &json_limits_request, &err);
    if (!body)
        fail_msg("%s: %s", path, err.detail);
    if (!json_is_object(body))
        return ERR_INVALID_REQUEST;
    AUTO_JSON json_t *auth = json_incref(json_object_get(body, "auth"));
    json_object_del(body, "auth");
    if (image_job_check(context, body, &err) == 0 && auth)
        image_auth_check(auth, &err);
    if (err.code != ERR_NONE)
        printf("%s: %s: %s\n", path, err.pointer ? err.pointer : "-", err.detail);
    return err.code;
}

static enum error_code wanted(const char *path)
{
    if (strstr(path, "/valid/"))
        return ERR_NONE;
    const char *name = strrchr(path, '/') + 1;
    AUTO_FREE char *wire = mem_strndup(name, strcspn(name, "."));
    enum error_code code = error_from_wire(wire);
    if (code == ERR_NONE)
        fail_msg("%s does not begin with a problem code", name);
    return code;
}

static void check_all(const char *pattern, size_t least)
{
    struct error err = ERROR_INIT;
    struct roots *build = roots_new("build root", "--build-root"),
                 *output = roots_new("output root", "--output-root");
    struct image_context context = {.build_roots = build, .output_roots = output};
    glob_t found;
    assert_int_equal(roots_add(build, root, &err), 0);
    assert_int_equal(roots_add(output, root, &err), 0);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= least);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        enum error_code code = judge(found.gl_pathv[i], &context);
        if (code != wanted(found.gl_pathv[i]))
            fail_msg("%s: %s", found.gl_pathv[i], code == ERR_NONE ? "accepted" : error_wire(code));
    }
    globfree(&found);
    roots_free(build);
    roots_free(output);
}

static void test_valid(void **state)
{
    (void)state;
    check_all(TESTS_DIR "/../api/examples/valid/*.json", 5);
}

static void test_invalid(void **state)
{
    (void)state;
    check_all(TESTS_DIR "/../api/examples/invalid/*.json", 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_valid), cmocka_unit_test(test_invalid)};
    if (!mkdtemp(root))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(root);
    return failed;
}
