// SPDX-License-Identifier: Apache-2.0
//
// The kernel resolves the link beneath the root (openat2(2)). It takes an absolute link for one that leaves
// the root, so the text of such a link is judged as a path of its own. What is found is looked at through
// O_PATH before it is opened in earnest, so that no device or FIFO ever is.
#include "layers/follow.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "layers/source.h"

int follow_fail(const char *path, const char *what, struct error *err)
{
    AUTO_FREE char *quoted = str_quote(path, 1024);
    error_set(err, ERR_UNSUPPORTED_FILE, "the link %s %s", quoted, what);
    error_hint(err, "Keep links with \"symlinks\": \"keep\", or name it in \"exclude\".");
    return -1;
}

// The absolute text of the link itself, or NULL. The last component is not followed, those above it may be.
static char *absolute_text(const struct roots *roots, const char *path)
{
    struct error ignored = ERROR_INIT;
    char text[SOURCE_TARGET_MAX + 1];
    AUTO_CLOSE int fd = roots_open(roots, path, O_PATH | O_NOFOLLOW, 0, &ignored);
    error_clear(&ignored);
    ssize_t len = fd < 0 ? -1 : readlinkat(fd, "", text, sizeof(text));
    return len > 0 && (size_t)len < sizeof(text) && *text == '/' ? mem_strndup(text, (size_t)len) : NULL;
}

static int open_target(const struct roots *roots, const char *path, int flags, struct error *err)
{
    int fd = roots_open(roots, path, flags, 0, err);
    if (fd >= 0 || err->code != ERR_PATH_NOT_ALLOWED)
        return fd;
    AUTO_FREE char *target = absolute_text(roots, path);
    if (!target)
        return -1;
    error_clear(err);
    return roots_open(roots, target, flags, 0, err);
}

int follow_open(const struct roots *roots, const char *path, bool read, struct stat *ret, struct error *err)
{
    AUTO_FREE char *link = mem_strdup(path);
    AUTO_FREE char *quoted = str_quote(path, 1024);
    AUTO_CLOSE int fd = open_target(roots, link, O_PATH, err);
    if (fd < 0)
        return error_wrap(err, "the link %s cannot be followed", quoted);
    if (fstat(fd, ret) < 0)
        return source_fail(err, errno, "reading", link);
    if (source_check_kind(ret->st_mode, link, err) < 0)
        return -1;
    bool directory = S_ISDIR(ret->st_mode);
    if (!read && !directory) {
        int kept = fd;
        fd = -1;
        return kept;
    }
    int opened = open_target(roots, link, directory ? O_RDONLY | O_DIRECTORY : O_RDONLY, err);
    if (opened < 0)
        return error_wrap(err, "the link %s cannot be followed", quoted);
    struct stat now;
    if (fstat(opened, &now) == 0 && now.st_dev == ret->st_dev && now.st_ino == ret->st_ino)
        return opened;
    close(opened);
    return source_fail(err, ESTALE, "reading", link);
}
