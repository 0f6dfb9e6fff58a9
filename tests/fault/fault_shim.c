// SPDX-License-Identifier: Apache-2.0
//
// Preloaded into drayd by tests: counts its changes to files below given directories and lets one of them go wrong.
//
//   FAULT_DIRS     directories, separated by colons; what happens elsewhere is left alone
//   FAULT_COUNTER  a file of 8 bytes, mapped; holds the number of points passed, for the test to read
//   FAULT_AT       the number of the point (from 1) at which something happens; 0 or none: only count
//   FAULT_TIMES    at so many points from there on (default 1; 0: all)
//   FAULT_ACTION   kill (SIGKILL before the call; a write has written half), eio, enospc, short (half is written), emfile
//
// With emfile the points are the calls that make a descriptor – files below the directories, and sockets –, else those that
// change files. Only symbols of the C library are taken over, so calls of SQLite and libarchive count like our own.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum action { COUNT, KILL, FAIL, SHORT };
enum { DIRS_MAX = 8 };

static const char *dirs[DIRS_MAX];
static _Atomic uint64_t *counter;
static uint64_t at, times = 1;
static enum action action;
static int failure;
static bool of_descriptors;
static pid_t owner; // helpers that drayd starts are not meant

static void *find(_Atomic(void *) *slot, const char *name)
{
    void *found = atomic_load_explicit(slot, memory_order_relaxed);
    if (!found) {
        found = dlsym(RTLD_NEXT, name);
        atomic_store_explicit(slot, found, memory_order_relaxed);
    }
    return found;
}

#define REAL(name)                                                                                                     \
    ({                                                                                                                 \
        static _Atomic(void *) slot;                                                                                   \
        (__typeof__(&name))find(&slot, #name);                                                                         \
    })

static void choose_action(const char *text)
{
    static const struct {
        const char *name;
        enum action action;
        int failure;
    } all[] = {{"kill", KILL, 0}, {"eio", FAIL, EIO}, {"enospc", FAIL, ENOSPC}, {"short", SHORT, 0}, {"emfile", FAIL, EMFILE}};
    for (size_t i = 0; text && i < sizeof(all) / sizeof(*all); i++)
        if (strcmp(text, all[i].name) == 0) {
            action = all[i].action;
            failure = all[i].failure;
        }
    of_descriptors = failure == EMFILE;
}

__attribute__((constructor)) static void begin(void)
{
    const char *list = getenv("FAULT_DIRS"), *file = getenv("FAULT_COUNTER"), *number = getenv("FAULT_AT");
    if (!list || !file)
        return;
    char *copy = strdup(list), *rest = copy;
    for (size_t i = 0; i < DIRS_MAX && rest; i++)
        dirs[i] = strsep(&rest, ":");
    int fd = (int)REAL(openat)(AT_FDCWD, file, O_RDWR | O_CLOEXEC);
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*counter), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        abort();
    close(fd);
    at = number ? strtoull(number, NULL, 10) : 0;
    number = getenv("FAULT_TIMES");
    times = number ? strtoull(number, NULL, 10) : 1;
    choose_action(getenv("FAULT_ACTION"));
    owner = getpid();
    counter = map;
}

static bool is_below(const char *path)
{
    for (size_t i = 0; i < DIRS_MAX && dirs[i]; i++) {
        size_t len = strlen(dirs[i]);
        if (strncmp(path, dirs[i], len) == 0 && (path[len] == '/' || path[len] == '\0'))
            return true;
    }
    return false;
}

static bool is_watched_fd(int fd)
{
    char link[32], path[PATH_MAX];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof(path) - 1);
    if (len <= 0)
        return false;
    path[len] = '\0';
    return is_below(path);
}

static bool is_watched_name(int dirfd, const char *name)
{
    if (name[0] == '/')
        return is_below(name);
    return dirfd != AT_FDCWD && is_watched_fd(dirfd);
}

