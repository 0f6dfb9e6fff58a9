// SPDX-License-Identifier: Apache-2.0
//
// `split: "auto"`: which paths are dependencies, brought by a package manager and seldom changed, and which
// are the application. By names alone, so that the same tree always parts the same way; where a name
// misleads, a file is in the other layer of the same image, nothing worse.
#pragma once

#include <stdbool.h>

// A directory of this name, with all below it.
bool split_takes_directory(const char *name);
// A file of this name in a directory of that name.
bool split_takes_file(const char *directory, const char *name);
