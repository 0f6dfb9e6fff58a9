// SPDX-License-Identifier: Apache-2.0
//
// For each name of the topmost frame the candidates are gathered and layers/choice decides: a directory
// becomes the next frame, anything else is visited. Called by the pack and the fingerprint on one worker.
#include "layers/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "layers/follow.h"
#include "layers/split.h"
#include "layers/walk_visit.h"
#include "layers/walker.h"

static int check_name(const char *name, const char *shown, struct error *err)
{
    const char *fault = NULL;
    if (str_starts(name, ".wh."))
        fault = "begins with .wh., which would delete files of the image below";
    else if (!str_utf8_valid(name, strlen(name)))
        fault = "is not UTF-8";
    if (!fault)
        return 0;
    AUTO_FREE char *quoted = str_quote(shown, 1024);
    error_set(err, ERR_UNSUPPORTED_FILE, "the name of %s %s", quoted, fault);
    error_hint(err, "Rename it or name it in \"exclude\".");
    return -1;
}

// The type of a name on disk where the file system did not tell.
static int find_type(struct walker *walker, const struct origin *origin, uint8_t *type, struct error *err)
{
    if (*type != DT_UNKNOWN)
        return 0;
    struct stat st;
    if (source_stat(origin->fd, walker->path + origin->rel, &st, walker_show(walker, origin), err) < 0)
        return -1;
    *type = (uint8_t)IFTODT(st.st_mode);
    return 0;
}

// A link that is followed: what it leads to inside the build root stands in its place.
static int follow(struct walker *walker, const struct origin *origin, struct candidate *made,
                  struct error *err)
{
    struct stat st;
    const char *shown = walker_show(walker, origin);
    made->fd = follow_open(walker->roots, shown, walker->flags & WALK_READ, &st, err);
    if (made->fd < 0)
        return -1;
    made->directory = S_ISDIR(st.st_mode);
    made->type = made->directory ? DT_DIR : DT_REG;
    for (size_t i = 0; made->directory && i < walker->n_frames; i++)
        for (size_t j = 0; j < walker->frames[i].n_origins; j++) {
            const struct origin *above = &walker->frames[i].origins[j];
            if (!above->node && above->priority == origin->priority && above->dev == st.st_dev &&
                above->ino == st.st_ino)
                return follow_fail(shown, "leads back to a directory above it", err);
        }
    if (made->directory && origin->followed >= WALKER_FOLLOW_MAX)
        return follow_fail(shown, "is one of too many links within each other", err);
    return 0;
}

static int add_disk_candidate(struct walker *walker, const struct frame *frame,
                              const struct source_name *name, struct error *err)
{
    const struct origin *origin = &frame->origins[name->origin];
    uint8_t type = name->type;
    if (find_type(walker, origin, &type, err) < 0)
        return -1;
    const char *below = walker_below(walker, origin);
    bool hidden = ignore_excludes(origin->ignore, below, type == DT_DIR);
    bool links = type == DT_LNK && origin->entry->symlinks == LAYER_SYMLINKS_FOLLOW;
    if (hidden && ((type != DT_DIR && !links) || !ignore_reaches_below(origin->ignore, below)))
        return 0;
    const char *shown = walker_show(walker, origin);
    if (check_name(frame->names.text + name->offset, shown, err) < 0 ||
        source_check_kind(DTTOIF(type), shown, err) < 0)
        return -1;
    struct candidate *made = candidates_add(&walker->candidates);
    made->priority = origin->priority;
    made->origin = name->origin;
    made->type = type;
    made->directory = type == DT_DIR;
    made->hidden = hidden;
    return links ? follow(walker, origin, made, err) : 0;
}

// All that the origins have for the name at `first`; *ret_end is the next other name.
static int gather(struct walker *walker, struct frame *frame, size_t first, size_t *ret_end,
                  struct error *err)
{
    const char *text = frame->names.text;
    const struct source_name *items = frame->names.items;
    candidates_clear(&walker->candidates);
    if (walker_set_name(walker, frame, text + items[first].offset, err) < 0)
        return -1;
    size_t i = first;
    do {
        const struct origin *origin = &frame->origins[items[i].origin];
        if (origin->node)
            candidates_add_node(&walker->candidates,
                                tree_find(walker->tree, origin->node, text + items[i].offset),
                                items[i].origin, frame->floor);
        else if (add_disk_candidate(walker, frame, &items[i], err) < 0)
            return -1;
        i++;
    } while (i < frame->names.n_items && strcmp(text + items[first].offset, text + items[i].offset) == 0);
    *ret_end = i;
    return 0;
}

