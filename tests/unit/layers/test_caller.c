// SPDX-License-Identifier: Apache-2.0
//
// Reading with the rights of the caller. As root: of another user, and only while files are read. As an
// ordinary user, who cannot become another: a clear refusal.
#include "layers/layers_fixture.h"

#include <sys/syscall.h>

enum { OTHER = 65534, GROUP = 54321 };

static uid_t fsuid(void)
{
    return (uid_t)syscall(SYS_setfsuid, -1L);
}

static int check_own_rights(struct sink *sink, const void *bytes, size_t len, struct error *err)
{
    (void)sink, (void)bytes, (void)len, (void)err;
    assert_int_equal(fsuid(), geteuid());
    return 0;
}

static int pack_as(struct fixture *fx, uint32_t uid, uint32_t gid)
{
    struct layer_caller caller = {.apply = true, .uid = uid, .gid = gid};
    struct sink sink = {.ops = &(struct sink_ops){.write = check_own_rights}};
    error_clear(&fx->err);
    layer_result_clear(&fx->result);
    int status = layer_pack(&fx->spec, fx->roots, &caller, fx->lanes, &sink, NULL, &fx->result, &fx->err);
    assert_int_equal(fsuid(), geteuid());
    return status;
}

static void restrict_file(struct fixture *fx, const char *path, gid_t group, mode_t mode)
{
    AUTO_FREE char *full = fixture_path(fx, path);
    if (geteuid() == 0)
        assert_int_equal(chown(full, 0, group), 0);
    assert_int_equal(chmod(full, mode), 0);
}

static void test_permissions_of_the_caller(void **state)
{
    struct fixture *fx = *state;
    assert_int_equal(chmod(fx->dir, 0755), 0);
    fixture_file(fx, "src/file", "content");
    fixture_copy(fx, "src", "/app");
    if (geteuid() != 0) {
        assert_int_equal(pack_as(fx, OTHER, OTHER), -1);
        assert_int_equal(fx->err.code, ERR_FORBIDDEN);
        assert_non_null(strstr(fx->err.detail, "rights of user 65534"));
        return;
    }
    assert_int_equal(pack_as(fx, OTHER, OTHER), 0);
    restrict_file(fx, "src/file", GROUP, 0640);
    assert_int_equal(pack_as(fx, OTHER, OTHER), -1);
    assert_int_equal(fx->err.code, ERR_FORBIDDEN);
    assert_non_null(strstr(fx->err.detail, "src/file"));
    assert_int_equal(pack_as(fx, OTHER, GROUP), 0);
    restrict_file(fx, "src", 0, 0700);
    assert_int_equal(pack_as(fx, OTHER, GROUP), -1);
    assert_int_equal(fx->err.code, ERR_FORBIDDEN);
    restrict_file(fx, "src", 0, 0711);
    assert_int_equal(pack_as(fx, OTHER, GROUP), -1); // may pass through, may not list
    assert_int_equal(fx->err.code, ERR_FORBIDDEN);
    assert_int_equal(pack_as(fx, 0, 0), 0);
}

static void test_fingerprint_too(void **state)
{
    struct fixture *fx = *state;
    assert_int_equal(chmod(fx->dir, 0755), 0);
    fixture_file(fx, "src/d/file", "content");
    restrict_file(fx, "src/d", 0, 0700);
    fixture_copy(fx, "src", "/app");
    struct layer_caller caller = {.apply = true, .uid = OTHER, .gid = OTHER};
    struct digest digest;
    struct layer_survey surveyed;
    bool stable;
    assert_int_equal(layer_fingerprint(&fx->spec, fx->roots, &caller, NULL, &digest, &stable, &fx->err), -1);
    assert_int_equal(fx->err.code, ERR_FORBIDDEN);
    error_clear(&fx->err);
    assert_int_equal(layer_survey(&fx->spec, fx->roots, &caller, 0, NULL, &surveyed, &fx->err), -1);
    assert_int_equal(fx->err.code, ERR_FORBIDDEN);
    assert_int_equal(fsuid(), geteuid());
}

// The same user: nothing to do, and nothing is asked of the kernel.
static void test_own_user(void **state)
{
    struct fixture *fx = *state;
    fixture_file(fx, "src/file", "content");
    fixture_copy(fx, "src", "/app");
    assert_int_equal(pack_as(fx, geteuid(), getegid()), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_permissions_of_the_caller),
        fixture_test(test_fingerprint_too),
        fixture_test(test_own_user),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
