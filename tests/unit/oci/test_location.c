// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "oci/location.h"

#define HEX64 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static const struct {
    const char *text;
    enum location_kind kind;
    const char *path;
    const char *name;
    const char *formatted;
} good[] = {
    {"scratch", LOCATION_SCRATCH, NULL, NULL, "scratch"},
    {"node:1", LOCATION_REGISTRY, NULL, NULL, "docker.io/library/node:1"},
    {"oci:/srv/out", LOCATION_OCI_LAYOUT, "/srv/out", NULL, "oci:/srv/out"},
    {"oci:/srv/out:v7", LOCATION_OCI_LAYOUT, "/srv/out", "v7", "oci:/srv/out:v7"},
    {"oci:/srv//./out/:v7", LOCATION_OCI_LAYOUT, "/srv/out", "v7", "oci:/srv/out:v7"},
    {"oci:/srv/out:sha256:" HEX64, LOCATION_OCI_LAYOUT, "/srv/out", "sha256:" HEX64,
     "oci:/srv/out:sha256:" HEX64},
    {"oci:/srv/..out:v", LOCATION_OCI_LAYOUT, "/srv/..out", "v", "oci:/srv/..out:v"},
    {"oci:/a b/\xc3\xb6:v", LOCATION_OCI_LAYOUT, "/a b/\xc3\xb6", "v", "oci:/a b/\xc3\xb6:v"},
    {"oci-archive:/a/b.tar", LOCATION_OCI_ARCHIVE, "/a/b.tar", NULL, "oci-archive:/a/b.tar"},
    {"oci-archive:/a/b.tar:r.io/x:1", LOCATION_OCI_ARCHIVE, "/a/b.tar", "r.io/x:1",
     "oci-archive:/a/b.tar:r.io/x:1"},
    {"docker-archive:/a/b.tar:busybox:1", LOCATION_DOCKER_ARCHIVE, "/a/b.tar", "busybox:1",
     "docker-archive:/a/b.tar:busybox:1"},
    // an image that is called like a transport
    {"oci", LOCATION_REGISTRY, NULL, NULL, "docker.io/library/oci"},
    {"oci:v1", LOCATION_REGISTRY, NULL, NULL, "docker.io/library/oci:v1"},
    {"oci:v1@sha256:" HEX64, LOCATION_REGISTRY, NULL, NULL, "docker.io/library/oci:v1@sha256:" HEX64},
    {"oci/x", LOCATION_REGISTRY, NULL, NULL, "docker.io/oci/x"},
    {"docker.io/scratch", LOCATION_REGISTRY, NULL, NULL, "docker.io/library/scratch"},
};

static const char *const bad[] = {
    "",
    "oci:",
    "oci:./out",
    "oci:../out",
    "oci:out/x",
    "oci:out/x:v1",
    "oci:/",
    "oci://",
    "oci:/..",
    "oci:/a/../b",
    "oci:/a/..:v",
    "oci:/a:",
    "oci:/a:b c",
    "oci:/a:b\n",
    "oci:/a\x01:b",
    "oci:/\xff/x",
    "oci-archive:a.tar/x",
    "docker-archive:/a.tar:",
    "docker-Archive:2/t-me",
    "OCI:5000/a",
    "docker-archive:/a.tar:UPPER",
    "docker-archive:/a.tar:x@sha256:" HEX64,
    "docker://node",
    "docker-daemon:node:1",
    "dir:/x",
    "containers-storage:x",
    "Scratch",
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        struct location location, copy;
        if (location_parse(&location, good[i].text, &err) < 0)
            fail_msg("%s: %s", good[i].text, err.detail);
        location_copy(&copy, &location);
        location_clear(&location);
        AUTO_FREE char *text = location_format(&copy);
        assert_int_equal(copy.kind, good[i].kind);
        assert_string_equal(text, good[i].formatted);
        assert_string_equal(copy.path ? copy.path : "", good[i].path ? good[i].path : "");
        assert_string_equal(copy.name ? copy.name : "", good[i].name ? good[i].name : "");
        location_clear(&copy);
    }
}

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        struct location location;
        if (location_parse(&location, bad[i], &err) == 0)
            fail_msg("'%s' was taken", bad[i]);
        assert_int_equal(err.code, ERR_REFERENCE_INVALID);
        assert_null(location.path);
    }
}

static void test_hint_names_forms(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct location location;
    assert_int_equal(location_parse(&location, "docker-daemon:x", &err), -1);
    assert_non_null(strstr(err.hint, "oci-archive:"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_hint_names_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
