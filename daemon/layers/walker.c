// SPDX-License-Identifier: Apache-2.0
//
// Frames near the root keep their directories open and open what is below relative to them; deeper ones
// borrow the descriptor of the last that did, so the number of descriptors is bounded and that of levels is
// by the length of a path.
#include "layers/walker.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

int walker_init(struct walker *walker, const struct layer_spec *spec, struct error *err)
{
    walker->spec = spec;
    walker->modes = mem_calloc(spec->n_entries + 1, sizeof(*walker->modes));
    for (size_t i = 0; i < spec->n_entries; i++)
        if (mode_parse(&walker->modes[i], spec->entries[i].mode, err) < 0)
            return -1;
    return 0;
}

void walker_end_origins(struct origin *origins, size_t n_origins)
{
    for (size_t i = 0; i < n_origins; i++) {
        if (origins[i].owns_fd && origins[i].fd >= 0)
            close(origins[i].fd);
        ignore_free(origins[i].ignore);
    }
    free(origins);
}

void walker_fini(struct walker *walker)
{
    while (walker->n_frames > 0)
        walker_pop(walker);
    candidates_clear(&walker->candidates);
    free(walker->candidates.items);
    free(walker->frames);
    free(walker->modes);
}

struct frame *walker_top(struct walker *walker)
{
    return walker->n_frames > 0 ? &walker->frames[walker->n_frames - 1] : NULL;
}

void walker_pop(struct walker *walker)
{
    struct frame *frame = &walker->frames[--walker->n_frames];
    walker_end_origins(frame->origins, frame->n_origins);
    source_names_clear(&frame->names);
    xattrs_clear(&frame->xattrs);
}

int walker_set_name(struct walker *walker, const struct frame *frame, const char *name, struct error *err)
{
    size_t len = strlen(name);
    size_t at = frame->path_len + (frame->path_len > 0);
    walker->path[frame->path_len] = '\0';
    if (at + len > WALK_PATH_MAX) {
        AUTO_FREE char *quoted = str_quote(walker->path, 256);
        return error_set(err, ERR_UNSUPPORTED_FILE,
                         "a path below %s would be longer than %d bytes in the image", quoted, WALK_PATH_MAX);
    }
    if (at > 0)
        walker->path[at - 1] = '/';
    memcpy(walker->path + at, name, len + 1);
    walker->path_len = at + len;
    return 0;
}

const char *walker_below(const struct walker *walker, const struct origin *origin)
{
    return walker->path_len <= origin->mount ? "" : walker->path + origin->mount;
}

const char *walker_show(struct walker *walker, const struct origin *origin)
{
    const char *from = origin->entry->from;
    size_t len = strnlen(from, WALK_PATH_MAX);
    while (len > 1 && from[len - 1] == '/')
        len--;
    memcpy(walker->shown, from, len);
    walker->shown[len] = '\0';
    if (walker->path_len <= origin->mount)
        return walker->shown;
    walker->shown[len] = '/';
    memcpy(walker->shown + len + 1, walker->path + origin->mount, walker->path_len - origin->mount + 1);
    return walker->shown;
}

static int compare_names(const void *a, const void *b, void *text)
{
    const struct source_name *left = a, *right = b;
    int order = strcmp((char *)text + left->offset, (char *)text + right->offset);
    return order != 0 ? order : (left->origin > right->origin) - (left->origin < right->origin);
}

static int refuse_ignore_link(const char *shown, struct error *err)
{
    AUTO_FREE char *quoted = str_quote(shown, 512);
    error_set(err, ERR_UNSUPPORTED_FILE, "the ignore file %s is a symbolic link, which is not followed",
              quoted);
    error_hint(err, "Put the file itself there, or its patterns into \"exclude\".");
    return -1;
}

