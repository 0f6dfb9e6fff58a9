// SPDX-License-Identifier: Apache-2.0
//
// Roots: the only way by which a path of a request becomes a descriptor. A root is opened once, at start; everything
// later is opened beneath that descriptor, so what the name of the root points to meanwhile does not matter.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"

struct root {
    char *given;    // as configured, without trailing slash
    char *resolved; // without links
    int fd;
};

struct roots {
    const char *kind;
    const char *setting;
    struct root *items;
    size_t count;
};

struct roots *roots_new(const char *kind, const char *setting)
{
    struct roots *roots = mem_new(struct roots);
    roots->kind = kind;
    roots->setting = setting;
    return roots;
}

void roots_free(struct roots *roots)
{
    if (!roots)
        return;
    for (size_t i = 0; i < roots->count; i++) {
        close(roots->items[i].fd);
        free(roots->items[i].given);
        free(roots->items[i].resolved);
    }
    free(roots->items);
    free(roots);
}

static char *without_trailing_slash(const char *path)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    return mem_strndup(path, len);
}

int roots_add(struct roots *roots, const char *path, struct error *err)
{
    if (path[0] != '/')
        return error_set(err, ERR_INVALID_REQUEST, "the %s %s must be an absolute path", roots->kind, path);
    AUTO_CLOSE int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, errno, "the %s %s cannot be opened", roots->kind, path);
    char *resolved = realpath(path, NULL);
    if (!resolved)
        return error_set_errno(err, errno, "the %s %s cannot be resolved", roots->kind, path);
    roots->items = mem_realloc(roots->items, (roots->count + 1) * sizeof(*roots->items));
    roots->items[roots->count++] =
        (struct root){.given = without_trailing_slash(path), .resolved = resolved, .fd = fd};
    fd = -1;
    return 0;
}

size_t roots_count(const struct roots *roots)
{
    return roots->count;
}

const char *roots_path(const struct roots *roots, size_t index)
{
    return roots->items[index].given;
}

// The part of path below root ("" for the root itself), or NULL.
static const char *below(const char *root, const char *path)
{
    if (strcmp(root, "/") == 0)
        return path + 1;
    size_t len = strlen(root);
    if (strncmp(path, root, len) != 0 || (path[len] != '/' && path[len] != '\0'))
        return NULL;
    return path + len + strspn(path + len, "/");
}

static const struct root *find_root(const struct roots *roots, const char *path, const char **ret_rest)
{
    for (size_t i = 0; i < roots->count; i++) {
        const struct root *root = &roots->items[i];
        *ret_rest = below(root->given, path);
        if (!*ret_rest)
            *ret_rest = below(root->resolved, path);
        if (*ret_rest)
            return root;
    }
    return NULL;
}

static bool has_dot_dot(const char *path)
{
    while (*path) {
        path += strspn(path, "/");
        size_t len = strcspn(path, "/");
        if (len == 2 && path[0] == '.' && path[1] == '.')
            return true;
        path += len;
    }
    return false;
}

static int refuse(const struct roots *roots, const char *path, struct error *err)
{
    AUTO_FREE char *quoted = str_quote(path, 512);
    if (!roots->count) {
        error_set(err, ERR_PATH_NOT_ALLOWED, "%s cannot be used: no %s is configured", quoted, roots->kind);
        error_hint(err, "Start drayd with %s DIR to allow paths below DIR.", roots->setting);
        return -1;
    }
    CLEANUP(strbuf_free) struct strbuf list = STRBUF_INIT(4096);
    for (size_t i = 0; i < roots->count && i < 8; i++)
        strbuf_printf(&list, "%s%s", i ? ", " : "", roots->items[i].given);
    error_set(err, ERR_PATH_NOT_ALLOWED, "%s lies outside every %s (%s)", quoted, roots->kind, strbuf_text(&list));
    error_hint(err, "Use a path below one of them, or start drayd with another %s.", roots->setting);
    return -1;
}

int roots_check(const struct roots *roots, const char *path, struct error *err)
{
    const char *rest;
    if (path[0] != '/' || strlen(path) >= PATH_MAX || has_dot_dot(path)) {
        AUTO_FREE char *quoted = str_quote(path, 512);
        return error_set(err, ERR_PATH_NOT_ALLOWED, "\"%s\" must be an absolute path without \"..\"", quoted);
    }
    return find_root(roots, path, &rest) ? 0 : refuse(roots, path, err);
}

static int open_beneath(const struct root *root, const char *rest, int flags, mode_t mode)
{
    struct open_how how = {
        .flags = (uint64_t)(flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY),
        .mode = flags & (O_CREAT | __O_TMPFILE) ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    int fd;
    do
        fd = (int)syscall(SYS_openat2, root->fd, *rest ? rest : ".", &how, sizeof(how));
    while (fd < 0 && errno == EAGAIN); // a rename raced with the walk
    return fd;
}

static int explain(const char *path, int errnum, struct error *err)
{
    AUTO_FREE char *quoted = str_quote(path, 512);
    if (errnum == EXDEV) {
        error_set(err, ERR_PATH_NOT_ALLOWED, "%s leads out of its root through a symbolic link", quoted);
        return -1;
    }
    if (errnum == EACCES || errnum == EPERM)
        return error_set(err, ERR_FORBIDDEN, "%s may not be read by the user on whose behalf the job runs", quoted);
    return error_set_errno(err, errnum, "%s", quoted);
}

int roots_open(const struct roots *roots, const char *path, int flags, mode_t mode, struct error *err)
{
    const char *rest;
    if (roots_check(roots, path, err))
        return -1;
    const struct root *root = find_root(roots, path, &rest);
    int fd = open_beneath(root, rest, flags, mode);
    return fd < 0 ? explain(path, errno, err) : fd;
}

int roots_open_parent(const struct roots *roots, const char *path, const char **ret_name, struct error *err)
{
    const char *rest;
    if (roots_check(roots, path, err))
        return -1;
    const struct root *root = find_root(roots, path, &rest);
    const char *slash = strrchr(rest, '/');
    *ret_name = slash ? slash + 1 : rest;
    if (!**ret_name)
        return error_set(err, ERR_PATH_NOT_ALLOWED, "%s names a directory; a name below it is needed", path);
    AUTO_FREE char *parent = slash ? mem_strndup(rest, (size_t)(slash - rest)) : mem_strdup("");
    int fd = open_beneath(root, parent, O_RDONLY | O_DIRECTORY, 0);
    return fd < 0 ? explain(path, errno, err) : fd;
}
