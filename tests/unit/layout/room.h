// SPDX-License-Identifier: Apache-2.0
//
// A temporary directory with one root in it, for tests of local formats. Include after cmocka.h.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

struct room {
    char directory[64];
    struct roots *roots;
};

static inline char *path_in(const struct room *room, const char *name)
{
    return mem_printf("%s/%s", room->directory, name);
}

static inline int room_setup(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct room *room = mem_new(struct room);
    snprintf(room->directory, sizeof room->directory, "/tmp/dray-layout-XXXXXX");
    assert_non_null(mkdtemp(room->directory));
    AUTO_FREE char *root = path_in(room, "root");
    assert_int_equal(mkdir(root, 0755), 0);
    room->roots = roots_new("output root", "--output-root");
    assert_int_equal(roots_add(room->roots, root, &err), 0);
    *state = room;
    return 0;
}

static inline int room_teardown(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct room *room = *state;
    roots_free(room->roots);
    assert_int_equal(file_remove_tree(AT_FDCWD, room->directory, &err), 0);
    free(room);
    return 0;
}

static inline void put_file(const struct room *room, const char *name, const char *text)
{
    AUTO_FREE char *path = path_in(room, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static inline void make_directory(const struct room *room, const char *name)
{
    AUTO_FREE char *path = path_in(room, name);
    assert_int_equal(mkdir(path, 0755), 0);
}

static inline char *get_file(const struct room *room, const char *name)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    AUTO_FREE char *path = path_in(room, name);
    size_t len;
    char *text = file_read(path, 1 << 20, &len, &err);
    if (!text)
        fail_msg("%s", err.detail);
    return text;
}

static inline size_t count_entries(const struct room *room, const char *name)
{
    AUTO_FREE char *path = path_in(room, name);
    DIR *directory = opendir(path);
    size_t n = 0;
    assert_non_null(directory);
    for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory))
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(directory);
    return n;
}

#define WITH_ROOM(test) cmocka_unit_test_setup_teardown(test, room_setup, room_teardown)
