// SPDX-License-Identifier: Apache-2.0
//
// Image configs of servers, and the edits of jobs. Input: the config, a NUL, the `config` member of a build
// job, a NUL, a merge patch. What was taken can be written and read again, also after an edit that was judged
// to be fine.
#include "fuzz.h"
#include "oci/image_config.h"

static void read_again(const struct image_config *config)
{
    struct error err = ERROR_INIT;
    struct image_config again;
    AUTO_FREE char *text = image_config_text(config);
    FUZZ_ASSERT(image_config_parse(&again, text, strlen(text), &err) == 0);
    FUZZ_ASSERT(image_config_layers(&again) == image_config_layers(config));
    image_config_clear(&again);
}

static void edit(struct image_config *config, const char *text)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    AUTO_JSON json_t *value = json_parse(text, strlen(text), &json_limits_request, &err);
    if (value && image_config_check_edit(value, "/config", &err) == 0 &&
        image_config_apply_edit(config, value, &err) == 0)
        read_again(config);
}

static void patch(struct image_config *config, const char *text)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    size_t layers = image_config_layers(config);
    AUTO_JSON json_t *value = json_parse(text, strlen(text), &json_limits_request, &err);
    if (!value || image_config_check_patch(value, "/config_patch", &err) < 0 ||
        image_config_merge_patch(config, value, &err) < 0)
        return;
    FUZZ_ASSERT(image_config_layers(config) == layers);
    read_again(config);
}

static void look(const struct image_config *config)
{
    struct error err = ERROR_INIT;
    struct platform platform;
    struct digest digest;
    image_config_platform(config, &platform);
    platform_clear(&platform);
    for (size_t i = 0; i < image_config_layers(config); i++) {
        FUZZ_ASSERT(image_config_diff_id(config, i, &digest, &err) == 0 && digest_valid(digest.text));
        image_config_layer_history(config, i);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = ERROR_INIT;
    struct image_config config, other;
    AUTO_FREE char *text = fuzz_take(&data, &size, '\0');
    AUTO_FREE char *edit_text = fuzz_take(&data, &size, '\0');
    AUTO_FREE char *patch_text = fuzz_text(data, size);
    if (image_config_parse(&config, text, strlen(text), &err) < 0) {
        fuzz_check_error(&err);
        return 0;
    }
    look(&config);
    read_again(&config);
    image_config_copy(&other, &config);
    edit(&other, edit_text);
    if (image_config_layers(&other) > 0)
        image_config_remove_layer(&other, 0);
    read_again(&other);
    image_config_clear(&other);
    patch(&config, patch_text);
    image_config_clear(&config);
    return 0;
}
