// SPDX-License-Identifier: Apache-2.0
//
// Called by blob_store, blob_writer and blob_reader. Names are made of digests, which are hex by
// construction, and of numbers; links are never followed.
#include "blobs/blob_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

enum { FLOOR_BYTES = 64 << 20, FLOOR_SHARE = 20, QUARANTINE_MAX = 8 };

static const char *const algorithm_names[] = {[DIGEST_SHA256] = "sha256", [DIGEST_SHA512] = "sha512"};

static void temp_name(uint64_t number, char ret[BLOB_NAME_MAX])
{
    snprintf(ret, BLOB_NAME_MAX, "tmp/%" PRIu64, number);
}

static int open_directory(const char *parent, const char *name, struct error *err)
{
    AUTO_FREE char *path = mem_printf("%s/%s", parent, name);
    if (file_make_directory(path, 0700, err) < 0)
        return -1;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        error_set_errno(err, errno, "cannot open %s", path);
    return fd;
}

static int lock_directory(struct blob_files *files, struct error *err)
{
    files->lock = openat(files->root, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (files->lock < 0)
        return error_set_errno(err, errno, "cannot open %s/lock", files->directory);
    if (flock(files->lock, LOCK_EX | LOCK_NB) == 0)
        return 0;
    error_set(err, ERR_CONFLICT, "the cache directory %s is in use by another drayd", files->directory);
    error_hint(err, "Stop the other one, or choose another directory with --cache-dir.");
    return -1;
}

static int empty_temp(struct blob_files *files, struct error *err)
{
    if (file_remove_tree(files->root, "tmp", err) < 0 && err->code != ERR_PATH_NOT_FOUND)
        return -1;
    error_clear(err);
    AUTO_CLOSE int tmp = open_directory(files->directory, "tmp", err);
    return tmp < 0 ? -1 : 0;
}

static int open_all(struct blob_files *files, struct error *err)
{
    files->root = open_directory(files->directory, ".", err);
    if (files->root < 0 || lock_directory(files, err) < 0 || empty_temp(files, err) < 0)
        return -1;
    files->blobs[DIGEST_SHA256] = open_directory(files->directory, "blobs/sha256", err);
    if (files->blobs[DIGEST_SHA256] < 0)
        return -1;
    files->blobs[DIGEST_SHA512] = open_directory(files->directory, "blobs/sha512", err);
    if (files->blobs[DIGEST_SHA512] < 0)
        return -1;
    AUTO_CLOSE int quarantine = open_directory(files->directory, "quarantine", err);
    return quarantine < 0 ? -1 : 0;
}

int blob_files_open(struct blob_files *files, const char *directory, struct error *err)
{
    *files = (struct blob_files){
        .directory = mem_strdup(directory), .root = -1, .blobs = {-1, -1, -1}, .lock = -1};
    if (open_all(files, err) == 0)
        return 0;
    blob_files_close(files);
    return -1;
}

void blob_files_close(struct blob_files *files)
{
    for (int i = 0; i < 3; i++)
        mem_close_fd(&files->blobs[i]);
    mem_close_fd(&files->root);
    mem_close_fd(&files->lock);
    mem_free_ptr(&files->directory);
}

static int64_t time_ms(const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000 + time->tv_nsec / 1000000;
}

// A name that is no digest is not ours to judge; it stays and is not used.
static void scan_one(int directory, const char *algorithm, const char *name, blob_files_fn each, void *arg)
{
    AUTO_FREE char *text = mem_printf("%s:%s", algorithm, name);
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    struct digest digest;
    struct stat status;
    if (digest_parse(&digest, text, &ignored) < 0)
        return;
    if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(status.st_mode))
        return;
    each(arg, &digest, status.st_size, time_ms(&status.st_atim));
}

