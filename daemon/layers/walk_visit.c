// SPDX-License-Identifier: Apache-2.0
//
// Each kind of thing that can stand at a path has one small function here. The walker's path names it; an
// item lives on the stack for the length of the visitor's call.
#include "layers/walk_visit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

static const char OPAQUE_NAME[] = ".wh..wh..opq";
static const char WHITEOUT_PREFIX[] = ".wh.";

static int flush_pending(struct walker *walker, struct error *err)
{
    for (size_t i = 0; i < walker->n_frames; i++) {
        struct frame *frame = &walker->frames[i];
        if (!frame->pending)
            continue;
        frame->pending = false;
        char kept = walker->path[frame->path_len];
        walker->path[frame->path_len] = '\0';
        frame->item.path = walker->path;
        if (!frame->item.xattrs)
            frame->item.xattrs = &frame->xattrs;
        int status = walker->visit(walker->context, &frame->item, err);
        walker->path[frame->path_len] = kept;
        if (status < 0)
            return -1;
    }
    return 0;
}

static int visit(struct walker *walker, struct walk_item *item, struct error *err)
{
    item->dependency = walker->dependency;
    if (flush_pending(walker, err) < 0)
        return -1;
    item->path = walker->path;
    return walker->visit(walker->context, item, err);
}

// A member of an existing layer keeps what it has.
static void keep_all(const struct layer_entry *entry, const struct tree_member *member,
                     struct walk_item *item)
{
    item->entry = entry;
    item->mode = member->mode & 07777;
    item->uid = member->uid;
    item->gid = member->gid;
    item->mtime_s = member->mtime_s;
}

static void apply_rules(const struct walker *walker, const struct layer_entry *entry, uint32_t bits,
                        struct walk_item *item)
{
    if (entry->type == LAYER_LAYER && item->member) {
        keep_all(entry, item->member, item);
        return;
    }
    const struct mode_rule *rule = &walker->modes[entry - walker->spec->entries];
    item->entry = entry;
    item->mode = item->kind == WALK_SYMLINK ? 0777 : mode_apply(rule, bits, item->kind == WALK_DIRECTORY);
    item->uid = entry->uid;
    item->gid = entry->gid;
    item->mtime_s = entry->has_mtime ? entry->mtime_s : walker->spec->mtime_s;
}

// --- names on disk
// -------------------------------------------------------------------------------------------------

static int visit_opened(struct walker *walker, const struct layer_entry *entry, int fd, const struct stat *st,
                        bool remote, const char *shown, struct error *err)
{
    struct walk_item item = {
        .kind = WALK_FILE, .fd = fd, .st = st, .size = st->st_size, .slow_clock = remote, .shown = shown};
    apply_rules(walker, entry, st->st_mode, &item);
    CLEANUP(xattrs_clear) struct xattrs xattrs = {0};
    if (fd >= 0 && xattrs_read(&xattrs, entry, fd, shown, err) < 0)
        return -1;
    item.xattrs = &xattrs;
    return visit(walker, &item, err);
}

// A file may be a mount of its own.
static int check_device(const struct origin *origin, int fd, const struct stat *st, const char *shown,
                        struct error *err)
{
    bool remote;
    return st->st_dev == origin->dev ? 0 : source_check_filesystem(fd, &remote, shown, err);
}

static int visit_disk_file(struct walker *walker, const struct origin *origin, struct error *err)
{
    struct stat st;
    const char *shown = walker_show(walker, origin);
    AUTO_CLOSE int fd = source_open_file(origin->fd, walker->path + origin->rel, &st, shown, err);
    if (fd < 0 || check_device(origin, fd, &st, shown, err) < 0)
        return -1;
    return visit_opened(walker, origin->entry, fd, &st, origin->remote, shown, err);
}

static int visit_followed(struct walker *walker, const struct origin *origin, int fd, struct error *err)
{
    struct stat st;
    const char *shown = walker_show(walker, origin);
    if (fstat(fd, &st) < 0)
        return source_fail(err, errno, "reading", shown);
    if (check_device(origin, fd, &st, shown, err) < 0)
        return -1;
    return visit_opened(walker, origin->entry, walker->flags & WALK_READ ? fd : -1, &st, origin->remote,
                        shown, err);
}

static int stat_disk_file(struct walker *walker, const struct origin *origin, struct error *err)
{
    struct stat st;
    const char *shown = walker_show(walker, origin);
    if (source_stat(origin->fd, walker->path + origin->rel, &st, shown, err) < 0)
        return -1;
    if (!S_ISREG(st.st_mode))
        return source_fail(err, ESTALE, "reading", shown);
    return visit_opened(walker, origin->entry, -1, &st, origin->remote, shown, err);
}

