// SPDX-License-Identifier: Apache-2.0
//
// The only place of this room that opens files of a source. Called by the walk on a worker, with the rights
// of the caller of the job where the daemon has more.
#include "layers/source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

enum { LIST_BUFFER = 32 << 10, SHOWN_MAX = 1024 };

int source_fail(struct error *err, int errnum, const char *what, const char *shown)
{
    AUTO_FREE char *quoted = str_quote(shown, SHOWN_MAX);
    switch (errnum) {
    case EACCES:
    case EPERM:
        error_set(err, ERR_FORBIDDEN, "%s %s: permission denied", what, quoted);
        error_hint(err, "Give the user of the job (or the daemon) read permission, or exclude the path.");
        return -1;
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case EXDEV:
    case ESTALE:
    case EAGAIN:
        return error_set(err, ERR_SOURCE_CHANGED,
                         "%s %s: it went away or was replaced while the layer was read", what, quoted);
    case ENXIO:
        return error_set(err, ERR_UNSUPPORTED_FILE, "%s %s: a socket or device cannot be put into a layer",
                         what, quoted);
    default:
        return error_set_errno(err, errnum, "%s %s", what, quoted);
    }
}

// EAGAIN: the kernel saw a rename on the way and cannot tell; a few more tries settle it (openat2(2)).
static int open_beneath(int dirfd, const char *path, uint64_t flags)
{
    struct open_how how = {
        .flags = flags | O_CLOEXEC | O_NOFOLLOW,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS,
    };
    for (int tries = 0;; tries++) {
        int fd = (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
        if (fd >= 0 || (errno != EINTR && (errno != EAGAIN || tries >= 64)))
            return fd;
    }
}

static const char *kind_name(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFIFO:
        return "a FIFO";
    case S_IFSOCK:
        return "a socket";
    case S_IFCHR:
        return "a character device";
    case S_IFBLK:
        return "a block device";
    default:
        return "of an unknown kind";
    }
}

int source_check_kind(mode_t mode, const char *shown, struct error *err)
{
    if (S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode))
        return 0;
    AUTO_FREE char *quoted = str_quote(shown, SHOWN_MAX);
    error_set(err, ERR_UNSUPPORTED_FILE, "%s is %s, which cannot be put into a layer", quoted,
              kind_name(mode));
    error_hint(err, "Remove it or name it in \"exclude\".");
    return -1;
}

static int check_opened(int fd, mode_t type, struct stat *ret, const char *shown, struct error *err)
{
    if (fstat(fd, ret) < 0)
        return source_fail(err, errno, "reading", shown);
    if (source_check_kind(ret->st_mode, shown, err) < 0)
        return -1;
    if ((ret->st_mode & S_IFMT) != type)
        return source_fail(err, ESTALE, "reading", shown);
    return 0;
}

static int open_kind(int dirfd, const char *path, uint64_t flags, mode_t type, struct stat *ret,
                     const char *shown, struct error *err)
{
    int fd = open_beneath(dirfd, path, flags);
    if (fd < 0)
        return source_fail(err, errno, "opening", shown);
    if (check_opened(fd, type, ret, shown, err) == 0)
        return fd;
    close(fd);
    return -1;
}

int source_open_directory(int dirfd, const char *path, struct stat *ret, const char *shown, struct error *err)
{
    return open_kind(dirfd, path, O_RDONLY | O_DIRECTORY | O_NONBLOCK, S_IFDIR, ret, shown, err);
}

int source_open_file(int dirfd, const char *path, struct stat *ret, const char *shown, struct error *err)
{
    return open_kind(dirfd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, S_IFREG, ret, shown, err);
}

char *source_read_link(int dirfd, const char *path, struct stat *ret, const char *shown, struct error *err)
{
    AUTO_CLOSE int fd = open_kind(dirfd, path, O_PATH, S_IFLNK, ret, shown, err);
    if (fd < 0)
        return NULL;
    char text[SOURCE_TARGET_MAX + 1];
    ssize_t len = readlinkat(fd, "", text, sizeof(text));
    if (len < 0) {
        source_fail(err, errno, "reading the link", shown);
        return NULL;
    }
    if ((size_t)len == sizeof(text) || len == 0 || !str_utf8_valid(text, (size_t)len)) {
        AUTO_FREE char *quoted = str_quote(shown, SHOWN_MAX);
        error_set(err, ERR_UNSUPPORTED_FILE, "the link %s has a text that is empty, too long or not UTF-8",
                  quoted);
        return NULL;
    }
    return mem_strndup(text, (size_t)len);
}

// One name beneath an open directory needs no descriptor of its own: there is no path in it that a link could
// bend.
int source_stat(int dirfd, const char *path, struct stat *ret, const char *shown, struct error *err)
{
    if (!strchr(path, '/'))
        return fstatat(dirfd, path, ret, AT_SYMLINK_NOFOLLOW) < 0 ? source_fail(err, errno, "reading", shown)
                                                                  : 0;
    AUTO_CLOSE int fd = open_beneath(dirfd, path, O_PATH);
    if (fd < 0 || fstat(fd, ret) < 0)
        return source_fail(err, errno, "reading", shown);
    return 0;
}