// The origins of the next frame, one by one.
struct opening {
    struct origin *origins;
    size_t n;
    struct stat st; // of the directory that says what the frame looks like
    bool has_st;
    struct xattrs xattrs;
};

static struct origin *add_origin(struct opening *opening)
{
    opening->origins = mem_realloc(opening->origins, (opening->n + 1) * sizeof(*opening->origins));
    struct origin *made = &opening->origins[opening->n++];
    *made = (struct origin){.fd = -1};
    return made;
}

static void add_node_origin(struct opening *opening, const struct candidate *candidate, size_t floor)
{
    struct tree_node *node = candidate->node;
    if (!node || !node->first_child || node->top < floor)
        return;
    for (size_t i = 0; i < opening->n; i++)
        if (opening->origins[i].node == node)
            return;
    add_origin(opening)->node = node;
}

static size_t names_begin(const struct walker *walker)
{
    return walker->path_len + (walker->path_len > 0);
}

// A directory that an entry copies: its path is opened anew and must be what it was when the tree was made.
static int open_source(struct walker *walker, const struct tree_op *op, struct origin *made, struct stat *st,
                       struct error *err)
{
    made->entry = op->entry;
    made->priority = op->priority;
    made->rel = made->mount = names_begin(walker);
    made->fd = roots_open(walker->roots, op->entry->from, O_RDONLY | O_DIRECTORY, 0, err);
    if (made->fd < 0)
        return -1;
    made->owns_fd = true;
    if (fstat(made->fd, st) < 0)
        return source_fail(err, errno, "reading", op->entry->from);
    if (st->st_dev != op->dev || st->st_ino != op->ino)
        return source_fail(err, ESTALE, "reading", op->entry->from);
    made->dev = st->st_dev;
    made->ino = st->st_ino;
    if (ignore_new(&made->ignore, op->entry, err) < 0)
        return -1;
    return source_check_filesystem(made->fd, &made->remote, op->entry->from, err);
}

static int open_subdirectory(struct walker *walker, struct candidate *candidate, struct origin *made,
                             struct stat *st, struct error *err)
{
    const struct origin *parent = &walker_top(walker)->origins[candidate->origin];
    const char *shown = walker_show(walker, parent);
    made->entry = parent->entry;
    made->priority = parent->priority;
    made->mount = parent->mount;
    made->rel = names_begin(walker);
    made->pinned = candidate->fd >= 0;
    made->followed = parent->followed + made->pinned;
    made->fd = made->pinned ? candidate->fd
                            : source_open_directory(parent->fd, walker->path + parent->rel, st, shown, err);
    candidate->fd = -1;
    if (made->fd < 0)
        return -1;
    made->owns_fd = true;
    if (made->pinned && fstat(made->fd, st) < 0)
        return source_fail(err, errno, "reading", shown);
    made->dev = st->st_dev;
    made->ino = st->st_ino;
    made->remote = parent->remote;
    made->ignore = ignore_enter(parent->ignore, walker_below(walker, parent));
    return st->st_dev == parent->dev ? 0 : source_check_filesystem(made->fd, &made->remote, shown, err);
}

static int open_candidate(struct walker *walker, struct candidate *candidate, const struct choice *choice,
                          struct opening *opening, struct error *err)
{
    add_node_origin(opening, candidate, choice->floor);
    const struct tree_op *op = candidate->op;
    if (candidate->node && !(op && op->kind == TREE_SOURCE_DIRECTORY))
        return 0;
    struct stat st;
    struct origin *made = add_origin(opening);
    if ((op ? open_source(walker, op, made, &st, err)
            : open_subdirectory(walker, candidate, made, &st, err)) < 0)
        return -1;
    if (candidate != choice->attributes)
        return 0;
    opening->st = st;
    opening->has_st = true;
    if (!(walker->flags & WALK_READ))
        return 0;
    return xattrs_read(&opening->xattrs, made->entry, made->fd, walker->shown, err);
}

static int visit_whiteouts(struct walker *walker, struct error *err);

// --- parts
// ---------------------------------------------------------------------------------------------------------

