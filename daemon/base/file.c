// SPDX-License-Identifier: Apache-2.0
//
// Files of our own. Publishing is temp ▸ write ▸ fsync ▸ rename ▸ fsync of the directory; an fsync that
// failed is final for that file (the kernel may have dropped the pages), so nothing is ever synced twice.
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

enum { REMOVE_DEPTH_MAX = 256 };

// As error_set_errno with "what: name"; a name may come from a request.
static int fail_named(struct error *err, int errnum, const char *what, const char *name)
{
    AUTO_FREE char *quoted = str_quote(name, 512);
    return error_set_errno(err, errnum, "%s %s", what, quoted);
}

static int make_one(const char *path, mode_t mode, struct error *err)
{
    struct stat st;
    if (mkdir(path, mode) == 0)
        return 0;
    // EEXIST, but a read-only or automounted parent may say something else of an existing one.
    int errnum = errno;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return 0;
    return fail_named(err, errnum, "cannot make the directory", path);
}

int file_make_directory(const char *path, mode_t mode, struct error *err)
{
    AUTO_FREE char *copy = mem_strdup(path);
    size_t len = strlen(copy);
    while (len > 1 && copy[len - 1] == '/')
        copy[--len] = '\0';
    for (size_t i = 1; i < len; i++) {
        if (copy[i] != '/')
            continue;
        copy[i] = '\0';
        if (make_one(copy, 0755, err))
            return -1;
        copy[i] = '/';
    }
    return make_one(copy, mode, err);
}

static void fail_too_large(struct error *err, const char *name, size_t max)
{
    AUTO_FREE char *quoted = str_quote(name, 512);
    error_set(err, ERR_TOO_LARGE, "%s has more than %zu bytes", quoted, max);
}

static int check_file(int fd, const char *name, size_t max, size_t *ret_size, struct error *err)
{
    struct stat st;
    if (fstat(fd, &st))
        return fail_named(err, errno, "cannot look at", name);
    if (!S_ISREG(st.st_mode)) {
        AUTO_FREE char *quoted = str_quote(name, 512);
        return error_set(err, ERR_UNSUPPORTED_FILE, "%s is not a regular file", quoted);
    }
    if ((uint64_t)st.st_size > max) {
        fail_too_large(err, name, max);
        return -1;
    }
    *ret_size = (size_t)st.st_size;
    return 0;
}

static ssize_t read_some(int fd, void *buffer, size_t len)
{
    ssize_t got;
    do
        got = read(fd, buffer, len);
    while (got < 0 && errno == EINTR);
    return got;
}

static char *read_descriptor(int fd, const char *name, size_t max, size_t *ret_len, struct error *err)
{
    size_t size = 0, used = 0;
    if (check_file(fd, name, max, &size, err))
        return NULL;
    size_t capacity = size + 1; // one more, to see the end
    AUTO_FREE char *bytes = mem_alloc(capacity + 1);
    for (ssize_t got; (got = read_some(fd, bytes + used, capacity - used)) != 0; used += (size_t)got) {
        if (got < 0) {
            fail_named(err, errno, "cannot read", name);
            return NULL;
        }
        if (used + (size_t)got > max) {
            fail_too_large(err, name, max);
            return NULL;
        }
        if (used + (size_t)got == capacity) { // grew while it was read, or is of /proc, where sizes are 0
            capacity = capacity < max / 2 ? capacity * 2 + 4096 : max + 1;
            capacity = capacity > max + 1 ? max + 1 : capacity;
            bytes = mem_realloc(bytes, capacity + 1);
        }
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
        fail_named(err, errno, "cannot open", name);
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

static int write_temp(int dirfd, const char *temp, const void *bytes, size_t len, mode_t mode,
                      struct error *err)
{
    AUTO_CLOSE int fd = openat(dirfd, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return error_set_errno(err, errno, "cannot make a temporary file");
    flock(fd, LOCK_EX | LOCK_NB); // in use; without locks on this file system nothing is swept either
    if (fchmod(fd, mode)) // whatever the umask
        return error_set_errno(err, errno, "cannot set the mode of a temporary file");
    if (file_write_all(fd, bytes, len, err))
        return -1;
    if (fsync(fd))
        return error_set_errno(err, errno, "flushing to disk failed");
    return 0;
}

static void sweep_one(int dirfd, const char *temp)
{
    AUTO_CLOSE int fd = openat(dirfd, temp, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        unlinkat(dirfd, temp, 0);
}

void file_sweep_at(int dirfd, const char *prefix)
{
    int copy = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = copy >= 0 ? fdopendir(copy) : NULL;
    if (!directory) {
        if (copy >= 0)
            close(copy);
        return;
    }
    for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory))
        if (str_starts(entry->d_name, prefix))
            sweep_one(dirfd, entry->d_name);
    closedir(directory);
}

int file_publish_at(int dirfd, const char *name, const void *bytes, size_t len, mode_t mode,
                    struct error *err)
{
    static atomic_uint counter;
    AUTO_FREE char *prefix = mem_printf(".%s.tmp-", name);
    AUTO_FREE char *temp = mem_printf("%s%d.%u", prefix, (int)getpid(), atomic_fetch_add(&counter, 1));
    file_sweep_at(dirfd, prefix);
    int result = write_temp(dirfd, temp, bytes, len, mode, err);
    if (!result && renameat(dirfd, temp, dirfd, name))
        result = error_set_errno(err, errno, "cannot move the new file into place");
    if (result) {
        unlinkat(dirfd, temp, 0);
        AUTO_FREE char *quoted = str_quote(name, 512);
        return error_wrap(err, "%s", quoted);
    }
    return file_fsync_directory(dirfd, err);
}

int file_publish(const char *path, const void *bytes, size_t len, mode_t mode, struct error *err)
{
    const char *slash = strrchr(path, '/');
    AUTO_FREE char *directory =
        slash ? mem_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : mem_strdup(".");
    AUTO_CLOSE int dirfd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0)
        return fail_named(err, errno, "cannot open the directory", directory);
    return file_publish_at(dirfd, slash ? slash + 1 : path, bytes, len, mode, err);
}

static int remove_entry(int dirfd, const char *name, int depth, struct error *err);

// Takes fd.
static int empty_directory(int fd, int depth, struct error *err)
{
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return error_set_errno(err, errno, "cannot read a directory");
    }
    int result = 0;
    for (struct dirent *entry; !result && (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            result = remove_entry(fd, entry->d_name, depth + 1, err);
    }
    closedir(dir);
    return result;
}

// One descriptor a level, so the depth is bounded.
static int remove_entry(int dirfd, const char *name, int depth, struct error *err)
{
    if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM) // which of them a directory gives depends on the file system
        return fail_named(err, errno, "cannot remove", name);
    if (depth > REMOVE_DEPTH_MAX)
        return error_set(err, ERR_INTERNAL,
                         "a directory is nested deeper than %d levels: it cannot be removed",
                         REMOVE_DEPTH_MAX);
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return fail_named(err, errno, "cannot remove", name);
    if (empty_directory(fd, depth, err))
        return -1;
    if (unlinkat(dirfd, name, AT_REMOVEDIR) && errno != ENOENT)
        return fail_named(err, errno, "cannot remove", name);
    return 0;
}

int file_remove_tree(int dirfd, const char *name, struct error *err)
{
    return remove_entry(dirfd, name, 0, err);
}
