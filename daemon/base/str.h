// SPDX-License-Identifier: Apache-2.0
//
// Small questions about text, and the quoting of text that came from outside.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool str_starts(const char *text, const char *prefix);
bool str_ends(const char *text, const char *suffix);
bool str_equal(const char *a, const char *b);      // NULL equals NULL only
bool str_equal_case(const char *a, const char *b); // ASCII case folded
bool str_utf8_valid(const char *text, size_t len); // no overlong forms, no surrogates
void str_lower(char *text);                        // ASCII, in place
// Decimal, whole text, in [min, max]; false leaves *ret alone. No sign unless min < 0, no spaces.
bool str_to_int64(const char *text, int64_t min, int64_t max, int64_t *ret);
// A printable copy of text from outside: control characters, ESC, invisible and direction-changing characters
// and invalid UTF-8 become '?'; what is longer than max bytes ends in "…" after at most max of them. Caller
// frees.
char *str_quote(const char *text, size_t max);
// scheme://host/path without userinfo, query and fragment, quoted: the only form in which a URL may be
// logged.
char *str_url_for_log(const char *url);
// Equal or not in time that depends on len only.
bool str_equal_secret(const char *a, const char *b, size_t len);
// `name` matches `pattern` with * (any run) and ? (one UTF-8 character); no other specials.
bool str_glob(const char *pattern, const char *name);
