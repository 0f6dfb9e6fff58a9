// SPDX-License-Identifier: Apache-2.0
//
// Links that an entry asks to follow: to a file or a directory inside the build root, never out of it.
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"

// Opens what the link at the absolute path leads to; read: for reading, else O_PATH. ERR_PATH_NOT_ALLOWED if
// it leads out of the root, ERR_PATH_NOT_FOUND if nowhere, ERR_UNSUPPORTED_FILE if to something else.
int follow_open(const struct roots *roots, const char *path, bool read, struct stat *ret, struct error *err);
int follow_fail(const char *path, const char *what, struct error *err); // ERR_UNSUPPORTED_FILE; returns −1
