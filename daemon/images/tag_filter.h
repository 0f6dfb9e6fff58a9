// SPDX-License-Identifier: Apache-2.0
//
// Which tags of a repository a batch takes: patterns to include and exclude, and the newest n by version order. Pure.
#pragma once

#include "base/json.h"
#include "images/pattern.h"

struct pattern_list {
    struct pattern *items;
    size_t count;
};

enum { PATTERNS_MAX = 100 };

// Member `key` of the reader: an array of patterns; absent is empty.
void pattern_list_read(struct pattern_list *ret, struct json_reader *r, const char *key);
bool pattern_list_matches(const struct pattern_list *list, const char *text);
void pattern_list_clear(struct pattern_list *list);

struct tag_filter {
    struct pattern_list include; // empty: all
    struct pattern_list exclude;
    int64_t newest;              // 0: all
};

void tag_filter_read(struct tag_filter *ret, struct json_reader *r);
void tag_filter_clear(struct tag_filter *filter);
// tags: array of texts. New array of those that are taken, oldest version first. Tags that only carry what refers to an image
// (sha256-<hex>…) are never taken: they go along with it.
json_t *tag_filter_apply(const struct tag_filter *filter, const json_t *tags);
// Does the tag only carry what refers to an image?
bool tag_is_referrer(const char *tag);
// As strcmp, but runs of digits count as numbers, and "1.2-rc1" comes before "1.2" (semver.org, section 11).
int tag_compare_version(const char *a, const char *b);