static int visit_disk_link(struct walker *walker, const struct origin *origin, struct error *err)
{
    struct stat st;
    const char *shown = walker_show(walker, origin);
    AUTO_FREE char *target = source_read_link(origin->fd, walker->path + origin->rel, &st, shown, err);
    if (!target)
        return -1;
    struct walk_item item = {.kind = WALK_SYMLINK, .fd = -1, .st = &st, .target = target, .shown = shown};
    apply_rules(walker, origin->entry, 0777, &item);
    return visit(walker, &item, err);
}

// A copied file: the path of the request is opened anew and must still be what it was when the tree was made.
static int visit_source_file(struct walker *walker, const struct tree_op *op, struct error *err)
{
    const char *from = op->entry->from;
    int flags = walker->flags & WALK_READ ? O_RDONLY : O_PATH;
    AUTO_CLOSE int fd = roots_open(walker->roots, from, flags, 0, err);
    if (fd < 0)
        return -1;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return source_fail(err, errno, "reading", from);
    if (!S_ISREG(st.st_mode) || st.st_dev != op->dev || st.st_ino != op->ino)
        return source_fail(err, ESTALE, "reading", from);
    bool remote;
    if (source_check_filesystem(fd, &remote, from, err) < 0)
        return -1;
    return visit_opened(walker, op->entry, walker->flags & WALK_READ ? fd : -1, &st, remote, from, err);
}

// --- paths of the spec
// ---------------------------------------------------------------------------------------------

static int visit_inline_file(struct walker *walker, const struct tree_op *op, struct error *err)
{
    const struct layer_entry *entry = op->entry;
    const struct tree_member *member = op->member;
    struct walk_item item = {.kind = WALK_FILE,
                             .fd = -1,
                             .data = entry->data,
                             .size = (int64_t)entry->data_len,
                             .member = member,
                             .shown = entry->to};
    if (member) {
        item.data = NULL;
        item.size = member->size;
        item.fd = tree_spool(walker->tree);
        item.xattrs = &member->xattrs;
    }
    apply_rules(walker, entry, member ? member->mode : 0644, &item);
    return visit(walker, &item, err);
}

static int visit_inline_link(struct walker *walker, const struct tree_op *op, struct error *err)
{
    struct walk_item item = {.kind = WALK_SYMLINK,
                             .fd = -1,
                             .shown = op->entry->to,
                             .member = op->member,
                             .target = op->member ? op->member->target : op->entry->target};
    if (op->member)
        item.xattrs = &op->member->xattrs;
    apply_rules(walker, op->entry, 0777, &item);
    return visit(walker, &item, err);
}

static int visit_special(struct walker *walker, const struct tree_op *op, struct error *err)
{
    struct walk_item item = {.kind = WALK_SPECIAL,
                             .fd = -1,
                             .shown = op->entry->to,
                             .member = op->member,
                             .xattrs = &op->member->xattrs};
    apply_rules(walker, op->entry, 0, &item);
    return visit(walker, &item, err);
}

static void marker(const struct walker *walker, enum walk_kind kind, struct walk_item *ret)
{
    *ret = (struct walk_item){
        .kind = kind, .fd = -1, .mode = 0644, .mtime_s = walker->spec->mtime_s, .shown = ""};
}

// The name becomes ".wh.name" for the length of the visit (OCI image-spec, layer.md "Whiteouts").
static int visit_whiteout(struct walker *walker, struct error *err)
{
    struct walk_item item;
    marker(walker, WALK_WHITEOUT, &item);
    char *slash = strrchr(walker->path, '/');
    char *name = slash ? slash + 1 : walker->path;
    size_t len = strlen(name), prefix = sizeof(WHITEOUT_PREFIX) - 1;
    memmove(name + prefix, name, len + 1);
    memcpy(name, WHITEOUT_PREFIX, prefix);
    int status = visit(walker, &item, err);
    memmove(name, name + prefix, len + 1);
    return status;
}

int walk_visit_opaque(struct walker *walker, struct error *err)
{
    struct walk_item item;
    marker(walker, WALK_OPAQUE, &item);
    size_t len = walker->path_len;
    if (len > 0)
        walker->path[len++] = '/';
    memcpy(walker->path + len, OPAQUE_NAME, sizeof(OPAQUE_NAME));
    int status = visit(walker, &item, err);
    walker->path[walker->path_len] = '\0';
    return status;
}

