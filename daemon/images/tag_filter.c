// SPDX-License-Identifier: Apache-2.0
//
// A registry tells no dates of tags, so "newest" is the highest version.
#include "images/tag_filter.h"

#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

void pattern_list_read(struct pattern_list *ret, struct json_reader *r, const char *key)
{
    const json_t *array = json_read_array(r, key, false);
    size_t count = json_array_size(array);
    if (count > PATTERNS_MAX) {
        json_read_fail(r, key, "at most %d patterns", PATTERNS_MAX);
        return;
    }
    ret->items = count ? mem_calloc(count, sizeof(*ret->items)) : NULL;
    for (size_t i = 0; i < count && !r->failed; i++) {
        CLEANUP(error_clear) struct error why = ERROR_INIT;
        const char *text = json_string_value(json_array_get(array, i));
        if (!text || pattern_parse(&ret->items[i], text, &why))
            json_read_fail(r, key, "entry %zu: %s", i, text ? why.detail : "is not a text");
        ret->count = i + 1;
    }
}

bool pattern_list_matches(const struct pattern_list *list, const char *text)
{
    for (size_t i = 0; i < list->count; i++)
        if (pattern_matches(&list->items[i], text))
            return true;
    return false;
}

void pattern_list_clear(struct pattern_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        pattern_clear(&list->items[i]);
    free(list->items);
    *list = (struct pattern_list){0};
}

void tag_filter_read(struct tag_filter *ret, struct json_reader *r)
{
    pattern_list_read(&ret->include, r, "include");
    pattern_list_read(&ret->exclude, r, "exclude");
    ret->newest = json_read_int(r, "newest", 1, 100000, 0);
}

void tag_filter_clear(struct tag_filter *filter)
{
    pattern_list_clear(&filter->include);
    pattern_list_clear(&filter->exclude);
}

bool tag_is_referrer(const char *tag)
{
    if (!str_starts(tag, "sha256-"))
        return false;
    size_t hex = strspn(tag + 7, "0123456789abcdef");
    return hex == 64 && (tag[71] == '\0' || tag[71] == '.');
}

static int compare_numbers(const char **a, const char **b)
{
    *a += strspn(*a, "0");
    *b += strspn(*b, "0");
    size_t la = strspn(*a, "0123456789"), lb = strspn(*b, "0123456789");
    int order = la != lb ? (la < lb ? -1 : 1) : strncmp(*a, *b, la);
    *a += la;
    *b += lb;
    return order;
}

// Where one version has ended, a suffix such as -rc1 makes the other one older, any other text newer.
static int compare_ends(const char *a, const char *b)
{
    if (!*a && !*b)
        return 0;
    const char *longer = *a ? a : b;
    int order = *longer == '-' ? -1 : 1;
    return *a ? order : -order;
}

int tag_compare_version(const char *a, const char *b)
{
    while (*a && *b) {
        if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
            int order = compare_numbers(&a, &b);
            if (order)
                return order;
        } else if (*a != *b) {
            if (*a == '-' || *b == '-') // 1.2-rc1 and 1.2.1
                return *a == '-' ? -1 : 1;
            return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
        } else {
            a++;
            b++;
        }
    }
    return compare_ends(a, b);
}

static int compare(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    int order = tag_compare_version(x, y);
    return order ? order : strcmp(x, y);
}

json_t *tag_filter_apply(const struct tag_filter *filter, const json_t *tags)
{
    size_t count = 0, all = json_array_size(tags);
    AUTO_FREE const char **taken = mem_calloc(all + 1, sizeof(*taken));
    for (size_t i = 0; i < all; i++) {
        const char *tag = json_string_value(json_array_get(tags, i));
        if (!tag || tag_is_referrer(tag) || pattern_list_matches(&filter->exclude, tag) ||
            (filter->include.count && !pattern_list_matches(&filter->include, tag)))
            continue;
        taken[count++] = tag;
    }
    qsort(taken, count, sizeof(*taken), compare);
    size_t first = filter->newest && (size_t)filter->newest < count ? count - (size_t)filter->newest : 0;
    json_t *result = json_array();
    for (size_t i = first; i < count; i++)
        json_array_append_new(result, json_string(taken[i]));
    return result;
}
