// SPDX-License-Identifier: Apache-2.0
//
// Reading and writing JSON. The text is scanned once for depth and number of values before jansson sees it,
// because its memory grows with values, not with bytes.
#include "base/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"

const struct json_limits json_limits_request = {1 << 20, 64, 100000};
const struct json_limits json_limits_manifest = {4 << 20, 64, 100000};
const struct json_limits json_limits_config = {8 << 20, 64, 100000};
const struct json_limits json_limits_small = {1 << 20, 32, 10000};

// Counts values and depth outside of strings. A value is the outermost one, the first of an array or object,
// or stands behind a comma: so 1 + brackets + commas is an upper bound, too high by one for each empty array
// or object only.
static int scan(const char *bytes, size_t len, const struct json_limits *limits, struct error *err)
{
    size_t depth = 0, values = 1;
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        char c = bytes[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
            continue;
        }
        if (c == '"')
            in_string = true;
        else if (c == '[' || c == '{')
            depth++, values++;
        else if (c == ']' || c == '}')
            depth -= depth > 0;
        else if (c == ',')
            values++;
        if (depth > limits->depth)
            return error_set(err, ERR_TOO_LARGE, "the JSON text is nested deeper than %zu levels",
                             limits->depth);
        if (values > limits->values)
            return error_set(err, ERR_TOO_LARGE, "the JSON text holds more than %zu values", limits->values);
    }
    return 0;
}

json_t *json_parse(const char *bytes, size_t len, const struct json_limits *limits, struct error *err)
{
    if (len > limits->bytes) {
        error_set(err, ERR_TOO_LARGE, "the JSON text has more than %zu bytes", limits->bytes);
        return NULL;
    }
    if (scan(bytes, len, limits, err))
        return NULL;
    json_error_t why;
    json_t *value = json_loadb(bytes, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (!value) {
        // jansson adds "near '<the text read last>'", and that may be a password.
        char *near = strstr(why.text, " near '");
        if (near)
            *near = '\0';
        char *flag =
            strstr(why.text, " without JSON_"); // "\\u0000 is not allowed", in terms of its own interface
        if (flag)
            *flag = '\0';
        AUTO_FREE char *text = str_quote(why.text, 160);
        error_set(err, ERR_INVALID_REQUEST, "not valid JSON: %s (line %d, column %d)", text, why.line,
                  why.column);
    }
    return value;
}

static char *dump(const json_t *value, size_t flags)
{
    char *text = json_dumps(value, flags | JSON_COMPACT | JSON_ENCODE_ANY);
    return text ? text : mem_strdup("null");
}

char *json_text(const json_t *value)
{
    return dump(value, 0);
}

char *json_text_canonical(const json_t *value)
{
    return dump(value, JSON_SORT_KEYS);
}

void json_free_ptr(json_t **value)
{
    json_decref(*value);
}

const char *json_get_string(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

int64_t json_get_int(const json_t *object, const char *key, int64_t fallback)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) ? (int64_t)json_integer_value(value) : fallback;
}

bool json_get_bool(const json_t *object, const char *key, bool fallback)
{
    const json_t *value = json_object_get(object, key);
    return json_is_boolean(value) ? json_is_true(value) : fallback;
}

char *json_pointer_join(const char *pointer, const char *key)
{
    struct strbuf text = STRBUF_INIT(1 << 20);
    strbuf_printf(&text, "%s/", pointer);
    for (; *key; key++)
        if (*key == '~')
            strbuf_puts(&text, "~0");
        else if (*key == '/')
            strbuf_puts(&text, "~1");
        else
            strbuf_putc(&text, *key);
    return strbuf_take(&text);
}

char *json_pointer_index(const char *pointer, size_t index)
{
    return mem_printf("%s/%zu", pointer, index);
}

void json_reader_init(struct json_reader *r, const json_t *value, const char *pointer, struct error *err)
{
    *r = (struct json_reader){.object = value, .pointer = mem_strdup(pointer), .err = err};
    if (!json_is_object(value))
        json_read_fail(r, NULL, "must be an object");
}

