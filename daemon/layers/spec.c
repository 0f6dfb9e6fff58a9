// SPDX-License-Identifier: Apache-2.0
//
// The first thing that a pack and a fingerprint do. Priorities follow the numbers of the entries.
#include "layers/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "layers/compress.h"
#include "layers/ignore.h"
#include "layers/mode.h"
#include "layers/source.h"
#include "layers/unpack.h"
#include "layers/walk.h"

static void free_texts(char **texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(texts[i]);
    free(texts);
}

static void clear_entry(struct layer_entry *entry)
{
    free(entry->from);
    free(entry->to);
    free(entry->pointer);
    free(entry->data);
    free(entry->target);
    free(entry->mode);
    free_texts(entry->exclude, entry->n_exclude);
    free_texts(entry->ignore_files, entry->n_ignore_files);
    free_texts(entry->xattrs, entry->n_xattrs);
}

void layer_spec_clear(struct layer_spec *spec)
{
    for (size_t i = 0; i < spec->n_entries; i++)
        clear_entry(&spec->entries[i]);
    free(spec->entries);
    *spec = (struct layer_spec){0};
}

int layer_mode_check(const char *mode, struct error *err)
{
    struct mode_rule rule;
    return mode_parse(&rule, mode, err);
}

static const char *component_fault(const char *name, size_t len)
{
    if (len == 2 && memcmp(name, "..", 2) == 0)
        return "contains \"..\"";
    if (len >= 4 && memcmp(name, ".wh.", 4) == 0)
        return "has a name that begins with .wh. (use the types \"delete\" and \"opaque\")";
    return NULL;
}

static const char *path_fault(const char *path)
{
    if (path[0] != '/')
        return "is not absolute";
    if (strlen(path) > WALK_PATH_MAX)
        return "is longer than 4096 bytes";
    if (!str_utf8_valid(path, strlen(path)))
        return "is not UTF-8";
    for (const char *next = path; *next;) {
        size_t len = strcspn(next, "/");
        const char *fault = component_fault(next, len);
        if (fault)
            return fault;
        next += len + (next[len] == '/');
    }
    return NULL;
}

int layer_path_check(const char *path, struct error *err)
{
    const char *fault = path_fault(path);
    if (!fault)
        return 0;
    AUTO_FREE char *quoted = str_quote(path, 256);
    return error_set(err, ERR_INVALID_REQUEST, "the path \"%s\" in the image %s", quoted, fault);
}

// The name under which a source goes into a `to` with a trailing slash.
static char *base_name(const char *path)
{
    size_t len = strlen(path);
    while (len > 0 && path[len - 1] == '/')
        len--;
    size_t start = len;
    while (start > 0 && path[start - 1] != '/')
        start--;
    return mem_strndup(path + start, len - start);
}

// "/", "//", "/./"
static bool is_root(const char *path)
{
    for (;;) {
        path += strspn(path, "/");
        if (*path == '\0')
            return true;
        if (path[0] != '.' || (path[1] != '/' && path[1] != '\0'))
            return false;
        path++;
    }
}

static char *target_path(const struct layer_entry *entry, bool directory)
{
    if (!str_ends(entry->to, "/") || (directory && is_root(entry->to)))
        return mem_strdup(entry->to);
    AUTO_FREE char *name = base_name(entry->from);
    return mem_printf("%s%s", entry->to, name);
}

// O_PATH first: nothing is opened in earnest before it is known to be a file or a directory.
static int look_at_source(const struct layer_entry *entry, const struct roots *roots, struct stat *ret,
                          struct error *err)
{
    AUTO_CLOSE int fd = roots_open(roots, entry->from, O_PATH, 0, err);
    if (fd < 0)
        return -1;
    if (fstat(fd, ret) < 0)
        return source_fail(err, errno, "reading", entry->from);
    return source_check_kind(ret->st_mode, entry->from, err);
}

// Two for each entry: the lower one is for the whiteouts of a LAYER_LAYER, which come before its own files.
static size_t spec_priority(size_t index)
{
    return 2 * index + 1;
}

