// SPDX-License-Identifier: Apache-2.0
//
// The entry documents of archives and layouts: index.json, oci-layout, docker's manifest.json. Input: a tag,
// a line feed, the document.
#include "fuzz.h"
#include "layout/docker_list.h"
#include "layout/layout_index.h"

static void index_json(const char *tag, const char *bytes, size_t len)
{
    struct error err = ERROR_INIT;
    struct manifest index;
    if (layout_index_parse(&index, bytes, len, &err) < 0) {
        fuzz_check_error(&err);
        manifest_clear(&index);
        return;
    }
    const struct descriptor *found = layout_index_find(&index, *tag ? tag : NULL, &err);
    if (!found)
        fuzz_check_error(&err);
    else
        FUZZ_ASSERT(digest_valid(found->digest.text));
    if (found && *tag && !digest_valid(tag)) {
        AUTO_FREE char *text = layout_index_put(&index, found, tag, &err);
        struct manifest again;
        if (text) {
            FUZZ_ASSERT(layout_index_parse(&again, text, strlen(text), &err) == 0);
            manifest_clear(&again);
        }
        error_clear(&err);
    }
    manifest_clear(&index);
}

static void docker_list(const char *name, const char *bytes, size_t len)
{
    struct error err = ERROR_INIT;
    AUTO_JSON json_t *list = docker_list_parse(bytes, len, &err);
    if (!list || !docker_list_find(list, *name ? name : NULL, &err))
        fuzz_check_error(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = ERROR_INIT;
    AUTO_FREE char *tag = fuzz_take(&data, &size, '\n');
    AUTO_FREE char *text = fuzz_text(data, size);
    index_json(tag, text, size);
    docker_list(tag, text, size);
    if (layout_index_check_version(text, size, &err) < 0)
        fuzz_check_error(&err);
    return 0;
}