static void tick_off(struct json_reader *r, const char *key)
{
    r->seen = mem_realloc(r->seen, (r->n_seen + 1) * sizeof(*r->seen));
    r->seen[r->n_seen++] = key;
}

bool json_read_has(struct json_reader *r, const char *key)
{
    return !r->failed && json_object_get(r->object, key) != NULL;
}

const json_t *json_read_any(struct json_reader *r, const char *key)
{
    tick_off(r, key);
    return r->failed ? NULL : json_object_get(r->object, key);
}

bool json_read_null(struct json_reader *r, const char *key)
{
    if (r->failed || !json_is_null(json_object_get(r->object, key)))
        return false;
    tick_off(r, key);
    return true;
}

void json_read_fail(struct json_reader *r, const char *key, const char *format, ...)
{
    if (r->failed)
        return;
    r->failed = true;
    char *text = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    AUTO_FREE char *owned = text;
    AUTO_FREE char *at = key ? json_pointer_join(r->pointer, key) : mem_strdup(r->pointer);
    AUTO_FREE char *shown = str_quote(*at ? at : "the body", 256);
    error_set_pointer(r->err, ERR_INVALID_REQUEST, at, "%s: %s", shown, owned ? owned : format);
}

// The member, or NULL if absent or null; fails if it is required, or not of the type wanted.
static const json_t *read_typed(struct json_reader *r, const char *key, bool required, json_type type,
                                const char *name)
{
    const json_t *value = json_read_any(r, key);
    if (!value || json_is_null(value)) {
        if (required)
            json_read_fail(r, key, value ? "may not be null" : "is required");
        return NULL;
    }
    if (json_typeof(value) != type) {
        json_read_fail(r, key, "must be %s", name);
        return NULL;
    }
    return value;
}

const char *json_read_string(struct json_reader *r, const char *key, bool required)
{
    const json_t *value = read_typed(r, key, required, JSON_STRING, "a text");
    if (value && strlen(json_string_value(value)) != json_string_length(value)) {
        json_read_fail(r, key, "may not hold the character U+0000");
        return NULL;
    }
    return json_string_value(value);
}

int64_t json_read_int(struct json_reader *r, const char *key, int64_t min, int64_t max, int64_t fallback)
{
    const json_t *value = read_typed(r, key, false, JSON_INTEGER, "a whole number");
    if (!value)
        return fallback;
    int64_t number = json_integer_value(value);
    if (number < min || number > max) {
        json_read_fail(r, key, "must lie between %lld and %lld", (long long)min, (long long)max);
        return fallback;
    }
    return number;
}

bool json_read_bool(struct json_reader *r, const char *key, bool fallback)
{
    const json_t *value = json_read_any(r, key);
    if (!value || json_is_null(value))
        return fallback;
    if (json_is_boolean(value))
        return json_is_true(value);
    json_read_fail(r, key, "must be true or false");
    return fallback;
}

const json_t *json_read_object(struct json_reader *r, const char *key, bool required)
{
    return read_typed(r, key, required, JSON_OBJECT, "an object");
}

const json_t *json_read_array(struct json_reader *r, const char *key, bool required)
{
    return read_typed(r, key, required, JSON_ARRAY, "an array");
}

static bool was_seen(const struct json_reader *r, const char *key)
{
    for (size_t i = 0; i < r->n_seen; i++)
        if (strcmp(r->seen[i], key) == 0)
            return true;
    return false;
}

int json_reader_end(struct json_reader *r)
{
    const char *key;
    json_t *value;
    if (!r->failed)
        json_object_foreach((json_t *)r->object, key, value)
            if (!was_seen(r, key)) {
                json_read_fail(r, key, "unknown field");
                break;
            }
    free(r->pointer);
    free(r->seen);
    r->pointer = NULL;
    r->seen = NULL;
    return r->failed ? -1 : 0;
}
