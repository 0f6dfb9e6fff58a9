// SPDX-License-Identifier: Apache-2.0
//
// Shared ground of the document readers: one place that decides what a hostile JSON document may look like.
#include "oci/document.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

int document_fail(struct error *err, const char *where, const char *format, ...)
{
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return error_set(err, ERR_REGISTRY_PROTOCOL, "%s %s", where, text);
}

json_t *document_parse(const char *bytes, size_t len, const struct json_limits *limits, const char *where,
                       struct error *err)
{
    CLEANUP(error_clear) struct error cause = ERROR_INIT;
    json_t *root = json_parse(bytes, len, limits, &cause);
    if (!root) {
        document_fail(err, where, "cannot be read: %s", cause.detail);
        return NULL;
    }
    if (json_is_object(root))
        return root;
    json_decref(root);
    document_fail(err, where, "is not a JSON object");
    return NULL;
}

int document_check_keys(const json_t *object, const char *const *known, const char *where, struct error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value) for (size_t i = 0; known[i]; i++)
    {
        if (!str_equal_case(key, known[i]) || strcmp(key, known[i]) == 0)
            continue;
        AUTO_FREE char *quoted = str_quote(key, 40);
        return document_fail(err, where, "has the member '%s', which some readers take for '%s'", quoted,
                             known[i]);
    }
    return 0;
}

json_t *document_member(const json_t *object, const char *key)
{
    json_t *member = json_object_get(object, key);
    return json_is_null(member) ? NULL : member;
}

const char *document_string(const json_t *object, const char *key, size_t max, const char *where,
                            struct error *err)
{
    const json_t *member = document_member(object, key);
    if (!member)
        return "";
    if (json_is_string(member) && json_string_length(member) <= max)
        return json_string_value(member);
    document_fail(err, where,
                  json_is_string(member) ? "has a %s that is too long" : "has a %s that is not a string",
                  key);
    return NULL;
}

int document_annotations(json_t **ret, const json_t *object, const char *where, struct error *err)
{
    json_t *annotations = document_member(object, "annotations");
    if (!annotations)
        return 0;
    if (!json_is_object(annotations))
        return document_fail(err, where, "has annotations that are not an object");
    const char *key;
    json_t *value;
    json_object_foreach(annotations, key, value) if (!json_is_string(value)) return document_fail(
        err, where, "has an annotation that is not a string");
    *ret = json_incref(annotations);
    return 0;
}
