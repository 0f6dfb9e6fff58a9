// SPDX-License-Identifier: Apache-2.0
//
// The door of jansson: values are jansson's json_t, everything that comes from outside is read by json_parse
// with its limits (bytes, depth, number of values; duplicate keys and trailing bytes are refused), and
// request bodies are decoded through a strict reader that knows the JSON pointer of each member.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

struct json_limits {
    size_t bytes;
    size_t depth;
    size_t values; // an array of empty arrays costs ~48 bytes of memory for 3 of text, so count them
};

extern const struct json_limits json_limits_request;  // 1 MiB, 64, 100,000
extern const struct json_limits json_limits_manifest; // 4 MiB, 64, 100,000
extern const struct json_limits json_limits_config;   // 8 MiB, 64, 100,000
extern const struct json_limits json_limits_small;    // 1 MiB, 32, 10,000: token answers, helper output

// Returns a new reference or NULL (ERR_TOO_LARGE, ERR_INVALID_REQUEST with line and column). The caller
// translates the code when the text came from a registry.
json_t *json_parse(const char *bytes, size_t len, const struct json_limits *limits, struct error *err);
// Compact, keys in insertion order; caller frees. Never fails on values made by json_parse or json_pack.
char *json_text(const json_t *value);
// Sorted keys, compact: equal values give equal bytes.
char *json_text_canonical(const json_t *value);
void json_free_ptr(json_t **value); // for CLEANUP
#define AUTO_JSON CLEANUP(json_free_ptr)

// Borrowed accessors that never fail: NULL / fallback if absent or of another type.
const char *json_get_string(const json_t *object, const char *key);
int64_t json_get_int(const json_t *object, const char *key, int64_t fallback);
bool json_get_bool(const json_t *object, const char *key, bool fallback);

// A strict reader over one object of a request. Members that were asked for are ticked off; json_reader_end
// refuses what is left over ("unknown field"). Errors are sticky: after the first, every call returns its
// fallback, and json_reader_end returns -1. Use one after the other; it borrows the object, the keys and err
// until then.
struct json_reader {
    const json_t *object;
    char *pointer; // RFC 6901, of this object
    struct error *err;
    bool failed;
    const char **seen; // keys asked for
    size_t n_seen;
};

void json_reader_init(struct json_reader *r, const json_t *value, const char *pointer, struct error *err);
bool json_read_has(struct json_reader *r, const char *key);  // present, even if null; does not tick off
bool json_read_null(struct json_reader *r, const char *key); // present and null; ticks off if so
// Borrowed; NULL if absent.
const char *json_read_string(struct json_reader *r, const char *key, bool required);
int64_t json_read_int(struct json_reader *r, const char *key, int64_t min, int64_t max, int64_t fallback);
bool json_read_bool(struct json_reader *r, const char *key, bool fallback);
const json_t *json_read_object(struct json_reader *r, const char *key, bool required); // borrowed
const json_t *json_read_array(struct json_reader *r, const char *key, bool required);  // borrowed
const json_t *json_read_any(struct json_reader *r, const char *key); // any type, ticked off; NULL if absent
// Fails the reader at member `key` (or at the object itself if key is NULL).
void json_read_fail(struct json_reader *r, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// "pointer/key" with RFC 6901 escapes; caller frees.
char *json_pointer_join(const char *pointer, const char *key);
char *json_pointer_index(const char *pointer, size_t index);
int json_reader_end(struct json_reader *r); // frees; -1 if anything failed or unknown members are left
