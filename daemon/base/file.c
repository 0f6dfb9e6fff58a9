// SPDX-License-Identifier: Apache-2.0
//
// Files of our own. Publishing is temp ▸ write ▸ fsync ▸ rename ▸ fsync of the directory; an fsync that failed is final for
// that file (the kernel may have dropped the pages), so nothing is ever synced twice.
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

static int make_one(const char *path, mode_t mode, struct error *err)
{
    struct stat st;
    if (mkdir(path, mode) == 0 || (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode)))
        return 0;
    return error_set_errno(err, errno, "cannot make the directory %s", path);
}

int file_make_directory(const char *path, mode_t mode, struct error *err)
{
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return 0;
    AUTO_FREE char *copy = mem_strdup(path);
    for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (make_one(copy, 0755, err))
            return -1;
        *slash = '/';
    }
    return make_one(path, mode, err);
}

static char *read_descriptor(int fd, const char *name, size_t max, size_t *ret_len, struct error *err)
{
    struct stat st;
    if (fstat(fd, &st)) {
        error_set_errno(err, errno, "cannot look at %s", name);
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) {
        error_set(err, ERR_UNSUPPORTED_FILE, "%s is not a regular file", name);
        return NULL;
    }
    size_t capacity = st.st_size > 0 && (uint64_t)st.st_size <= max ? (size_t)st.st_size + 1 : max + 1;
    if (capacity > max + 1)
        capacity = max + 1;
    AUTO_FREE char *bytes = mem_alloc(capacity + 1);
    size_t used = 0;
    while (used < capacity) {
        ssize_t got = read(fd, bytes + used, capacity - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            error_set_errno(err, errno, "cannot read %s", name);
            return NULL;
        }
        if (got == 0)
            break;
        used += (size_t)got;
        if (used == capacity && capacity <= max) { // grew while it was read
            capacity = max + 1;
            bytes = mem_realloc(bytes, capacity + 1);
        }
    }
    if (used > max) {
        error_set(err, ERR_TOO_LARGE, "%s has more than %zu bytes", name, max);
        return NULL;
    }
    bytes[used] = '\0';
    if (ret_len)
        *ret_len = used;
    return mem_take(bytes);
}

char *file_read_at(int dirfd, const char *name, size_t max, size_t *ret_len, struct error *err)
{
    AUTO_CLOSE int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        error_set_errno(err, errno, "cannot open %s", name);
        return NULL;
    }
    return read_descriptor(fd, name, max, ret_len, err);
}

char *file_read(const char *path, size_t max, size_t *ret_len, struct error *err)
{
    return file_read_at(AT_FDCWD, path, max, ret_len, err);
}

int file_write_all(int fd, const void *bytes, size_t len, struct error *err)
{
    const char *from = bytes;
    while (len) {
        ssize_t put = write(fd, from, len);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return error_set_errno(err, errno, "writing failed");
        from += put;
        len -= (size_t)put;
    }
    return 0;
}

int file_fsync_directory(int dirfd, struct error *err)
{
    if (fsync(dirfd))
        return error_set_errno(err, errno, "flushing a directory to disk failed");
    return 0;
}

static int write_temp(int dirfd, const char *temp, const void *bytes, size_t len, mode_t mode, struct error *err)
{
    AUTO_CLOSE int fd = openat(dirfd, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return error_set_errno(err, errno, "cannot make a temporary file");
    if (fchmod(fd, mode)) // whatever the umask
        return error_set_errno(err, errno, "cannot set the mode of a temporary file");
    if (file_write_all(fd, bytes, len, err))
        return -1;
    if (fsync(fd))
        return error_set_errno(err, errno, "flushing to disk failed");
    return 0;
}

int file_publish_at(int dirfd, const char *name, const void *bytes, size_t len, mode_t mode, struct error *err)
{
    static atomic_uint counter;
    AUTO_FREE char *temp = mem_printf(".%s.%d.%u", name, (int)getpid(), atomic_fetch_add(&counter, 1));
    unlinkat(dirfd, temp, 0); // of a former process with our pid
    int result = write_temp(dirfd, temp, bytes, len, mode, err);
    if (!result && renameat(dirfd, temp, dirfd, name))
        result = error_set_errno(err, errno, "cannot move the new file into place");
    if (result) {
        unlinkat(dirfd, temp, 0);
        return error_wrap(err, "%s", name);
    }
    return file_fsync_directory(dirfd, err);
}

int file_publish(const char *path, const void *bytes, size_t len, mode_t mode, struct error *err)
{
    const char *slash = strrchr(path, '/');
    AUTO_FREE char *directory = slash ? mem_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : mem_strdup(".");
    AUTO_CLOSE int dirfd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0)
        return error_set_errno(err, errno, "cannot open the directory %s", directory);
    return file_publish_at(dirfd, slash ? slash + 1 : path, bytes, len, mode, err);
}

// One level of a removal: empties the directory `fd`, descending by one descriptor a level.
static int empty_directory(int fd, int depth, struct error *err)
{
    if (depth > 256)
        return error_set(err, ERR_INTERNAL, "a directory is nested too deep to remove");
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return error_set_errno(err, errno, "cannot read a directory");
    }
    int result = 0;
    for (struct dirent *entry; !result && (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (unlinkat(fd, entry->d_name, 0) == 0 || errno == ENOENT)
            continue;
        int child = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (child < 0)
            result = error_set_errno(err, errno, "cannot remove %s", entry->d_name);
        else if (!(result = empty_directory(child, depth + 1, err)) && unlinkat(fd, entry->d_name, AT_REMOVEDIR))
            result = error_set_errno(err, errno, "cannot remove %s", entry->d_name);
    }
    closedir(dir);
    return result;
}

int file_remove_tree(int dirfd, const char *name, struct error *err)
{
    if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
        return 0;
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, errno, "cannot remove %s", name);
    if (empty_directory(fd, 0, err))
        return -1;
    if (unlinkat(dirfd, name, AT_REMOVEDIR))
        return error_set_errno(err, errno, "cannot remove %s", name);
    return 0;
}
