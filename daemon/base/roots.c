// SPDX-License-Identifier: Apache-2.0
//
// Roots: the only way by which a path of a request becomes a descriptor. A root is opened once, at start;
// everything later is opened beneath that descriptor, so what the name of the root points to meanwhile does
// not matter. Texts are compared only to find the root; it is the kernel that keeps the walk inside
// (openat2(2)).
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

enum { RACE_TRIES_MAX = 64 };

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
    AUTO_FREE char *quoted = str_quote(path, 512);
    if (path[0] != '/')
        return error_set(err, ERR_INVALID_REQUEST, "the %s \"%s\" must be an absolute path", roots->kind,
                         quoted);
    AUTO_CLOSE int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, errno, "the %s %s cannot be opened", roots->kind, quoted);
    char *resolved = realpath(path, NULL);
    if (!resolved)
        return error_set_errno(err, errno, "the %s %s cannot be resolved", roots->kind, quoted);
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

// The next component at or behind path, without slashes and "." before it.
static const char *next_component(const char *path, size_t *ret_len)
{
    for (;;) {
        path += strspn(path, "/");
        *ret_len = strcspn(path, "/");
        if (*ret_len != 1 || path[0] != '.')
            return path;
        path++;
    }
}

// The part of path below root ("" for the root itself), or NULL.
static const char *below(const char *root, const char *path)
{
    for (;;) {
        size_t root_len, len;
        root = next_component(root, &root_len);
        path = next_component(path, &len);
        if (!root_len)
            return path;
        if (len != root_len || memcmp(root, path, len) != 0)
            return NULL;
        root += len;
        path += len;
    }
}

// The widest root that holds path: under it, the most links stay inside.
static const struct root *find_root(const struct roots *roots, const char *path, const char **ret_rest)
{
    const struct root *found = NULL;
    for (size_t i = 0; i < roots->count; i++) {
        const struct root *root = &roots->items[i];
        const char *rest = below(root->given, path);
        if (!rest)
            rest = below(root->resolved, path);
        if (!rest || (found && strlen(rest) <= strlen(*ret_rest)))
            continue;
        found = root;
        *ret_rest = rest;
    }
    return found;
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
    error_set(err, ERR_PATH_NOT_ALLOWED, "%s lies outside every %s (%s)", quoted, roots->kind,
              strbuf_text(&list));
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
    bool makes = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
    int added = flags & O_PATH ? O_CLOEXEC : O_CLOEXEC | O_NONBLOCK | O_NOCTTY; // O_PATH bears no others
    struct open_how how = {
        .flags = (uint64_t)(flags | added),
        .mode = makes ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    int fd = -1;
    // EAGAIN: a rename somewhere raced with a ".." of a link.
    for (int tries = 0; tries < RACE_TRIES_MAX; tries++) {
        fd = (int)syscall(SYS_openat2, root->fd, *rest ? rest : ".", &how, sizeof(how));
        if (fd >= 0 || errno != EAGAIN)
            break;
    }
    return fd;
}

// `path` without links, as far as flags let it be followed; NULL if that cannot be told.
static char *resolve(const char *path, int flags)
{
    if (!(flags & O_NOFOLLOW))
        return realpath(path, NULL);
    const char *name = strrchr(path, '/') + 1;
    AUTO_FREE char *parent = mem_strndup(path, (size_t)(name - path));
    AUTO_FREE char *resolved = realpath(parent, NULL);
    return resolved ? mem_printf("%s/%s", resolved, name) : NULL;
}

// The kernel takes every absolute link for one that leads out. One that points back into the same root is
// followed by its text; the walk is repeated beneath the root, so what changes meanwhile cannot lead out
// either.
static int open_resolved(const struct root *root, const char *path, int flags, mode_t mode)
{
    AUTO_FREE char *resolved = resolve(path, flags);
    const char *rest = resolved ? below(root->resolved, resolved) : NULL;
    if (rest)
        return open_beneath(root, rest, flags, mode);
    errno = EXDEV;
    return -1;
}

static int open_path(const struct root *root, const char *path, const char *rest, int flags, mode_t mode)
{
    int fd = open_beneath(root, rest, flags, mode);
    return fd < 0 && errno == EXDEV ? open_resolved(root, path, flags, mode) : fd;
}

static int explain(const char *path, int errnum, struct error *err)
{
    AUTO_FREE char *quoted = str_quote(path, 512);
    if (errnum == EXDEV)
        return error_set(err, ERR_PATH_NOT_ALLOWED, "%s leads out of its root through a symbolic link",
                         quoted);
    if (errnum == EACCES || errnum == EPERM)
        return error_set(err, ERR_FORBIDDEN, "%s may not be opened by the user on whose behalf the job runs",
                         quoted);
    if (errnum == EAGAIN)
        return error_set(err, ERR_SOURCE_CHANGED,
                         "%s could not be opened: directories are renamed all the time", quoted);
    return error_set_errno(err, errnum, "%s", quoted);
}

int roots_open(const struct roots *roots, const char *path, int flags, mode_t mode, struct error *err)
{
    const char *rest;
    if (roots_check(roots, path, err))
        return -1;
    const struct root *root = find_root(roots, path, &rest);
    int fd = open_path(root, path, rest, flags, mode);
    return fd < 0 ? explain(path, errno, err) : fd;
}

int roots_open_parent(const struct roots *roots, const char *path, const char **ret_name, struct error *err)
{
    const char *rest;
    if (roots_check(roots, path, err))
        return -1;
    const struct root *root = find_root(roots, path, &rest);
    const char *slash = strrchr(rest, '/');
    const char *name = slash ? slash + 1 : rest;
    if (!*name || strcmp(name, ".") == 0) {
        AUTO_FREE char *quoted = str_quote(path, 512);
        return error_set(err, ERR_PATH_NOT_ALLOWED, "%s names a directory; a name below it is needed",
                         quoted);
    }
    AUTO_FREE char *parent = mem_strndup(path, (size_t)(name - path));
    AUTO_FREE char *parent_rest = mem_strndup(rest, (size_t)(name - rest));
    int fd = open_path(root, parent, parent_rest, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return explain(path, errno, err);
    *ret_name = name;
    return fd;
}
