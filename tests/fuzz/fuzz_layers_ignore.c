// SPDX-License-Identifier: Apache-2.0
//
// The ignore matcher. Input: an ignore file, a NUL, a path. Neither may crash or hang it, and a path that is
// taken in must never lie where ignore_reaches_below said that nothing could come back.
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fuzz.h"
#include "layers/ignore.h"

static void match(struct ignore *top, char *path)
{
    struct ignore *level = ignore_enter(top, "a");
    bool closed = false;
    for (char *slash = strchr(path, '/');; slash = strchr(slash + 1, '/')) {
        if (slash)
            *slash = '\0';
        struct ignore *next = ignore_enter(level, path);
        bool excluded = ignore_excludes(level, path, slash != NULL);
        if (closed && !excluded)
            abort();
        closed = closed || (excluded && !ignore_reaches_below(level, path));
        ignore_free(level);
        level = next;
        if (!slash)
            break;
        *slash = '/';
    }
    ignore_free(level);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = memchr(data, 0, size);
    size_t len = end ? (size_t)(end - data) : size;
    if (len > 4096 || size - len > 1024)
        return 0;
    struct error err = ERROR_INIT;
    char *names[] = {(char *)".dockerignore"};
    struct layer_entry entry = {.ignore_files = names, .n_ignore_files = 1};
    struct ignore *ignore;
    if (ignore_new(&ignore, &entry, &err) == 0) {
        AUTO_FREE char *path = end ? mem_strndup((const char *)end + 1, size - len - 1) : mem_strdup("a/b/c");
        if (ignore_add_file(ignore, "", (const char *)data, len, "input", &err) == 0 && *path)
            match(ignore, path);
        ignore_free(ignore);
    }
    error_clear(&err);
    return 0;
}
