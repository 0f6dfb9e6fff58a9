// SPDX-License-Identifier: Apache-2.0
//
// Manifests and indexes of servers and archives. Input: the Content-Type, a line feed, the document.
#include "fuzz.h"
#include "oci/manifest.h"

static void check_descriptor(const struct descriptor *d)
{
    FUZZ_ASSERT(d->media_type && digest_valid(d->digest.text) && d->size >= 0);
    AUTO_JSON json_t *value = descriptor_to_json(d);
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct descriptor again = {0};
    FUZZ_ASSERT(descriptor_parse(&again, value, "again", &err) == 0);
    FUZZ_ASSERT(digest_equal(&d->digest, &again.digest) && d->size == again.size);
    descriptor_clear(&again);
}

static void check_children(const struct manifest *m)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct platform platform;
    FUZZ_ASSERT(platform_parse(&platform, "linux/arm/v7", &err) == 0);
    for (size_t i = 0; i < m->n_children; i++)
        check_descriptor(&m->children[i]);
    manifest_find_platform(m, &platform, &err);
    platform_clear(&platform);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = ERROR_INIT;
    struct manifest m;
    AUTO_FREE char *type = fuzz_take(&data, &size, '\n');
    if (manifest_parse(&m, data, size, type, &err) < 0) {
        fuzz_check_error(&err);
        return 0;
    }
    FUZZ_ASSERT(m.len == size && memcmp(m.bytes, data, size) == 0);
    FUZZ_ASSERT(m.is_index ? m.n_layers == 0 : m.n_children == 0);
    FUZZ_ASSERT(media_type_is_index(m.media_type) == m.is_index);
    if (m.is_index)
        check_children(&m);
    else
        check_descriptor(&m.config);
    for (size_t i = 0; i < m.n_layers; i++)
        check_descriptor(&m.layers[i]);
    if (m.has_subject)
        check_descriptor(&m.subject);
    FUZZ_ASSERT(!(manifest_is_image(&m) && m.is_index));
    manifest_clear(&m);
    return 0;
}