char *source_read_small(int fd, const struct stat *st, size_t max, size_t *ret_len, const char *shown,
                        struct error *err)
{
    AUTO_FREE char *quoted = str_quote(shown, SHOWN_MAX);
    if (st->st_size > (off_t)max) {
        error_set(err, ERR_TOO_LARGE, "%s is larger than %zu bytes", quoted, max);
        return NULL;
    }
    AUTO_FREE char *text = mem_alloc((size_t)st->st_size + 1);
    ssize_t got = pread(fd, text, (size_t)st->st_size, 0);
    struct stat now;
    if (got < 0 || fstat(fd, &now) < 0) {
        source_fail(err, errno, "reading", shown);
        return NULL;
    }
    if (got != st->st_size)
        now.st_size = got;
    if (source_check_same(st, &now, shown, err) < 0)
        return NULL;
    *ret_len = (size_t)got;
    return mem_take(text);
}

static bool is_one_of(long type, const long *types, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (types[i] == type)
            return true;
    return false;
}

int source_check_filesystem(int fd, bool *ret_remote, const char *shown, struct error *err)
{
    static const long refused[] = {PROC_SUPER_MAGIC, SYSFS_MAGIC,    CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC,
                                   DEBUGFS_MAGIC,    TRACEFS_MAGIC,  SECURITYFS_MAGIC,   DEVPTS_SUPER_MAGIC,
                                   BPF_FS_MAGIC,     PSTOREFS_MAGIC, SELINUX_MAGIC,      EFIVARFS_MAGIC,
                                   BINFMTFS_MAGIC,   NSFS_MAGIC};
    static const long remote[] = {NFS_SUPER_MAGIC,  SMB_SUPER_MAGIC, CIFS_SUPER_MAGIC, SMB2_SUPER_MAGIC,
                                  FUSE_SUPER_MAGIC, V9FS_MAGIC,      CEPH_SUPER_MAGIC, AFS_SUPER_MAGIC};
    struct statfs fs;
    if (fstatfs(fd, &fs) < 0)
        return source_fail(err, errno, "reading", shown);
    *ret_remote = is_one_of((long)fs.f_type, remote, sizeof(remote) / sizeof(remote[0]));
    if (!is_one_of((long)fs.f_type, refused, sizeof(refused) / sizeof(refused[0])))
        return 0;
    AUTO_FREE char *quoted = str_quote(shown, SHOWN_MAX);
    return error_set(
        err, ERR_UNSUPPORTED_FILE,
        "%s is a file system of the kernel (proc, sysfs or the like), which cannot be put into a layer",
        quoted);
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

int source_check_same(const struct stat *before, const struct stat *now, const char *shown, struct error *err)
{
    if (before->st_dev == now->st_dev && before->st_ino == now->st_ino && before->st_size == now->st_size &&
        before->st_mode == now->st_mode && same_time(&before->st_mtim, &now->st_mtim) &&
        same_time(&before->st_ctim, &now->st_ctim))
        return 0;
    AUTO_FREE char *quoted = str_quote(shown, SHOWN_MAX);
    error_set(err, ERR_SOURCE_CHANGED, "%s changed while it was read", quoted);
    error_hint(err, "Post the job again when nothing writes to the tree any more.");
    return -1;
}

int source_names_add(struct source_names *names, const char *name, uint32_t origin, uint8_t type)
{
    size_t len = strlen(name) + 1;
    if (names->n_items >= SOURCE_NAMES_MAX || names->text_len + len > UINT32_MAX)
        return -1;
    if (names->n_items == names->capacity) {
        names->capacity = names->capacity ? names->capacity * 2 : 32;
        names->items = mem_realloc(names->items, names->capacity * sizeof(*names->items));
    }
    if (names->text_len + len > names->text_capacity) {
        names->text_capacity = (names->text_len + len) * 2;
        names->text = mem_realloc(names->text, names->text_capacity);
    }
    memcpy(names->text + names->text_len, name, len);
    names->items[names->n_items++] = (struct source_name){(uint32_t)names->text_len, origin, type};
    names->text_len += len;
    return 0;
}

void source_names_clear(struct source_names *names)
{
    free(names->text);
    free(names->items);
    *names = (struct source_names){0};
}

// getdents64(2) itself: one large buffer, no DIR per directory.
int source_list(int fd, uint32_t origin, struct source_names *names, const char *shown, struct error *err)
{
    _Alignas(struct dirent64) char buffer[LIST_BUFFER];
    for (;;) {
        long len = syscall(SYS_getdents64, fd, buffer, sizeof(buffer));
        if (len < 0)
            return source_fail(err, errno, "listing", shown);
        if (len == 0)
            return 0;
        for (long at = 0; at < len;) {
            const struct dirent64 *entry = (const struct dirent64 *)(buffer + at);
            at += entry->d_reclen;
            if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                continue;
            if (source_names_add(names, entry->d_name, origin, entry->d_type) == 0)
                continue;
            AUTO_FREE char *quoted = str_quote(shown, SHOWN_MAX);
            return error_set(err, ERR_TOO_LARGE, "%s has more than %d names", quoted, SOURCE_NAMES_MAX);
        }
    }
}
