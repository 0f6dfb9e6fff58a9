// SPDX-License-Identifier: Apache-2.0
//
// What must hold: nesting is at most MANIFEST_DEPTH_MAX, which whoever adds children sees to.
#include "images/manifest_tree.h"

#include <string.h>

#include "base/mem.h"
#include "images/convert.h"

void manifest_tree_init(struct manifest_tree *tree)
{
    *tree = (struct manifest_tree){.by_digest = table_new()};
}

void manifest_tree_fini(struct manifest_tree *tree)
{
    for (size_t i = 0; i < tree->count; i++) {
        manifest_clear(tree->items[i]);
        free(tree->items[i]);
    }
    free(tree->items);
    table_free(tree->by_digest);
    *tree = (struct manifest_tree){0};
}

struct manifest *manifest_tree_find(const struct manifest_tree *tree, const struct digest *digest)
{
    return table_find(tree->by_digest, digest->text);
}

struct manifest *manifest_tree_add(struct manifest_tree *tree, struct manifest *manifest)
{
    if (manifest_tree_find(tree, &manifest->digest)) {
        manifest_clear(manifest);
        return NULL;
    }
    struct manifest *item = mem_new(struct manifest);
    manifest_move(item, manifest);
    tree->items = mem_realloc(tree->items, (tree->count + 1) * sizeof(struct manifest *));
    tree->items[tree->count++] = item;
    table_put(tree->by_digest, item->digest.text, item);
    return item;
}

// One manifest of the tree in its final place.
struct slot {
    struct manifest *item;     // of the tree, until it is moved
    size_t converted;          // its number in the list after conversion to the present family
};

struct sealing {
    struct manifest_tree *tree;
    struct table *placed;      // digest ▸ slot
    struct slot *slots;
    size_t n_slots;
    struct manifest *list;     // slot i is list[i]; what is converted follows
    size_t count;
};

// Children first. Depth is bounded by the way the tree came about, and again here.
static void place(struct sealing *s, struct manifest *item, int depth)
{
    if (table_find(s->placed, item->digest.text) || depth > MANIFEST_DEPTH_MAX + 1)
        return;
    for (size_t i = 0; i < item->n_children; i++) {
        struct manifest *child = manifest_tree_find(s->tree, &item->children[i].digest);
        if (child)
            place(s, child, depth + 1);
    }
    struct slot *slot = &s->slots[s->n_slots++];
    slot->item = item;
    table_put(s->placed, item->digest.text, slot);
}

static int convert_children(struct sealing *s, const struct manifest *index, enum media_family family,
                            struct manifest *ret, bool *ret_changed, struct error *err)
{
    AUTO_FREE const struct manifest **children = mem_calloc(index->n_children + 1, sizeof(*children));
    for (size_t i = 0; i < index->n_children; i++) {
        const struct slot *slot = table_find(s->placed, index->children[i].digest.text);
        if (!slot || slot->converted == (size_t)(slot - s->slots))
            continue;
        children[i] = &s->list[slot->converted];
        *ret_changed = true;
    }
    return *ret_changed ? convert_index(ret, index, children, family, err) : 0; // its own family may differ, too
}

static int convert_slot(struct sealing *s, size_t number, enum media_family family, struct error *err)
{
    const struct manifest *m = &s->list[number];
    struct manifest *fresh = &s->list[s->count];
    bool changed = convert_needed(m, family);
    s->slots[number].converted = number;
    if (m->is_index ? convert_children(s, m, family, fresh, &changed, err)
                    : changed && convert_manifest(fresh, m, family, err))
        return -1;
    if (changed)
        s->slots[number].converted = s->count++;
    return 0;
}

static int find_roots(struct sealing *s, const struct digest *root, const struct targets *targets, size_t *roots,
                      struct error *err)
{
    static const enum target_format formats[] = {TARGET_KEEP, TARGET_OCI, TARGET_DOCKER};
    const struct slot *slot = table_find(s->placed, root->text);
    for (size_t f = 0; f < sizeof(formats) / sizeof(*formats); f++) {
        bool wanted = false;
        for (size_t t = 0; t < targets->count; t++)
            wanted |= targets->items[t].format == formats[f];
        enum media_family family = formats[f] == TARGET_OCI ? MEDIA_FAMILY_OCI : MEDIA_FAMILY_DOCKER;
        for (size_t i = 0; i < s->n_slots && wanted; i++) {
            s->slots[i].converted = i;
            if (formats[f] != TARGET_KEEP && convert_slot(s, i, family, err))
                return -1;
        }
        for (size_t t = 0; t < targets->count; t++)
            if (targets->items[t].format == formats[f])
                roots[t] = slot->converted;
    }
    return 0;
}

int manifest_tree_seal(struct manifest_tree *tree, const struct digest *root, const struct targets *targets,
                       struct manifest **ret, size_t *ret_count, size_t *roots, struct error *err)
{
    struct sealing s = {.tree = tree, .placed = table_new()};
    s.slots = mem_calloc(tree->count + 1, sizeof(*s.slots));
    s.list = mem_calloc(3 * tree->count + 1, sizeof(*s.list));
    for (size_t i = 0; i < tree->count; i++)
        place(&s, tree->items[i], 0);
    for (size_t i = 0; i < s.n_slots; i++)
        manifest_move(&s.list[i], s.slots[i].item);
    s.count = s.n_slots;
    table_free(s.placed); // its keys have moved
    s.placed = table_new();
    for (size_t i = 0; i < s.n_slots; i++)
        table_put(s.placed, s.list[i].digest.text, &s.slots[i]);
    int result = find_roots(&s, root, targets, roots, err);
    table_free(s.placed);
    free(s.slots);
    if (result) {
        for (size_t i = 0; i < s.count; i++)
            manifest_clear(&s.list[i]);
        free(s.list);
        return -1;
    }
    *ret = s.list;
    *ret_count = s.count;
    return 0;
}
