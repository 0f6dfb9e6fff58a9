// SPDX-License-Identifier: Apache-2.0
//
// Shared members of job specifications.
#include "images/spec_common.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

enum { LABELS_MAX = 64, LABEL_BYTES_MAX = 256 };

static void check_labels(struct json_reader *r, const json_t *labels)
{
    if (json_object_size(labels) > LABELS_MAX)
        json_read_fail(r, "labels", "at most %d labels", LABELS_MAX);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)labels, key, value)
        if (!json_is_string(value) || json_string_length(value) > LABEL_BYTES_MAX || strlen(key) > LABEL_BYTES_MAX)
            json_read_fail(r, "labels", "keys and values are texts of at most %d bytes", LABEL_BYTES_MAX);
}

void spec_read_common(struct json_reader *r)
{
    json_read_string(r, "kind", true);
    const json_t *labels = json_read_object(r, "labels", false);
    if (labels)
        check_labels(r, labels);
    json_read_int(r, "priority", -1000, 1000, 0);
    json_read_int(r, "deadline_ms", 1, (int64_t)7 * 24 * 3600 * 1000, 0);
    const char *lifetime = json_read_string(r, "lifetime", false);
    if (lifetime && !str_equal(lifetime, "detached") && !str_equal(lifetime, "attached"))
        json_read_fail(r, "lifetime", "must be \"detached\" or \"attached\"");
}

void spec_read_platforms(struct json_reader *r, const char *key, struct platform **ret, size_t *ret_count)
{
    const json_t *array = json_read_array(r, key, false);
    size_t count = json_array_size(array);
    if (count > PLATFORMS_MAX) {
        json_read_fail(r, key, "at most %d platforms", PLATFORMS_MAX);
        return;
    }
    *ret = count ? mem_calloc(count, sizeof(**ret)) : NULL;
    for (size_t i = 0; i < count && !r->failed; i++) {
        const char *text = json_string_value(json_array_get(array, i));
        struct error why = ERROR_INIT;
        if (!text || platform_parse(&(*ret)[i], text, &why))
            json_read_fail(r, key, "entry %zu: %s", i, text ? why.detail : "must be a text as in \"linux/amd64\"");
        error_clear(&why);
        for (size_t k = 0; k < i && !r->failed; k++)
            if (platform_matches(&(*ret)[k], &(*ret)[i]) && platform_matches(&(*ret)[i], &(*ret)[k]))
                json_read_fail(r, key, "entry %zu: %s is named twice", i, text);
        *ret_count = i + 1;
    }
}

void spec_platforms_free(struct platform *platforms, size_t count)
{
    for (size_t i = 0; i < count; i++)
        platform_clear(&platforms[i]);
    free(platforms);
}

void spec_refuse(struct json_reader *r, const char *key, const char *neutral)
{
    const json_t *value = json_read_any(r, key);
    if (!value || json_is_null(value))
        return;
    AUTO_FREE char *text = json_text(value);
    if (!str_equal(text, neutral))
        json_read_fail(r, key, "is not supported by this version of drayd");
}