// Passes a point. KILL and SHORT are for the caller to carry out where half a write comes before; COUNT: go on.
static enum action pass(void)
{
    uint64_t number = atomic_fetch_add(counter, 1) + 1;
    if (at == 0 || number < at || (times && number >= at + times))
        return COUNT;
    return action;
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

// For calls that happen as a whole or not at all. True: errno is set, the call fails.
static bool fails(bool watched, bool descriptor)
{
    int saved = errno;
    if (!counter || descriptor != of_descriptors || getpid() != owner || !watched)
        return errno = saved, false;
    enum action what = pass();
    if (what == KILL)
        die();
    errno = what == FAIL ? failure : saved;
    return what == FAIL;
}

static bool fails_fd(int fd)
{
    int saved = errno;
    bool watched = counter && is_watched_fd(fd);
    errno = saved;
    return fails(watched, false);
}

static bool fails_name(int dirfd, const char *name)
{
    int saved = errno;
    bool watched = counter && is_watched_name(dirfd, name);
    errno = saved;
    return fails(watched, false);
}

// For writes: how many of the bytes go through, or -1 with errno. *ret_kill: and that was the end.
static ssize_t allowed(int fd, size_t len, bool *ret_kill)
{
    int saved = errno;
    bool counted = counter && !of_descriptors && getpid() == owner && is_watched_fd(fd);
    enum action what = counted ? pass() : COUNT;
    errno = what == FAIL ? failure : saved;
    *ret_kill = what == KILL;
    if (what == FAIL)
        return -1;
    return (ssize_t)(what == COUNT || (what == SHORT && len < 2) ? len : len / 2);
}

#define WRITE_CALL(call)                                                                                               \
    bool killed;                                                                                                       \
    ssize_t may = allowed(fd, len, &killed), done;                                                                     \
    if (may < 0)                                                                                                       \
        return -1;                                                                                                     \
    done = (call);                                                                                                     \
    if (killed)                                                                                                        \
        die();                                                                                                         \
    return done

ssize_t write(int fd, const void *bytes, size_t len)
{
    WRITE_CALL(REAL(write)(fd, bytes, (size_t)may));
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    WRITE_CALL(REAL(pwrite)(fd, bytes, (size_t)may, offset));
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t offset)
{
    WRITE_CALL(REAL(pwrite64)(fd, bytes, (size_t)may, offset));
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return fails_fd(fd) ? -1 : REAL(writev)(fd, parts, count);
}

int fsync(int fd)
{
    return fails_fd(fd) ? -1 : REAL(fsync)(fd);
}

int fdatasync(int fd)
{
    return fails_fd(fd) ? -1 : REAL(fdatasync)(fd);
}

int ftruncate(int fd, off_t size)
{
    return fails_fd(fd) ? -1 : REAL(ftruncate)(fd, size);
}

int ftruncate64(int fd, off64_t size)
{
    return fails_fd(fd) ? -1 : REAL(ftruncate64)(fd, size);
}

int posix_fallocate(int fd, off_t offset, off_t len)
{
    return fails_fd(fd) ? failure : REAL(posix_fallocate)(fd, offset, len);
}

int posix_fallocate64(int fd, off64_t offset, off64_t len)
{
    return fails_fd(fd) ? failure : REAL(posix_fallocate64)(fd, offset, len);
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
    return fails_fd(fd) ? -1 : REAL(fallocate)(fd, mode, offset, len);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t len)
{
    return fails_fd(fd) ? -1 : REAL(fallocate64)(fd, mode, offset, len);
}

int rename(const char *from, const char *to)
{
    return fails_name(AT_FDCWD, to) ? -1 : REAL(rename)(from, to);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    return fails_name(to_fd, to) ? -1 : REAL(renameat)(from_fd, from, to_fd, to);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    return fails_name(to_fd, to) ? -1 : REAL(renameat2)(from_fd, from, to_fd, to, flags);
}

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    return fails_name(to_fd, to) ? -1 : REAL(linkat)(from_fd, from, to_fd, to, flags);
}

// Removing never fails here: no file system lacks the space for it, and what could not be removed stays, rightly.
static void pass_removal(int dirfd, const char *name)
{
    if (action == KILL || action == COUNT)
        fails_name(dirfd, name);
}

int unlink(const char *path)
{
    pass_removal(AT_FDCWD, path);
    return REAL(unlink)(path);
}

int unlinkat(int dirfd, const char *name, int flags)
{
    pass_removal(dirfd, name);
    return REAL(unlinkat)(dirfd, name, flags);
}

// --- descriptors

static bool lacks_descriptor(int dirfd, const char *name)
{
    int saved = errno;
    bool watched = counter && (!name || is_watched_name(dirfd, name));
    errno = saved;
    return fails(watched, true);
}

static mode_t mode_of(int flags, va_list *args)
{
    return flags & (O_CREAT | __O_TMPFILE) ? va_arg(*args, mode_t) : 0;
}

#define OPEN_CALL(dirfd, call)                                                                                         \
    va_list args;                                                                                                      \
    va_start(args, flags);                                                                                             \
    mode_t mode = mode_of(flags, &args);                                                                               \
    va_end(args);                                                                                                      \
    return lacks_descriptor(dirfd, path) ? -1 : (call)

int open(const char *path, int flags, ...)
{
    OPEN_CALL(AT_FDCWD, REAL(open)(path, flags, mode));
}

int open64(const char *path, int flags, ...)
{
    OPEN_CALL(AT_FDCWD, REAL(open64)(path, flags, mode));
}

int openat(int dirfd, const char *path, int flags, ...)
{
    OPEN_CALL(dirfd, REAL(openat)(dirfd, path, flags, mode));
}

int openat64(int dirfd, const char *path, int flags, ...)
{
    OPEN_CALL(dirfd, REAL(openat64)(dirfd, path, flags, mode));
}

int socket(int domain, int type, int protocol)
{
    return lacks_descriptor(AT_FDCWD, NULL) ? -1 : REAL(socket)(domain, type, protocol);
}

int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    return lacks_descriptor(AT_FDCWD, NULL) ? -1 : REAL(accept4)(fd, address, len, flags);
}
