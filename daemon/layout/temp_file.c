// SPDX-License-Identifier: Apache-2.0
//
// Used for blobs of a layout and for whole archives, both too large for file_publish. What must hold: a name
// other than .dray-* appears only with content that was fsynced, and never changes in place.
#include "layout/temp_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

#define TEMP_PREFIX ".dray-"

enum { TEMP_TRIES = 16 };

static void make_name(char *name, size_t size)
{
    unsigned long long number = 0;
    // Only has to differ from names in use: a number that was not fully random is tried like any other.
    if (getrandom(&number, sizeof number, 0) < 0)
        number = (unsigned long long)getpid();
    snprintf(name, size, TEMP_PREFIX "%016llx", number);
}

// Published files have the same mode whatever the umask of the service. False if a sweep took the file
// between open and lock. A file system without locks is not swept either.
static bool prepare(int fd, mode_t mode)
{
    struct stat st;
    bool taken = flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    return !taken && fchmod(fd, mode) == 0 && fstat(fd, &st) == 0 && st.st_nlink == 1;
}

int temp_file_open(struct temp_file *ret, int dirfd, mode_t mode, struct error *err)
{
    *ret = (struct temp_file){.dirfd = -1, .fd = -1};
    int failure = EEXIST;
    for (int i = 0; i < TEMP_TRIES; i++) {
        make_name(ret->name, sizeof ret->name);
        AUTO_CLOSE int fd =
            openat(dirfd, ret->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
        failure = fd < 0 ? errno : EEXIST;
        if (fd < 0 && failure != EEXIST)
            break;
        if (fd < 0 || !prepare(fd, mode))
            continue;
        ret->dirfd = fcntl(dirfd, F_DUPFD_CLOEXEC, 3);
        ret->fd = fd;
        fd = -1;
        if (ret->dirfd >= 0)
            return 0;
        failure = errno;
        unlinkat(dirfd, ret->name, 0);
        close(ret->fd);
        break;
    }
    ret->fd = -1;
    ret->name[0] = '\0';
    return error_set_errno(err, failure, "cannot make a temporary file");
}

int temp_file_publish(struct temp_file *temp, const char *name, struct error *err)
{
    if (fsync(temp->fd) < 0)
        return error_set_errno(err, errno, "cannot write to disk");
    if (renameat(temp->dirfd, temp->name, temp->dirfd, name) < 0)
        return error_set_errno(err, errno, "cannot put the file in place");
    temp->name[0] = '\0';
    return file_fsync_directory(temp->dirfd, err);
}

void temp_file_close(struct temp_file *temp)
{
    if (temp->name[0])
        unlinkat(temp->dirfd, temp->name, 0);
    if (temp->fd >= 0)
        close(temp->fd);
    if (temp->dirfd >= 0)
        close(temp->dirfd);
    *temp = (struct temp_file){.dirfd = -1, .fd = -1};
}

void temp_file_sweep(int dirfd)
{
    file_sweep_at(dirfd, TEMP_PREFIX);
}