static int scan_algorithm(struct blob_files *files, int algorithm, blob_files_fn each, void *arg,
                          struct error *err)
{
    int fd = openat(files->blobs[algorithm], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (!directory) {
        error_set_errno(err, errno, "cannot list %s/blobs/%s", files->directory, algorithm_names[algorithm]);
        mem_close_fd(&fd);
        return -1;
    }
    for (const struct dirent *item; (item = readdir(directory)) != NULL;)
        if (item->d_name[0] != '.')
            scan_one(files->blobs[algorithm], algorithm_names[algorithm], item->d_name, each, arg);
    closedir(directory);
    return 0;
}

int blob_files_scan(struct blob_files *files, blob_files_fn each, void *arg, struct error *err)
{
    if (scan_algorithm(files, DIGEST_SHA256, each, arg, err) < 0)
        return -1;
    return scan_algorithm(files, DIGEST_SHA512, each, arg, err);
}

int blob_files_temp(struct blob_files *files, uint64_t number, struct error *err)
{
    char name[BLOB_NAME_MAX];
    temp_name(number, name);
    int fd = openat(files->root, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        error_set_errno(err, errno, "cannot make a file in %s/tmp", files->directory);
    return fd;
}

void blob_files_temp_remove(struct blob_files *files, uint64_t number)
{
    char name[BLOB_NAME_MAX];
    temp_name(number, name);
    if (unlinkat(files->root, name, 0) < 0 && errno != ENOENT)
        log_warning("blobs: cannot remove %s/%s: %m", files->directory, name);
}

int blob_files_publish(struct blob_files *files, uint64_t number, const struct digest *digest,
                       struct error *err)
{
    char name[BLOB_NAME_MAX];
    temp_name(number, name);
    if (renameat(files->root, name, files->blobs[digest->algorithm], digest_hex(digest)) < 0)
        return error_set_errno(err, errno, "cannot publish %s in %s/blobs", digest->text, files->directory);
    return 0;
}

int blob_files_sync(struct blob_files *files, const struct digest *digest, struct error *err)
{
    if (file_fsync_directory(files->blobs[digest->algorithm], err) < 0)
        return error_wrap(err, "publishing %s in %s/blobs", digest->text, files->directory);
    return 0;
}

void blob_files_retire(struct blob_files *files, const struct digest *digest, uint64_t number)
{
    char name[BLOB_NAME_MAX];
    temp_name(number, name);
    int blobs = files->blobs[digest->algorithm];
    if (renameat(blobs, digest_hex(digest), files->root, name) == 0 || errno == ENOENT)
        return;
    if (unlinkat(blobs, digest_hex(digest), 0) < 0) // a rename may want space for the other directory
        log_warning("blobs: cannot remove %s from %s: %m", digest->text, files->directory);
}

int blob_files_read(struct blob_files *files, const struct digest *digest, int64_t *ret_size,
                    struct error *err)
{
    int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    AUTO_CLOSE int fd = openat(files->blobs[digest->algorithm], digest_hex(digest), flags);
    if (fd < 0)
        return error_set_errno(err, errno, "cannot open %s in %s", digest->text, files->directory);
    struct stat status;
    if (fstat(fd, &status) < 0)
        return error_set_errno(err, errno, "cannot examine %s in %s", digest->text, files->directory);
    if (!S_ISREG(status.st_mode))
        return error_set(err, ERR_INTERNAL, "%s in %s is no regular file", digest->text, files->directory);
    *ret_size = status.st_size;
    int taken = fd;
    fd = -1;
    return taken;
}

void blob_files_touch(struct blob_files *files, const struct digest *digest, int64_t used_ms)
{
    struct timespec times[2] = {
        {.tv_sec = used_ms / 1000, .tv_nsec = used_ms % 1000 * 1000000},
        {.tv_nsec = UTIME_OMIT},
    };
    // Fails if the file has just gone, which costs nothing.
    utimensat(files->blobs[digest->algorithm], digest_hex(digest), times, AT_SYMLINK_NOFOLLOW);
}

// Names are "HEX.NUMBER": the oldest is the one that was changed first.
static char *oldest_quarantined(DIR *directory, size_t *ret_count)
{
    char *oldest = NULL;
    struct timespec oldest_time = {0};
    *ret_count = 0;
    for (const struct dirent *item; (item = readdir(directory)) != NULL;) {
        struct stat status;
        if (item->d_name[0] == '.' ||
            fstatat(dirfd(directory), item->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        ++*ret_count;
        if (oldest && time_ms(&status.st_ctim) >= time_ms(&oldest_time))
            continue;
        free(oldest);
        oldest = mem_strdup(item->d_name);
        oldest_time = status.st_ctim;
    }
    return oldest;
}

static void trim_quarantine(struct blob_files *files, size_t keep)
{
    int fd = openat(files->root, "quarantine", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (!directory) {
        mem_close_fd(&fd);
        return;
    }
    for (bool more = true; more;) {
        size_t count;
        rewinddir(directory);
        AUTO_FREE char *oldest = oldest_quarantined(directory, &count);
        more = oldest && count > keep && unlinkat(fd, oldest, 0) == 0;
    }
    closedir(directory);
}

void blob_files_quarantine(struct blob_files *files, const struct digest *digest, uint64_t number)
{
    char name[BLOB_NAME_MAX];
    snprintf(name, sizeof name, "quarantine/%s.%" PRIu64, digest_hex(digest), number);
    if (renameat(files->blobs[digest->algorithm], digest_hex(digest), files->root, name) == 0)
        trim_quarantine(files, QUARANTINE_MAX);
    else
        unlinkat(files->blobs[digest->algorithm], digest_hex(digest), 0);
}

void blob_files_quarantine_clear(struct blob_files *files)
{
    trim_quarantine(files, 0);
}

int64_t blob_files_room(struct blob_files *files)
{
    struct statvfs status;
    if (fstatvfs(files->root, &status) < 0 || status.f_blocks == 0)
        return INT64_MAX;
    int64_t block = (int64_t)status.f_frsize;
    int64_t floor = (int64_t)status.f_blocks / FLOOR_SHARE * block;
    if (floor > FLOOR_BYTES)
        floor = FLOOR_BYTES;
    return (int64_t)status.f_bavail * block - floor;
}
