// SPDX-License-Identifier: Apache-2.0
//
// Runs a fuzz target over the files of a corpus, and over every beginning of each: what a fuzzer once found
// stays found.
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "fuzz.h"

enum { INPUT_MAX = 1 << 20, PREFIXES_MAX = 512 };

static int replay(const char *directory, const char *name)
{
    struct error err = ERROR_INIT;
    size_t len;
    AUTO_FREE char *path = mem_printf("%s/%s", directory, name);
    AUTO_FREE char *bytes = file_read(path, INPUT_MAX, &len, &err);
    if (!bytes) {
        fprintf(stderr, "%s\n", err.detail);
        error_clear(&err);
        return -1;
    }
    for (size_t part = len > PREFIXES_MAX ? len - PREFIXES_MAX : 0; part <= len; part++) {
        AUTO_FREE char *exact =
            mem_dup(bytes, part ? part : 1); // so that a sanitizer sees reads beyond the end
        LLVMFuzzerTestOneInput((const uint8_t *)exact, part);
    }
    return 0;
}

int main(int argc, char **argv)
{
    DIR *directory = argc == 2 ? opendir(argv[1]) : NULL;
    if (!directory) {
        fprintf(stderr, "usage: replay CORPUS-DIRECTORY\n");
        return 2;
    }
    int inputs = 0, status = 0;
    for (const struct dirent *entry; (entry = readdir(directory));)
        if (entry->d_name[0] != '.') {
            status |= replay(argv[1], entry->d_name);
            inputs++;
        }
    closedir(directory);
    printf("%d inputs\n", inputs);
    return status || inputs == 0;
}
