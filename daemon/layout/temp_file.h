// SPDX-License-Identifier: Apache-2.0
//
// A file that is written under a temporary name and then takes its place: published files are whole or
// absent. A temporary file is locked (flock(2)) by its writer, so what a crash left behind can be told from
// what is being written, and is swept. One worker at a time.
#pragma once

#include <sys/types.h>

#include "base/error.h"

struct temp_file {
    int dirfd; // own copy
    int fd;    // read and write
    char name[48];
};

// Makes ".dray-XXXXXXXX" in the directory. dirfd is duplicated.
int temp_file_open(struct temp_file *ret, int dirfd, mode_t mode, struct error *err);
// fsync, rename over `name`, fsync of the directory. Close still has to follow.
int temp_file_publish(struct temp_file *temp, const char *name, struct error *err);
// Removes the file unless it was published.
void temp_file_close(struct temp_file *temp);
// Removes temporary files whose writers are gone.
void temp_file_sweep(int dirfd);
