// SPDX-License-Identifier: Apache-2.0
//
// Called for every name of every directory of the walk; mostly there is one candidate.
#include "layers/choice.h"

#include <string.h>
#include <unistd.h>

#include "base/mem.h"

struct candidate *candidates_add(struct candidates *all)
{
    if (all->n == all->capacity) {
        all->capacity = all->capacity ? all->capacity * 2 : 16;
        all->items = mem_realloc(all->items, all->capacity * sizeof(*all->items));
    }
    struct candidate *made = &all->items[all->n++];
    *made = (struct candidate){.fd = -1};
    return made;
}

static bool op_is_directory(const struct tree_op *op)
{
    return op->kind == TREE_SOURCE_DIRECTORY || op->kind == TREE_DIRECTORY || op->kind == TREE_OPAQUE;
}

void candidates_add_node(struct candidates *all, struct tree_node *node, uint32_t origin, size_t floor)
{
    for (const struct tree_op *op = node->ops; op && op->priority >= floor; op = op->next) {
        struct candidate *made = candidates_add(all);
        made->priority = op->priority;
        made->origin = origin;
        made->op = op;
        made->node = node;
        made->directory = op_is_directory(op);
    }
    if (!node->first_child || node->top < floor)
        return;
    struct candidate *implied = candidates_add(all);
    implied->priority = node->top;
    implied->origin = origin;
    implied->node = node;
    implied->directory = true;
}

void candidates_clear(struct candidates *all)
{
    for (size_t i = 0; i < all->n; i++)
        if (all->items[i].fd >= 0)
            close(all->items[i].fd);
    all->n = 0;
}

// How much a directory candidate knows about the directory: an entry that names it beats the directory of a
// source, that beats the mere target of a copy, and an implied one knows nothing.
static int rank(const struct candidate *candidate)
{
    if (!candidate->node)
        return 2;
    if (!candidate->op || candidate->op->kind == TREE_OPAQUE)
        return 0;
    return candidate->op->kind == TREE_DIRECTORY ? (candidate->op->member ? 2 : 3) : 1;
}

static bool knows_better(const struct candidate *a, const struct candidate *b)
{
    if (!b)
        return rank(a) > 0;
    if (rank(a) != rank(b))
        return rank(a) > rank(b);
    if (a->hidden != b->hidden)
        return b->hidden;
    return rank(a) > 0 && a->priority > b->priority;
}

// Equal priorities (two members of one tar) favour the directory, so that nothing below it is lost.
static const struct candidate *top_file(const struct candidates *all)
{
    const struct candidate *top = NULL;
    for (size_t i = 0; i < all->n; i++)
        if (!all->items[i].directory && (!top || all->items[i].priority > top->priority))
            top = &all->items[i];
    return top;
}

void choice_make(const struct candidates *all, struct choice *ret)
{
    const struct candidate *file = top_file(all);
    *ret = (struct choice){.file = file, .floor = file ? file->priority : 0};
    for (size_t i = 0; i < all->n; i++) {
        const struct candidate *candidate = &all->items[i];
        if (!candidate->directory || candidate->priority < ret->floor)
            continue;
        ret->directory = true;
        if (candidate->op && candidate->op->kind == TREE_OPAQUE)
            ret->opaque = true;
        if (knows_better(candidate, ret->attributes))
            ret->attributes = candidate;
    }
    if (!ret->directory)
        return;
    if (file) // whatever it was, it hid a directory that may lie below
        ret->opaque = ret->removed = true;
    ret->file = NULL;
}