static int read_ignore_file(struct walker *walker, const struct origin *origin, const char *name,
                            unsigned char type, struct error *err)
{
    struct stat st;
    AUTO_FREE char *shown = mem_printf("%s/%s", walker_show(walker, origin), name);
    if (type == DT_LNK)
        return refuse_ignore_link(shown, err);
    AUTO_CLOSE int fd = source_open_file(origin->fd, name, &st, shown, err);
    if (fd < 0)
        return -1;
    size_t len;
    AUTO_FREE char *text = source_read_small(fd, &st, IGNORE_FILE_MAX, &len, shown, err);
    return text ? ignore_add_file(origin->ignore, walker_below(walker, origin), text, len, shown, err) : -1;
}

// The ignore files among the names of a directory, in the order of the request.
static int read_ignore_files(struct walker *walker, const struct origin *origin, uint32_t index,
                             const struct source_names *names, size_t first, struct error *err)
{
    const struct layer_entry *entry = origin->entry;
    for (size_t i = 0; origin->ignore && i < entry->n_ignore_files; i++)
        for (size_t j = first; j < names->n_items; j++)
            if (names->items[j].origin == index && names->items[j].type != DT_DIR &&
                strcmp(names->text + names->items[j].offset, entry->ignore_files[i]) == 0 &&
                read_ignore_file(walker, origin, entry->ignore_files[i], names->items[j].type, err) < 0)
                return -1;
    return 0;
}

static int list_origin(struct walker *walker, const struct origin *origin, uint32_t index,
                       struct source_names *names, struct error *err)
{
    size_t first = names->n_items;
    if (!origin->node)
        return source_list(origin->fd, index, names, walker_show(walker, origin), err) < 0
                   ? -1
                   : read_ignore_files(walker, origin, index, names, first, err);
    for (const struct tree_node *child = origin->node->first_child; child; child = child->next_sibling)
        if (source_names_add(names, child->name, index, DT_UNKNOWN) < 0)
            return error_set(err, ERR_TOO_LARGE, "a directory of the layer has more than %d names",
                             SOURCE_NAMES_MAX);
    return 0;
}

// Deep frames give their descriptor back once it is listed and count from the frame above.
static void borrow_descriptors(struct walker *walker, struct frame *frame)
{
    if (walker->n_frames <= WALKER_OPEN_FRAMES)
        return;
    const struct frame *above = frame - 1;
    for (size_t i = 0; i < frame->n_origins; i++)
        for (size_t j = 0; j < above->n_origins; j++) {
            struct origin *origin = &frame->origins[i];
            const struct origin *parent = &above->origins[j];
            if (!origin->owns_fd || origin->pinned || parent->node || origin->priority != parent->priority ||
                origin->mount != parent->mount)
                continue;
            close(origin->fd);
            origin->owns_fd = false;
            origin->fd = parent->fd;
            origin->rel = parent->rel;
        }
}

static struct frame *grow(struct walker *walker)
{
    if (walker->n_frames == walker->capacity) {
        walker->capacity = walker->capacity ? walker->capacity * 2 : 16;
        walker->frames = mem_realloc(walker->frames, walker->capacity * sizeof(*walker->frames));
    }
    struct frame *frame = &walker->frames[walker->n_frames++];
    *frame = (struct frame){.path_len = walker->path_len};
    return frame;
}

struct frame *walker_push(struct walker *walker, struct origin *origins, size_t n_origins, size_t floor,
                          struct error *err)
{
    struct frame *frame = grow(walker);
    frame->origins = origins;
    frame->n_origins = n_origins;
    frame->floor = floor;
    for (size_t i = 0; i < n_origins; i++)
        if (list_origin(walker, &origins[i], (uint32_t)i, &frame->names, err) < 0)
            return NULL;
    if (frame->names.n_items > 1)
        qsort_r(frame->names.items, frame->names.n_items, sizeof(*frame->names.items), compare_names,
                frame->names.text);
    borrow_descriptors(walker, frame);
    return frame;
}
