// SPDX-License-Identifier: Apache-2.0
//
// One pattern of an ignore file, as Docker reads them ("Dockerfile reference", .dockerignore): `?` and `*`
// within a name,
// `**` over any number of directories, `[a-z]` and `[^a-z]`, `\` before a literal character. Matches whole
// paths without leading slash. Time is bounded by length of the pattern × length of the path.
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { GLOB_MAX = 4096 }; // bytes of a pattern

struct glob;

// The pattern must be clean (no "./", no "//", no trailing slash). NULL if its syntax is at fault.
struct glob *glob_new(const char *pattern);
void glob_free(struct glob *glob); // NULL is fine
bool glob_match(const struct glob *glob, const char *path);
// Could the pattern match something below this directory? Never a false no.
bool glob_reaches_below(const struct glob *glob, const char *directory);