static int add_copy(struct tree *tree, const struct layer_entry *entry, size_t index,
                    const struct roots *roots, struct error *err)
{
    size_t priority = spec_priority(index);
    struct stat st;
    if (look_at_source(entry, roots, &st, err) < 0)
        return -1;
    bool directory = S_ISDIR(st.st_mode);
    AUTO_FREE char *path = target_path(entry, directory);
    if (layer_path_check(path, err) < 0)
        return -1;
    if (!directory && is_root(path))
        return error_set(err, ERR_INVALID_REQUEST, "a file cannot be the root directory of the image");
    struct tree_op *op =
        tree_add(tree, path, directory ? TREE_SOURCE_DIRECTORY : TREE_SOURCE_FILE, priority, entry);
    op->dev = st.st_dev;
    op->ino = st.st_ino;
    return 0;
}

static int add_named(struct tree *tree, const struct layer_entry *entry, size_t index, struct error *err)
{
    static const enum tree_kind kinds[] = {[LAYER_FILE] = TREE_FILE,
                                           [LAYER_SYMLINK] = TREE_SYMLINK,
                                           [LAYER_DIRECTORY] = TREE_DIRECTORY,
                                           [LAYER_DELETE] = TREE_DELETE,
                                           [LAYER_OPAQUE] = TREE_OPAQUE};
    if (entry->type == LAYER_SYMLINK &&
        (!entry->target || !*entry->target || strlen(entry->target) > SOURCE_TARGET_MAX ||
         !str_utf8_valid(entry->target, strlen(entry->target))))
        return error_set(err, ERR_INVALID_REQUEST, "the target of a link must be 1 to 4096 bytes of UTF-8");
    tree_add(tree, entry->to, kinds[entry->type], spec_priority(index), entry);
    return 0;
}

// --- tars
// ----------------------------------------------------------------------------------------------------------

struct tar_source {
    int fd;                   // LAYER_TAR
    struct reader_at *reader; // LAYER_CONTEXT
    int64_t offset;
    const char *shown;
};

static ssize_t read_tar(void *context, void *buffer, size_t len, struct error *err)
{
    struct tar_source *source = context;
    if (source->reader) {
        ssize_t got = reader_at_read(source->reader, buffer, len, source->offset, err);
        source->offset += got > 0 ? got : 0;
        return got;
    }
    ssize_t got;
    do
        got = read(source->fd, buffer, len);
    while (got < 0 && errno == EINTR);
    return got < 0 ? source_fail(err, errno, "reading", source->shown) : got;
}

static int open_tar(const struct layer_entry *entry, const struct roots *roots, struct stat *ret,
                    struct error *err)
{
    if (look_at_source(entry, roots, ret, err) < 0)
        return -1;
    AUTO_FREE char *quoted = str_quote(entry->from, 512);
    if (!S_ISREG(ret->st_mode))
        return error_set(err, ERR_UNSUPPORTED_FILE, "%s is not a tar: it is a directory", quoted);
    int fd = roots_open(roots, entry->from, O_RDONLY, 0, err);
    if (fd < 0)
        return -1;
    struct stat now;
    if (fstat(fd, &now) == 0 && source_check_same(ret, &now, entry->from, err) == 0)
        return fd;
    close(fd);
    return -1;
}

static int add_tar(struct tree *tree, const struct layer_spec *spec, size_t index, const struct roots *roots,
                   enum spec_tars tars, struct monitor *monitor, struct error *err)
{
    if (tars == SPEC_TARS_SKIP)
        return 0;
    const struct layer_entry *entry = &spec->entries[index];
    struct stat before, after;
    struct tar_source source = {.fd = -1, .shown = entry->from};
    AUTO_CLOSE int fd = -1;
    if (entry->type != LAYER_TAR) {
        if (!entry->context_reader)
            return error_set(err, ERR_NOT_FOUND, "the %s %s is not there",
                             entry->type == LAYER_LAYER ? "layer" : "context", entry->context.text);
        source.reader = entry->context_reader;
        source.shown = entry->context.text;
    } else {
        source.fd = fd = open_tar(entry, roots, &before, err);
        if (fd < 0)
            return -1;
    }
    if (unpack_add(tree, entry, spec_priority(index), read_tar, &source, tars == SPEC_TARS_NAMES,
                   source.shown, monitor, err) < 0)
        return -1;
    if (fd < 0)
        return 0;
    if (fstat(fd, &after) < 0)
        return source_fail(err, errno, "reading", entry->from);
    return source_check_same(&before, &after, entry->from, err);
}

