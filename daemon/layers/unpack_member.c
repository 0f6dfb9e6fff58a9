// SPDX-License-Identifier: Apache-2.0
//
// A tar of a user may hold files, directories and links, whose names stay inside; an existing layer may hold
// what a layer may: whiteouts, devices, and hard links to files of the layers below it.
#include "layers/unpack_member.h"

#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/str.h"
#include "layers/walk.h"

enum { LAYER_XATTRS_MAX = 256 };

static const char WHITEOUT[] = ".wh.";
static const char OPAQUE[] = ".wh..wh..opq";
static const char AUFS[] = ".wh..wh.";

static bool is_layer(const struct unpack *unpack)
{
    return unpack->entry->type == LAYER_LAYER;
}

static int fail_member(struct unpack *unpack, const char *path, const char *what)
{
    AUTO_FREE char *quoted = str_quote(unpack->shown, 512);
    AUTO_FREE char *member = str_quote(path ? path : "", 512);
    return error_set(unpack->err, ERR_UNSUPPORTED_FILE, "the member \"%s\" of %s %s", member, quoted, what);
}

// --- names
// ---------------------------------------------------------------------------------------------------------

static const char *component_fault(const char *name, size_t len, bool layer)
{
    if (len == 2 && memcmp(name, "..", 2) == 0)
        return "has \"..\" in its name";
    if (!layer && len >= 4 && memcmp(name, WHITEOUT, 4) == 0)
        return "has a name that begins with .wh., which would delete files of the image below";
    return NULL;
}

static const char *name_fault(const char *path, bool layer)
{
    if (!path || *path == '\0')
        return "has no name, or one that is not UTF-8";
    if (*path == '/' && !layer)
        return "has an absolute name";
    if (strlen(path) > WALK_PATH_MAX)
        return "has a name of more than 4096 bytes";
    if (!str_utf8_valid(path, strlen(path)))
        return "has a name that is not UTF-8";
    for (const char *next = path; *next;) {
        size_t len = strcspn(next, "/");
        const char *fault = component_fault(next, len, layer);
        if (fault)
            return fault;
        next += len + (next[len] == '/');
    }
    return NULL;
}

static char *path_in_image(const struct unpack *unpack, const char *name)
{
    return mem_printf("%s/%s", unpack->entry->to, name);
}

// --- attributes
// ----------------------------------------------------------------------------------------------------

// Listed by the entry (of a layer: all), and not there yet: some tars say each attribute twice, in two
// dialects.
static bool is_wanted(const struct layer_entry *entry, const struct xattrs *have, const char *name)
{
    for (size_t i = 0; i < have->n; i++)
        if (strcmp(have->items[i].name, name) == 0)
            return false;
    if (entry->type == LAYER_LAYER)
        return true;
    for (size_t i = 0; i < entry->n_xattrs; i++)
        if (strcmp(entry->xattrs[i], name) == 0)
            return true;
    return false;
}

static void take_xattrs(struct unpack *unpack, struct archive_entry *member, struct xattrs *ret)
{
    const char *name;
    const void *value;
    size_t len;
    size_t max = is_layer(unpack) ? LAYER_XATTRS_MAX : unpack->entry->n_xattrs;
    size_t has = (size_t)archive_entry_xattr_reset(member);
    if (max > has)
        max = has;
    if (max == 0)
        return;
    ret->items = tree_alloc(unpack->tree, max * sizeof(*ret->items));
    while (archive_entry_xattr_next(member, &name, &value, &len) == ARCHIVE_OK) {
        if (ret->n == max || len > XATTRS_VALUE_MAX || !is_wanted(unpack->entry, ret, name))
            continue;
        struct xattr *made = &ret->items[ret->n++];
        made->name = tree_alloc(unpack->tree, strlen(name) + 1);
        strcpy(made->name, name);
        made->value = tree_alloc(unpack->tree, len + 1);
        memcpy(made->value, value, len);
        made->len = len;
    }
}

static struct tree_member *make_member(struct unpack *unpack, struct archive_entry *member,
                                       const char *target)
{
    size_t len = target ? strlen(target) + 1 : 1;
    struct tree_member *made = tree_alloc(unpack->tree, sizeof(*made) + len);
    made->mode = archive_entry_mode(member);
    made->uid = archive_entry_uid(member);
    made->gid = archive_entry_gid(member);
    made->mtime_s = archive_entry_mtime(member);
    made->major = (uint32_t)archive_entry_rdevmajor(member);
    made->minor = (uint32_t)archive_entry_rdevminor(member);
    made->offset = unpack->spool_end;
    if (target)
        memcpy(made->target, target, len);
    take_xattrs(unpack, member, &made->xattrs);
    return made;
}

// --- kinds
// ---------------------------------------------------------------------------------------------------------