static const char *last_component(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool is_dependency_directory(struct walker *walker)
{
    const struct frame *above = walker_top(walker);
    return above && (above->dependency || split_takes_directory(last_component(walker->path)));
}

static bool is_dependency_file(struct walker *walker)
{
    const struct frame *above = walker_top(walker);
    if (above->dependency)
        return true;
    AUTO_FREE char *folder = mem_strndup(walker->path, above->path_len);
    return split_takes_file(last_component(folder), last_component(walker->path));
}

// Says which part the next visit is of, and whether that part is wanted.
static bool wants(struct walker *walker, bool dependency)
{
    walker->dependency = dependency;
    return walker->spec->part == LAYER_WHOLE || (walker->spec->part == LAYER_DEPENDENCIES) == dependency;
}

// Makes the directory at the walker's path the topmost frame.
static int enter(struct walker *walker, const struct choice *choice, struct error *err)
{
    struct opening opening = {0};
    for (size_t i = 0; i < walker->candidates.n; i++) {
        struct candidate *candidate = &walker->candidates.items[i];
        if (!candidate->directory || candidate->priority < choice->floor)
            continue;
        if (open_candidate(walker, candidate, choice, &opening, err) < 0) {
            walker_end_origins(opening.origins, opening.n);
            xattrs_clear(&opening.xattrs);
            return -1;
        }
    }
    const struct frame *above = walker_top(walker);
    bool gone_above = above && above->gone_below;
    bool dependency = is_dependency_directory(walker);
    struct frame *frame = walker_push(walker, opening.origins, opening.n, choice->floor, err);
    walker_top(walker)->xattrs = opening.xattrs;
    if (!frame)
        return -1;
    frame->gone_below = gone_above || choice->opaque;
    frame->dependency = dependency;
    if (walk_visit_directory(walker, choice, opening.has_st ? &opening.st : NULL,
                             gone_above || choice->removed, err) < 0)
        return -1;
    if (walker->spec->drop_whiteouts || !wants(walker, true))
        return 0;
    if (choice->opaque && !gone_above && walk_visit_opaque(walker, err) < 0)
        return -1;
    return visit_whiteouts(walker, err);
}

static bool is_delete(const struct choice *choice)
{
    return choice->file && choice->file->op && choice->file->op->kind == TREE_DELETE;
}

static bool has_delete(struct walker *walker, const struct frame *frame, const struct source_name *name)
{
    const struct tree_node *parent = frame->origins[name->origin].node;
    const struct tree_node *node =
        parent ? tree_find(walker->tree, parent, frame->names.text + name->offset) : NULL;
    for (const struct tree_op *op = node ? node->ops : NULL; op; op = op->next)
        if (op->kind == TREE_DELETE)
            return true;
    return false;
}

// Whiteouts of a directory come before its other names.
static int visit_whiteouts(struct walker *walker, struct error *err)
{
    struct frame *frame = walker_top(walker);
    for (size_t i = 0, end; i < frame->names.n_items; i = end) {
        end = i + 1;
        if (!has_delete(walker, frame, &frame->names.items[i]))
            continue;
        while (i > 0 && strcmp(frame->names.text + frame->names.items[i - 1].offset,
                               frame->names.text + frame->names.items[i].offset) == 0)
            i--;
        struct choice choice;
        if (gather(walker, frame, i, &end, err) < 0)
            return -1;
        choice_make(&walker->candidates, &choice);
        if (is_delete(&choice) && walk_visit_file(walker, choice.file, err) < 0)
            return -1;
    }
    return 0;
}

static int step(struct walker *walker, struct error *err)
{
    struct frame *frame = walker_top(walker);
    if (frame->next == frame->names.n_items) {
        walker_pop(walker);
        return 0;
    }
    struct choice choice;
    if (monitor_check(walker->monitor, err) < 0 || gather(walker, frame, frame->next, &frame->next, err) < 0)
        return -1;
    choice_make(&walker->candidates, &choice);
    if (choice.directory)
        return walker->spec->part == LAYER_APPLICATION && is_dependency_directory(walker)
                   ? 0
                   : enter(walker, &choice, err);
    if (!choice.file || is_delete(&choice) || !wants(walker, is_dependency_file(walker)))
        return 0;
    return walk_visit_file(walker, choice.file, err);
}

static int run(struct walker *walker, struct error *err)
{
    struct choice choice;
    candidates_add_node(&walker->candidates, tree_root(walker->tree), 0, 0);
    choice_make(&walker->candidates, &choice);
    if (!choice.directory)
        return 0;
    if (enter(walker, &choice, err) < 0)
        return -1;
    while (walker_top(walker))
        if (step(walker, err) < 0)
            return -1;
    return 0;
}

int walk_run(const struct layer_spec *spec, struct tree *tree, const struct roots *roots,
             enum walk_flags flags, struct monitor *monitor, walk_visit *visit, void *context,
             struct error *err)
{
    struct walker *walker = mem_new(struct walker);
    walker->tree = tree;
    walker->roots = roots;
    walker->flags = flags;
    walker->monitor = monitor;
    walker->visit = visit;
    walker->context = context;
    int status = walker_init(walker, spec, err);
    if (status == 0)
        status = run(walker, err);
    walker_fini(walker);
    free(walker);
    return status;
}
