// SPDX-License-Identifier: Apache-2.0
//
// What of a source is left out: .dockerignore semantics. Patterns count in order and the last that matches a
// path, or a directory above it, decides; "!" takes back in. Patterns of an ignore file count from the
// directory in which it lies, deeper files count after those above, the job's own patterns (`exclude`) last.
// An ignore file itself is left out unless a pattern takes it back in. Lines that begin with # and empty
// lines say nothing; a byte order mark is skipped.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "layers/layer.h"

enum {
    IGNORE_FILE_MAX = 1 << 20,   // bytes of an ignore file
    IGNORE_PATTERNS_MAX = 10000, // in one file or job
};

// The rules that hold for the names of one directory.
struct ignore;

// Of the top directory of a source; *ret is NULL where the entry has no rules. ERR_INVALID_REQUEST names the
// pattern.
int ignore_new(struct ignore **ret, const struct layer_entry *entry, struct error *err);
// Of a directory below; `path` is its own, relative to the source.
struct ignore *ignore_enter(const struct ignore *parent, const char *path);
void ignore_free(struct ignore *ignore); // NULL is fine
// Adds an ignore file that lies in this directory, whose path is `path` ("" for the top). shown: the file,
// for problems.
int ignore_add_file(struct ignore *ignore, const char *path, const char *text, size_t len, const char *shown,
                    struct error *err);
// Is `path`, a name in this directory, left out? (NULL rules: never.)
bool ignore_excludes(const struct ignore *ignore, const char *path, bool directory);
// Could something below this excluded directory be taken back in?
bool ignore_reaches_below(const struct ignore *ignore, const char *path);