static int add_op(struct unpack *unpack, const char *path, enum tree_kind kind,
                  const struct tree_member *member)
{
    if (tree_blocked(unpack->tree, path, unpack->priority, kind == TREE_DIRECTORY))
        return fail_member(unpack, path,
                           "is no directory, or lies below a member that is none, where the tar has both");
    tree_add(unpack->tree, path, kind, unpack->priority, unpack->entry)->member = member;
    return 0;
}

static int add_file(struct unpack *unpack, const char *path, struct archive_entry *member)
{
    struct tree_member *made = make_member(unpack, member, NULL);
    made->size = archive_entry_size(member);
    if (made->size < 0)
        return fail_member(unpack, path, "has no size");
    return unpack_content(unpack, made->size) < 0 ? -1 : add_op(unpack, path, TREE_FILE, made);
}

static int add_link(struct unpack *unpack, const char *path, struct archive_entry *member)
{
    const char *target = archive_entry_symlink_utf8(member);
    if (!target || *target == '\0' || strlen(target) > WALK_PATH_MAX ||
        !str_utf8_valid(target, strlen(target)))
        return fail_member(unpack, path, "is a link whose text is empty, too long or not UTF-8");
    return add_op(unpack, path, TREE_SYMLINK, make_member(unpack, member, target));
}

// The earlier file of this tar that a hard link names; of a layer, also one of the layers below it.
static struct tree_member *find_earlier(struct unpack *unpack, const char *name)
{
    if (name_fault(name, is_layer(unpack)))
        return NULL;
    AUTO_FREE char *path = path_in_image(unpack, name);
    const struct tree_node *node = tree_find_path(unpack->tree, path);
    for (const struct tree_op *op = node ? node->ops : NULL; op; op = op->next)
        if (op->kind == TREE_FILE && op->member && (op->priority == unpack->priority || is_layer(unpack)))
            return (struct tree_member *)op->member;
    return NULL;
}

static int add_hard_link(struct unpack *unpack, const char *path, const char *target)
{
    struct tree_member *earlier = find_earlier(unpack, target);
    if (!earlier)
        return fail_member(unpack, path, "is a hard link to something that is no earlier file of the tar");
    earlier->linked = true;
    return add_op(unpack, path, TREE_FILE, earlier);
}

// A whiteout removes what layers below have, not what this one has: it gets the priority before that of the
// files.
static int add_whiteout(struct unpack *unpack, const char *folder, const char *name)
{
    if (strcmp(name, OPAQUE) != 0) {
        if (str_starts(name, AUFS))
            return 0; // notes of a storage driver
        AUTO_FREE char *path = mem_printf("%s/%s", folder, name + strlen(WHITEOUT));
        if (!name[strlen(WHITEOUT)])
            return fail_member(unpack, path, "is a whiteout of nothing");
        tree_add(unpack->tree, path, TREE_DELETE, unpack->priority - 1, unpack->entry);
        return 0;
    }
    tree_add(unpack->tree, folder, TREE_DELETE, unpack->priority - 1, unpack->entry);
    const struct tree_node *node = tree_find_path(unpack->tree, folder);
    if (!node->ops || node->ops->priority != unpack->priority)
        tree_add(unpack->tree, folder, TREE_OPAQUE, unpack->priority, unpack->entry);
    return 0;
}

static int add_kind(struct unpack *unpack, const char *path, struct archive_entry *member)
{
    switch (archive_entry_filetype(member)) {
    case AE_IFREG:
        return add_file(unpack, path, member);
    case AE_IFDIR:
        return add_op(unpack, path, TREE_DIRECTORY, make_member(unpack, member, NULL));
    case AE_IFLNK:
        return add_link(unpack, path, member);
    case AE_IFCHR:
    case AE_IFBLK:
    case AE_IFIFO:
        if (is_layer(unpack))
            return add_op(unpack, path, TREE_SPECIAL, make_member(unpack, member, NULL));
        // fall through
    default:
        return fail_member(unpack, path, "is a device, FIFO or socket, which cannot be put into a layer");
    }
}

// "a/b/.wh.c" in two, in place: "a/b" and ".wh.c".
static char *split_whiteout(char *path)
{
    char *slash = strrchr(path, '/');
    if (!slash || !str_starts(slash + 1, WHITEOUT))
        return NULL;
    *slash = '\0';
    return slash + 1;
}

int unpack_member_add(struct unpack *unpack, struct archive_entry *member)
{
    const char *name = archive_entry_pathname_utf8(member);
    const char *fault = name_fault(name, is_layer(unpack));
    if (fault)
        return fail_member(unpack, name ? name : archive_entry_pathname(member), fault);
    AUTO_FREE char *path = path_in_image(unpack, name);
    if (strlen(path) > WALK_PATH_MAX)
        return fail_member(unpack, name, "would have a path of more than 4096 bytes in the image");
    if (archive_entry_hardlink(member))
        return add_hard_link(unpack, path, archive_entry_hardlink_utf8(member));
    char *whiteout = is_layer(unpack) ? split_whiteout(path) : NULL;
    return whiteout ? add_whiteout(unpack, path, whiteout) : add_kind(unpack, path, member);
}
