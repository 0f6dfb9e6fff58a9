// SPDX-License-Identifier: Apache-2.0
//
// Patterns of a request: a glob (* and ?) or, between slashes, a POSIX extended regular expression. What makes matching
// expensive – back-references, repetition counts – is refused, so a pattern costs no more than its text is long. Pure.
#pragma once

#include <regex.h>
#include <stdbool.h>

#include "base/error.h"

struct pattern {
    char *glob;       // or
    regex_t *regex;
};

enum { PATTERN_BYTES_MAX = 1024 };

// "v1.*" or "/^v1\.[0-9]+$/". ERR_INVALID_REQUEST says what is wrong with it.
int pattern_parse(struct pattern *ret, const char *text, struct error *err);
// The text is the expression itself, without slashes; it may match anywhere.
int pattern_parse_regex(struct pattern *ret, const char *text, struct error *err);
bool pattern_matches(const struct pattern *pattern, const char *text);
void pattern_clear(struct pattern *pattern);
