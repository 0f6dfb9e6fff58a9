// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "oci/media_type.h"

static void test_kinds(void **state)
{
    (void)state;
    assert_true(media_type_is_manifest(MEDIA_OCI_MANIFEST) && media_type_is_manifest(MEDIA_DOCKER_MANIFEST));
    assert_false(media_type_is_manifest(MEDIA_OCI_INDEX) || media_type_is_manifest(NULL) ||
                 media_type_is_manifest(""));
    assert_true(media_type_is_index(MEDIA_OCI_INDEX) && media_type_is_index(MEDIA_DOCKER_LIST));
    assert_true(media_type_is_schema1("application/vnd.docker.distribution.manifest.v1+prettyjws"));
    assert_true(media_type_is_schema1("application/vnd.docker.distribution.manifest.v1+json"));
    assert_false(media_type_is_schema1(MEDIA_DOCKER_MANIFEST));
    assert_true(media_type_is_foreign_layer(MEDIA_DOCKER_FOREIGN_LAYER));
    assert_true(media_type_is_foreign_layer("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"));
    assert_false(media_type_is_foreign_layer(MEDIA_OCI_LAYER_GZIP));
    assert_true(media_type_is_layer("application/vnd.oci.image.layer.v1.tar+lz4"));
    assert_false(media_type_is_layer("application/vnd.in-toto+json"));
}

static void test_compression(void **state)
{
    (void)state;
    assert_int_equal(media_type_compression(MEDIA_OCI_LAYER), MEDIA_COMPRESSION_NONE);
    assert_int_equal(media_type_compression(MEDIA_DOCKER_LAYER_GZIP), MEDIA_COMPRESSION_GZIP);
    assert_int_equal(media_type_compression(MEDIA_OCI_LAYER_ZSTD), MEDIA_COMPRESSION_ZSTD);
    assert_int_equal(media_type_compression("application/vnd.oci.image.layer.v1.tar+lz4"),
                     MEDIA_COMPRESSION_UNKNOWN);
    assert_null(media_type_layer(MEDIA_FAMILY_DOCKER, MEDIA_COMPRESSION_ZSTD));
    assert_int_equal(media_type_compression("application/vnd.docker.image.rootfs.diff.tar.zstd"),
                     MEDIA_COMPRESSION_ZSTD);
    assert_string_equal(
        media_type_convert("application/vnd.docker.image.rootfs.diff.tar.zstd", MEDIA_FAMILY_OCI),
        MEDIA_OCI_LAYER_ZSTD);
    assert_string_equal(media_type_layer(MEDIA_FAMILY_OCI, MEDIA_COMPRESSION_ZSTD), MEDIA_OCI_LAYER_ZSTD);
    assert_string_equal(media_type_layer(MEDIA_FAMILY_DOCKER, MEDIA_COMPRESSION_NONE), MEDIA_DOCKER_LAYER);
}

static void test_convert(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {MEDIA_OCI_MANIFEST, MEDIA_DOCKER_MANIFEST},
        {MEDIA_OCI_INDEX, MEDIA_DOCKER_LIST},
        {MEDIA_OCI_CONFIG, MEDIA_DOCKER_CONFIG},
        {MEDIA_OCI_LAYER, MEDIA_DOCKER_LAYER},
        {MEDIA_OCI_LAYER_GZIP, MEDIA_DOCKER_LAYER_GZIP},
        {"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", MEDIA_DOCKER_FOREIGN_LAYER},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        for (int from = 0; from < 2; from++) {
            assert_string_equal(media_type_convert(pairs[i][from], MEDIA_FAMILY_OCI), pairs[i][0]);
            assert_string_equal(media_type_convert(pairs[i][from], MEDIA_FAMILY_DOCKER), pairs[i][1]);
            assert_int_equal(media_type_family(pairs[i][from]),
                             from ? MEDIA_FAMILY_DOCKER : MEDIA_FAMILY_OCI);
        }
    assert_string_equal(media_type_convert(MEDIA_OCI_LAYER_ZSTD, MEDIA_FAMILY_DOCKER), MEDIA_OCI_LAYER_ZSTD);
    assert_string_equal(media_type_convert("text/x-mine", MEDIA_FAMILY_DOCKER), "text/x-mine");
}

static void test_essence(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"application/json", "application/json"},
        {"Application/JSON; charset=utf-8", "application/json"},
        {"  text/plain\t;x", "text/plain"},
        {"", ""},
        {"application/json\r\nX: y", "application/json"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        AUTO_FREE char *essence = media_type_essence(cases[i][0]);
        assert_string_equal(essence, cases[i][1]);
    }
    assert_null(media_type_essence(NULL));
    assert_true(media_type_is_generic(NULL) && media_type_is_generic("") &&
                media_type_is_generic("text/plain"));
    assert_false(media_type_is_generic(MEDIA_OCI_MANIFEST) || media_type_is_generic("text/html"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_compression),
        cmocka_unit_test(test_convert),
        cmocka_unit_test(test_essence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
