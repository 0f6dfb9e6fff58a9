// SPDX-License-Identifier: Apache-2.0
//
// Files of our own: publish (temp in the same directory, write, fsync, rename, fsync of the directory), read
// with a maximum, make directories. And paths that a request names: roots held as directory descriptors,
// opened beneath with openat2(2) so that no link or ".." can lead out.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

// Makes the directory and its parents (those 0755). An existing directory is used as it is.
int file_make_directory(const char *path, mode_t mode, struct error *err);
// Whole file of at most max bytes, NUL-terminated; caller frees. ERR_TOO_LARGE, ERR_PATH_NOT_FOUND …
char *file_read(const char *path, size_t max, size_t *ret_len, struct error *err);
char *file_read_at(int dirfd, const char *name, size_t max, size_t *ret_len, struct error *err);
// Durable: after 0 the name has the new content even after a power cut; after -1 the old content stands (or,
// when it was the flush of the directory that failed, either of them). name is one component. What a killed
// process left of the same name is swept; two processes that publish one name at once need a lock of their own.
int file_publish(const char *path, const void *bytes, size_t len, mode_t mode, struct error *err);
int file_publish_at(int dirfd, const char *name, const void *bytes, size_t len, mode_t mode,
                    struct error *err);
// Removes the files of the directory whose names begin so and which no live writer has locked (flock(2)): what
// killed processes left. Whatever cannot be read or removed is left alone.
void file_sweep_at(int dirfd, const char *prefix);
int file_write_all(int fd, const void *bytes, size_t len, struct error *err);
int file_fsync_directory(int dirfd, struct error *err);
// Removes a tree beneath dirfd without following links. Fine if there is none.
int file_remove_tree(int dirfd, const char *name, struct error *err);

// A set of directories under which requests may name paths. Immutable after roots_add; any thread.
struct roots;
struct roots *roots_new(const char *kind, const char *setting); // for texts: "build root", "--build-root"
void roots_free(struct roots *roots);
// Opens the directory now (its own path may contain links) and keeps the descriptor.
int roots_add(struct roots *roots, const char *path, struct error *err);
size_t roots_count(const struct roots *roots);
const char *roots_path(const struct roots *roots, size_t index);
// Lexical judgement for a request: absolute, no "..", no NUL, under a root as given or as resolved.
// ERR_PATH_NOT_ALLOWED names the roots, or says which setting to use when there is none.
int roots_check(const struct roots *roots, const char *path, struct error *err);
// Opens `path` beneath its root: RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS, so the path may contain links,
// relative or absolute, that stay inside the root. flags as for openat(2); O_CLOEXEC, O_NONBLOCK and O_NOCTTY
// are added. Returns the descriptor or -1 (ERR_PATH_NOT_ALLOWED, ERR_PATH_NOT_FOUND, ERR_FORBIDDEN …).
int roots_open(const struct roots *roots, const char *path, int flags, mode_t mode, struct error *err);
// Opens the parent directory of `path` beneath its root and gives the last component (borrowed from path).
int roots_open_parent(const struct roots *roots, const char *path, const char **ret_name, struct error *err);
