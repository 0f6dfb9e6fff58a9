// SPDX-License-Identifier: Apache-2.0
//
// A disk that is really full: a small tmpfs in a mount namespace of this process alone.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static inline void small_disk_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t written = write(fd, text, strlen(text));
    (void)written;
    close(fd);
}

// Root's own namespace, or that of a user who becomes root inside it. Before any thread is started.
static inline bool small_disk_enter(void)
{
    char map[64];
    uid_t uid = getuid();
    if (unshare(CLONE_NEWNS) == 0)
        return true;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return false;
    small_disk_write("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "0 %u 1", (unsigned)uid);
    small_disk_write("/proc/self/uid_map", map);
    return true;
}

static inline bool small_disk_mount(const char *directory, int mebibytes)
{
    char options[32];
    snprintf(options, sizeof options, "size=%dm,mode=0700", mebibytes);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return false;
    return mount("tmpfs", directory, "tmpfs", 0, options) == 0;
}

// Takes all the space that is left but `spare` bytes.
static inline void small_disk_fill(const char *directory, long spare)
{
    char path[256], *block = calloc(1, 4096);
    snprintf(path, sizeof path, "%s/filler", directory);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    while (block && write(fd, block, 4096) == 4096)
        ;
    struct stat status;
    if (fstat(fd, &status) == 0 && status.st_size > spare && spare > 0)
        if (ftruncate(fd, status.st_size - spare) != 0)
            perror("ftruncate");
    close(fd);
    free(block);
}

static inline void small_disk_empty(const char *directory)
{
    char path[256];
    snprintf(path, sizeof path, "%s/filler", directory);
    unlink(path);
}
