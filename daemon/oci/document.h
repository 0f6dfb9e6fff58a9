// SPDX-License-Identifier: Apache-2.0
//
// What the readers of untrusted documents (manifest, index, config, descriptor) have in common. `where` names
// the place in the document ("layers[3]") for the error, which always is ERR_REGISTRY_PROTOCOL. Pure; private
// to this room.
#pragma once

#include "base/error.h"
#include "base/json.h"

int document_fail(struct error *err, const char *where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// Parses bytes and translates the limits' errors; the value must be an object. New reference or NULL.
json_t *document_parse(const char *bytes, size_t len, const struct json_limits *limits, const char *where,
                       struct error *err);
// Refuses keys that equal one of `known` (NULL-terminated) in all but case: readers that fold case (Go's
// encoding/json) would take them for the known one, so the same bytes would mean two things.
int document_check_keys(const json_t *object, const char *const *known, const char *where, struct error *err);
// Borrowed; NULL if absent or null, which Go's writers use for "nothing".
json_t *document_member(const json_t *object, const char *key);
// Borrowed text of at most max bytes; "" if absent or null, NULL with err if it is something else.
const char *document_string(const json_t *object, const char *key, size_t max, const char *where,
                            struct error *err);
// The member "annotations": a map of strings, a new reference in *ret, or NULL there if absent.
int document_annotations(json_t **ret, const json_t *object, const char *where, struct error *err);
