// SPDX-License-Identifier: Apache-2.0
//
// Rebase and squash of a config: diff_ids and history stay in step.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "oci/image_config.h"

#define A "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

static void parse(struct image_config *config, const char *diff_ids, const char *history)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    AUTO_FREE char *text = mem_printf("{\"os\":\"linux\",\"architecture\":\"amd64\",\"rootfs\":{\"type\":\"layers\","
                                      "\"diff_ids\":[%s]},\"history\":[%s]}", diff_ids, history);
    assert_int_equal(image_config_parse(config, text, strlen(text), &err), 0);
}

static void check_history(const struct image_config *config, const char *expected)
{
    AUTO_FREE char *text = json_text(json_object_get(config->root, "history"));
    assert_string_equal(text, expected);
}

static void test_rebase_takes_the_old_base_with_its_empty_entries(void **state)
{
    (void)state;
    struct image_config image, from, onto;
    parse(&image, "\"" A "\",\"" B "\"",
          "{\"comment\":\"old\"},{\"comment\":\"CMD\",\"empty_layer\":true},{\"comment\":\"app\"}");
    parse(&from, "\"" A "\"", "{\"comment\":\"old\"},{\"comment\":\"CMD\",\"empty_layer\":true}");
    parse(&onto, "\"" C "\",\"" C "\"", "{\"comment\":\"new\"}"); // one entry fewer than layers
    image_config_rebase(&image, &from, &onto);
    check_history(&image, "[{\"comment\":\"new\"},{\"comment\":\"layer without history\"},{\"comment\":\"app\"}]");
    assert_int_equal(image_config_layers(&image), 3);
    image_config_clear(&image);
    image_config_clear(&from);
    image_config_clear(&onto);
}

static void test_squash_keeps_what_was_done_as_empty_entries(void **state)
{
    (void)state;
    struct image_config image;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    parse(&image, "\"" A "\",\"" B "\",\"" C "\"", "{\"comment\":\"1\"},{\"comment\":\"2\"},{\"comment\":\"3\"}");
    struct digest merged, found;
    digest_of(&merged, DIGEST_SHA256, "x", 1);
    image_config_squash(&image, 1, &merged, NULL, "flatten");
    check_history(&image, "[{\"comment\":\"1\"},{\"comment\":\"2\",\"empty_layer\":true},"
                          "{\"comment\":\"3\",\"empty_layer\":true},{\"created_by\":\"flatten\"}]");
    assert_int_equal(image_config_layers(&image), 2);
    assert_int_equal(image_config_diff_id(&image, 1, &found, &err), 0);
    assert_true(digest_equal(&found, &merged));
    image_config_clear(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rebase_takes_the_old_base_with_its_empty_entries),
        cmocka_unit_test(test_squash_keeps_what_was_done_as_empty_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
