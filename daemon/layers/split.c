// SPDX-License-Identifier: Apache-2.0
//
// Called by the walk for each directory and file. A change of these rules changes layers: raise LAYER_FORMAT
// with it.
#include "layers/split.h"

#include <stddef.h>
#include <string.h>

#include "base/str.h"

static bool is_one_of(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

bool split_takes_directory(const char *name)
{
    static const char *const names[] = {
        "node_modules",  "bower_components", // npm, yarn, pnpm; bower
        "vendor",                            // Go modules, Composer, Bundler
        "site-packages", "dist-packages",    // pip, Debian's Python
        ".m2",           ".bundle",          // Maven, Bundler
    };
    return is_one_of(name, names, sizeof(names) / sizeof(names[0]));
}

// Jars in a directory of libraries; the application's own lies elsewhere.
bool split_takes_file(const char *directory, const char *name)
{
    static const char *const names[] = {"lib", "libs", "jars", "dependency", "dependencies"};
    return str_ends(name, ".jar") && is_one_of(directory, names, sizeof(names) / sizeof(names[0]));
}