bool spec_entry_is_tar(const struct layer_entry *entry)
{
    return entry->type == LAYER_TAR || entry->type == LAYER_CONTEXT || entry->type == LAYER_LAYER;
}

bool spec_has_tars(const struct layer_spec *spec)
{
    for (size_t i = 0; i < spec->n_entries; i++)
        if (spec_entry_is_tar(&spec->entries[i]))
            return true;
    return false;
}

int spec_tar_state(const struct layer_entry *entry, const struct roots *roots, struct stat *ret,
                   struct error *err)
{
    *ret = (struct stat){0};
    return entry->type == LAYER_TAR ? look_at_source(entry, roots, ret, err) : 0;
}

// --- all together
// --------------------------------------------------------------------------------------------------

static int check_names(const struct layer_entry *entry, const char **ret_member, struct error *err)
{
    *ret_member = "ignore_files";
    for (size_t i = 0; i < entry->n_ignore_files; i++) {
        const char *name = entry->ignore_files[i];
        if (*name == '\0' || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            return error_set(err, ERR_INVALID_REQUEST,
                             "ignore_files takes plain names such as \".dockerignore\"");
    }
    *ret_member = "xattrs";
    for (size_t i = 0; i < entry->n_xattrs; i++)
        if (!strchr(entry->xattrs[i], '.') || str_starts(entry->xattrs[i], "trusted."))
            return error_set(
                err, ERR_INVALID_REQUEST,
                "xattrs takes names such as \"user.x\" or \"security.capability\", and none of trusted.*");
    return 0;
}

int layer_entry_check(const struct layer_entry *entry, const char **ret_member, struct error *err)
{
    bool may_be_root =
        entry->type != LAYER_FILE && entry->type != LAYER_SYMLINK && entry->type != LAYER_DELETE;
    *ret_member = entry->type == LAYER_DELETE || entry->type == LAYER_OPAQUE ? "path" : "to";
    if (layer_path_check(entry->to, err) < 0)
        return -1;
    if (!may_be_root && is_root(entry->to))
        return error_set(err, ERR_INVALID_REQUEST,
                         entry->type == LAYER_DELETE
                             ? "the root itself cannot be deleted; use type \"opaque\" to empty it"
                             : "the root directory of the image can only be a directory");
    *ret_member = "exclude";
    struct ignore *ignore;
    if (ignore_new(&ignore, entry, err) < 0)
        return -1;
    ignore_free(ignore);
    return check_names(entry, ret_member, err);
}

static int add_entry(struct tree *tree, const struct layer_spec *spec, size_t index,
                     const struct roots *roots, enum spec_tars tars, struct monitor *monitor,
                     struct error *err)
{
    const struct layer_entry *entry = &spec->entries[index];
    const char *member;
    if (layer_entry_check(entry, &member, err) < 0)
        return -1;
    switch (entry->type) {
    case LAYER_COPY:
        return add_copy(tree, entry, index, roots, err);
    case LAYER_TAR:
    case LAYER_CONTEXT:
    case LAYER_LAYER:
        return add_tar(tree, spec, index, roots, tars, monitor, err);
    default:
        return add_named(tree, entry, index, err);
    }
}

struct tree *spec_to_tree(const struct layer_spec *spec, const struct roots *roots, enum spec_tars tars,
                          int spool, struct monitor *monitor, struct error *err)
{
    struct tree *tree = tree_new();
    tree_set_spool(tree, spool);
    if (compress_level_check(spec->algorithm, spec->level, err) < 0) {
        tree_free(tree);
        return NULL;
    }
    for (size_t i = 0; i < spec->n_entries; i++) {
        if (add_entry(tree, spec, i, roots, tars, monitor, err) == 0)
            continue;
        if (!err->pointer)
            err->pointer = mem_strdup_null(spec->entries[i].pointer);
        tree_free(tree);
        return NULL;
    }
    return tree;
}
