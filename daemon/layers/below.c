// SPDX-License-Identifier: Apache-2.0
//
// The layers are merged as for flattening, names only, and the walk over that leaves directories and links.
// Kept form: a first line, then for each "d" or "l", mode in octal, owner, group, time, path NUL target NUL;
// in the order of the walk.
#include "layers/below.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "base/table.h"
#include "layers/spec.h"
#include "layers/walk.h"

static const char FIRST_LINE[] = "dray-below 1\n";

struct known {
    struct known *next;
    enum layer_below_kind kind;
    struct layer_below_node node;
    char *target;
    char path[];
};

struct below {
    struct layer_below view;
    struct table *table;
    struct known *first, **last;
};

static enum layer_below_kind lookup(const struct layer_below *view, const char *path,
                                    struct layer_below_node *ret)
{
    const struct below *below = (const struct below *)view;
    const struct known *known = table_find(below->table, path);
    if (!known)
        return LAYER_BELOW_ABSENT;
    *ret = known->node;
    return known->kind;
}

struct below *below_empty(void)
{
    struct below *below = mem_new(struct below);
    below->view.lookup = lookup;
    below->table = table_new();
    below->last = &below->first;
    return below;
}

void below_free(struct below *below)
{
    if (!below)
        return;
    table_free(below->table);
    for (struct known *known = below->first, *next; known; known = next) {
        next = known->next;
        free(known->target);
        free(known);
    }
    free(below);
}

const struct layer_below *below_view(const struct below *below)
{
    return &below->view;
}

void below_silence_parents(struct below *below)
{
    below->view.silent_parents = true;
}

size_t below_count(const struct below *below)
{
    return table_count(below->table);
}

static struct known *add(struct below *below, const char *path, enum layer_below_kind kind,
                         const char *target)
{
    struct known *known = mem_calloc(1, sizeof(*known) + strlen(path) + 1);
    strcpy(known->path, path);
    known->kind = kind;
    known->target = mem_strdup_null(target);
    known->node.target = known->target;
    *below->last = known;
    below->last = &known->next;
    table_put(below->table, known->path, known);
    return known;
}

static int take_item(void *context, const struct walk_item *item, struct error *err)
{
    (void)err;
    bool link = item->kind == WALK_SYMLINK;
    if (!link && item->kind != WALK_DIRECTORY)
        return 0;
    struct known *known =
        add(context, item->path, link ? LAYER_BELOW_SYMLINK : LAYER_BELOW_DIRECTORY, item->target);
    known->node.mode = item->mode;
    known->node.uid = item->uid;
    known->node.gid = item->gid;
    known->node.mtime_s = item->mtime_s;
    return 0;
}

// Parents that no layer describes are made by whoever unpacks them, 0755 0:0.
static int walk_layers(struct below *below, const struct layer_spec *spec, struct monitor *monitor,
                       struct error *err)
{
    struct tree *tree = spec_to_tree(spec, NULL, SPEC_TARS_NAMES, -1, monitor, err);
    if (!tree)
        return -1;
    int status = walk_run(spec, tree, NULL, 0, monitor, take_item, below, err);
    tree_free(tree);
    return status;
}

struct below *below_from_layers(struct reader_at *const *blobs, size_t count, struct monitor *monitor,
                                struct error *err)
{
    struct below *nothing = below_empty(), *below = below_empty();
    struct layer_spec spec = {.entries = mem_calloc(count + 1, sizeof(*spec.entries)),
                              .n_entries = count,
                              .below = below_view(nothing),
                              .drop_whiteouts = true};
    for (size_t i = 0; i < count; i++) {
        spec.entries[i].type = LAYER_LAYER;
        spec.entries[i].to = mem_strdup("/");
        spec.entries[i].context_reader = blobs[i];
        snprintf(spec.entries[i].context.text, sizeof(spec.entries[i].context.text), "number %zu of the base",
                 i + 1);
    }
    if (walk_layers(below, &spec, monitor, err) < 0) {
        below_free(below);
        below = NULL;
    }
    layer_spec_clear(&spec);
    below_free(nothing);
    return below;
}

// --- kept form
// -----------------------------------------------------------------------------------------------------

char *below_format(const struct below *below, size_t *ret_len)
{
    struct strbuf text = STRBUF_INIT(BELOW_TEXT_MAX);
    strbuf_puts(&text, FIRST_LINE);
    for (const struct known *known = below->first; known; known = known->next) {
        strbuf_printf(&text, "%c %o %" PRId64 " %" PRId64 " %" PRId64 " %s",
                      known->kind == LAYER_BELOW_SYMLINK ? 'l' : 'd', known->node.mode, known->node.uid,
                      known->node.gid, known->node.mtime_s, known->path);
        strbuf_putc(&text, '\0');
        strbuf_puts(&text, known->target ? known->target : "");
        strbuf_putc(&text, '\0');
    }
    *ret_len = text.len;
    if (!text.overflow)
        return strbuf_take(&text);
    strbuf_free(&text);
    return NULL;
}

// One record; NULL at a fault, else what follows it. The bytes end with a NUL.
static const char *parse_record(struct below *below, const char *text, const char *end)
{
    struct layer_below_node node = {0};
    char kind;
    int len = 0;
    if (sscanf(text, "%c %o %" SCNd64 " %" SCNd64 " %" SCNd64 "%n", &kind, &node.mode, &node.uid, &node.gid,
               &node.mtime_s, &len) != 5 ||
        text[len] != ' ' || (kind != 'd' && kind != 'l'))
        return NULL;
    const char *path = text + len + 1, *target = path + strlen(path) + 1;
    if (target >= end)
        return NULL;
    struct known *known = add(below, path, kind == 'l' ? LAYER_BELOW_SYMLINK : LAYER_BELOW_DIRECTORY,
                              kind == 'l' ? target : NULL);
    node.target = known->target;
    known->node = node;
    return target + strlen(target) + 1;
}

struct below *below_parse(const char *bytes, size_t len)
{
    size_t head = sizeof(FIRST_LINE) - 1;
    if (len < head || memcmp(bytes, FIRST_LINE, head) != 0 || (len > head && bytes[len - 1] != '\0'))
        return NULL;
    struct below *below = below_empty();
    const char *end = bytes + len, *next = bytes + head;
    while (next && next < end)
        next = parse_record(below, next, end);
    if (next)
        return below;
    below_free(below);
    return NULL;
}