static int visit_op(struct walker *walker, const struct tree_op *op, struct error *err)
{
    switch (op->kind) {
    case TREE_SOURCE_FILE:
        return visit_source_file(walker, op, err);
    case TREE_FILE:
        return visit_inline_file(walker, op, err);
    case TREE_SYMLINK:
        return visit_inline_link(walker, op, err);
    case TREE_SPECIAL:
        return visit_special(walker, op, err);
    default:
        return visit_whiteout(walker, err);
    }
}

int walk_visit_file(struct walker *walker, const struct candidate *candidate, struct error *err)
{
    if (candidate->op)
        return visit_op(walker, candidate->op, err);
    const struct origin *origin = &walker_top(walker)->origins[candidate->origin];
    if (candidate->fd >= 0)
        return visit_followed(walker, origin, candidate->fd, err);
    if (candidate->type == DT_LNK)
        return visit_disk_link(walker, origin, err);
    return walker->flags & WALK_READ ? visit_disk_file(walker, origin, err)
                                     : stat_disk_file(walker, origin, err);
}

// --- directories
// ---------------------------------------------------------------------------------------------------

static enum layer_below_kind look_below(const struct walker *walker, bool gone, struct layer_below_node *ret)
{
    if (gone)
        return LAYER_BELOW_ABSENT;
    const struct layer_below *below = walker->spec->below;
    return below ? below->lookup(below, walker->path, ret) : LAYER_BELOW_UNKNOWN;
}

static int refuse_link_below(const struct walker *walker, const struct layer_below_node *node,
                             struct error *err)
{
    AUTO_FREE char *path = str_quote(walker->path, 512);
    AUTO_FREE char *target = str_quote(node->target ? node->target : "?", 512);
    error_set(err, ERR_CONFLICT,
              "/%s is a symbolic link to %s in the image below; a directory would replace it", path, target);
    error_hint(err,
               "Put the files where the link leads, or remove it first with {\"type\": \"delete\", \"path\": "
               "\"/%s\"}.",
               path);
    return -1;
}

// True if something says what the directory looks like; then the item is filled.
static bool describe(const struct walker *walker, const struct candidate *source, const struct stat *st,
                     enum layer_below_kind kind, const struct layer_below_node *node, struct walk_item *item)
{
    bool named = source && source->op && source->op->kind == TREE_DIRECTORY && !source->op->member;
    if (!source && walker->spec->below && walker->spec->below->silent_parents)
        return false;
    if (kind == LAYER_BELOW_DIRECTORY && !named) {
        item->mode = node->mode & 07777;
        item->uid = node->uid;
        item->gid = node->gid;
        item->mtime_s = node->mtime_s;
        return true;
    }
    if (!source) {
        item->mode = 0755;
        item->mtime_s = walker->spec->mtime_s;
        return kind == LAYER_BELOW_ABSENT || kind == LAYER_BELOW_OTHER;
    }
    const struct tree_op *op = source->op;
    const struct layer_entry *entry =
        op ? op->entry : walker->frames[walker->n_frames - 2].origins[source->origin].entry;
    item->member = op ? op->member : NULL;
    if (item->member)
        item->xattrs = &item->member->xattrs;
    apply_rules(walker, entry, item->member ? item->member->mode : st ? st->st_mode : 0755, item);
    return true;
}

int walk_visit_directory(struct walker *walker, const struct choice *choice, const struct stat *st, bool gone,
                         struct error *err)
{
    struct frame *frame = walker_top(walker);
    frame->item = (struct walk_item){.kind = WALK_DIRECTORY, .fd = -1, .shown = ""};
    if (walker->path_len == 0 && !(choice->attributes && choice->attributes->op->kind == TREE_DIRECTORY))
        return 0;
    struct layer_below_node node = {0};
    enum layer_below_kind kind = look_below(walker, gone, &node);
    if (kind == LAYER_BELOW_SYMLINK)
        return refuse_link_below(walker, &node, err);
    if (!describe(walker, choice->attributes, st, kind, &node, &frame->item))
        return 0;
    frame->pending = true;
    frame->item.dependency = frame->dependency;
    frame->item.lazy = !choice->attributes || choice->attributes->hidden;
    bool of_other_part = walker->spec->part == LAYER_DEPENDENCIES && !frame->dependency;
    return frame->item.lazy || of_other_part ? 0 : flush_pending(walker, err);
}
