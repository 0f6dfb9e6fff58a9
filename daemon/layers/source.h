// SPDX-License-Identifier: Apache-2.0
//
// Reading a tree that others may change under our hands. Every name is opened beneath a directory that is
// already open, with openat2(2) RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS, and judged by
// what fstat(2) says of the descriptor – never by its path. Opening cannot hang (O_NONBLOCK) and nothing but
// regular files is ever read.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/error.h"

enum {
    SOURCE_NAMES_MAX = 4 << 20, // names in one directory
    SOURCE_TARGET_MAX = 4096,   // bytes of a link's text
};

// `path` in these calls is relative to dirfd; `shown` is the whole path, for problems only.
// Errors: ERR_SOURCE_CHANGED (gone or replaced since it was listed), ERR_FORBIDDEN, ERR_UNSUPPORTED_FILE.
int source_open_directory(int dirfd, const char *path, struct stat *ret, const char *shown,
                          struct error *err);
int source_open_file(int dirfd, const char *path, struct stat *ret, const char *shown, struct error *err);
// The text of a link, read through a descriptor of the link itself; caller frees.
char *source_read_link(int dirfd, const char *path, struct stat *ret, const char *shown, struct error *err);
int source_stat(int dirfd, const char *path, struct stat *ret, const char *shown, struct error *err);
// The whole of a small open file; caller frees. ERR_TOO_LARGE, ERR_SOURCE_CHANGED.
char *source_read_small(int fd, const struct stat *st, size_t max, size_t *ret_len, const char *shown,
                        struct error *err);
// proc, sysfs and their kind are no source of files. *ret_remote: time stamps come from another machine's
// clock.
int source_check_filesystem(int fd, bool *ret_remote, const char *shown, struct error *err);
// What may not enter a layer, by file type: ERR_UNSUPPORTED_FILE naming the kind, unless regular, directory
// or link.
int source_check_kind(mode_t mode, const char *shown, struct error *err);
// Is this still the same file in the same state as `before`? ERR_SOURCE_CHANGED.
int source_check_same(const struct stat *before, const struct stat *now, const char *shown,
                      struct error *err);
// A failed system call on a source, in words. Returns -1.
int source_fail(struct error *err, int errnum, const char *what, const char *shown);

// The names in a directory, unsorted, without "." and "..". type: DT_* of readdir(3), DT_UNKNOWN possible.
struct source_name {
    uint32_t offset; // in text
    uint32_t origin; // free for the caller
    uint8_t type;
};
struct source_names {
    char *text;
    size_t text_len, text_capacity;
    struct source_name *items;
    size_t n_items, capacity;
};
int source_list(int fd, uint32_t origin, struct source_names *names, const char *shown, struct error *err);
int source_names_add(struct source_names *names, const char *name, uint32_t origin, uint8_t type);
void source_names_clear(struct source_names *names);
