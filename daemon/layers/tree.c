// SPDX-License-Identifier: Apache-2.0
//
// Nodes are found by a hash of parent and name, so that a tar of many members in one directory stays linear;
// children are a plain list, because the walk sorts them together with names from disk anyway.
#include "layers/tree.h"

#include <string.h>
#include <sys/random.h>

#include "base/mem.h"

// Nodes and all that tree_alloc gives out lie one behind the other in chunks: a tar may have a million
// members.
enum { CHUNK_BYTES = 64 << 10, CHUNK_ALIGNMENT = 8 };

struct chunk {
    struct chunk *next;
    char bytes[];
};

struct tree {
    struct tree_node *root;
    struct tree_slot {
        const struct tree_node *parent;
        struct tree_node *node;
    } * slots;
    size_t n_slots; // a power of two
    size_t n_nodes;
    struct chunk *chunks;
    char *room; // in the first of them
    size_t room_bytes;
    uint64_t key[2];
    int spool;
};

struct tree *tree_new(void)
{
    struct tree *tree = mem_new(struct tree);
    tree->n_slots = 64;
    tree->spool = -1;
    tree->slots = mem_calloc(tree->n_slots, sizeof(*tree->slots));
    tree->root = tree_alloc(tree, sizeof(*tree->root) + 1);
    if (getrandom(tree->key, sizeof(tree->key), 0) != (ssize_t)sizeof(tree->key))
        tree->key[1] = 0x9e3779b97f4a7c15;
    tree->key[1] |= 1;
    return tree;
}

void tree_free(struct tree *tree)
{
    if (!tree)
        return;
    for (struct chunk *chunk = tree->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    free(tree->slots);
    free(tree);
}

void tree_set_spool(struct tree *tree, int fd)
{
    tree->spool = fd;
}

int tree_spool(const struct tree *tree)
{
    return tree->spool;
}

struct tree_node *tree_root(struct tree *tree)
{
    return tree->root;
}

size_t tree_nodes(const struct tree *tree)
{
    return tree->n_nodes;
}

static char *add_chunk(struct tree *tree, size_t bytes)
{
    struct chunk *chunk = mem_calloc(1, sizeof(*chunk) + bytes);
    chunk->next = tree->chunks;
    tree->chunks = chunk;
    return chunk->bytes;
}

void *tree_alloc(struct tree *tree, size_t bytes)
{
    bytes = (bytes + CHUNK_ALIGNMENT - 1) & ~(size_t)(CHUNK_ALIGNMENT - 1);
    if (bytes > CHUNK_BYTES / 8)
        return add_chunk(tree, bytes);
    if (bytes > tree->room_bytes) {
        tree->room = add_chunk(tree, CHUNK_BYTES);
        tree->room_bytes = CHUNK_BYTES;
    }
    char *place = tree->room;
    tree->room += bytes;
    tree->room_bytes -= bytes;
    return place;
}

// Names may come from a hostile tar: the hash is keyed, so nobody can choose names that collide.
static size_t hash_name(const struct tree *tree, const struct tree_node *parent, const char *name, size_t len)
{
    uint64_t hash = (uintptr_t)parent;
    for (size_t i = 0; i < len; i++) {
        unsigned __int128 product =
            (unsigned __int128)(hash ^ (uint8_t)name[i] ^ tree->key[0]) * tree->key[1];
        hash = (uint64_t)product ^ (uint64_t)(product >> 64);
    }
    return (size_t)hash;
}

static struct tree_slot *find_slot(struct tree *tree, const struct tree_node *parent, const char *name,
                                   size_t len)
{
    for (size_t i = hash_name(tree, parent, name, len);; i++) {
        struct tree_slot *slot = &tree->slots[i & (tree->n_slots - 1)];
        if (!slot->node || (slot->parent == parent && strlen(slot->node->name) == len &&
                            memcmp(slot->node->name, name, len) == 0))
            return slot;
    }
}

struct tree_node *tree_find(struct tree *tree, const struct tree_node *parent, const char *name)
{
    return find_slot(tree, parent, name, strlen(name))->node;
}

static void grow_slots(struct tree *tree)
{
    struct tree_slot *old = tree->slots;
    size_t n_old = tree->n_slots;
    tree->n_slots *= 2;
    tree->slots = mem_calloc(tree->n_slots, sizeof(*tree->slots));
    for (size_t i = 0; i < n_old; i++)
        if (old[i].node)
            *find_slot(tree, old[i].parent, old[i].node->name, strlen(old[i].node->name)) = old[i];
    free(old);
}

static struct tree_node *child_of(struct tree *tree, struct tree_node *parent, const char *name, size_t len,
                                  size_t priority)
{
    struct tree_slot *slot = find_slot(tree, parent, name, len);
    if (parent->top < priority)
        parent->top = priority;
    if (slot->node)
        return slot->node;
    struct tree_node *node = tree_alloc(tree, sizeof(*node) + len + 1);
    memcpy(node->name, name, len);
    node->next_sibling = parent->first_child;
    parent->first_child = node;
    *slot = (struct tree_slot){.parent = parent, .node = node};
    if (4 * ++tree->n_nodes > 3 * tree->n_slots)
        grow_slots(tree);
    return node;
}

// Keeps the list ordered by falling priority. Of one priority only the newest stays: the last member of a tar
// wins.
static void put_op(struct tree_node *node, struct tree_op *op)
{
    struct tree_op **place = &node->ops;
    while (*place && (*place)->priority > op->priority)
        place = &(*place)->next;
    op->next = *place && (*place)->priority == op->priority ? (*place)->next : *place;
    *place = op;
}

// The next component of a path that counts, without empty ones and "."; NULL at the end.
static const char *next_component(const char **path, size_t *ret_len)
{
    for (;;) {
        *path += strspn(*path, "/");
        const char *name = *path;
        *ret_len = strcspn(name, "/");
        *path += *ret_len;
        if (*ret_len == 0)
            return NULL;
        if (!(*ret_len == 1 && *name == '.'))
            return name;
    }
}

struct tree_node *tree_find_path(struct tree *tree, const char *path)
{
    struct tree_node *node = tree->root;
    size_t len;
    for (const char *name; node && (name = next_component(&path, &len));)
        node = find_slot(tree, node, name, len)->node;
    return node;
}

static bool is_directory(enum tree_kind kind)
{
    return kind == TREE_SOURCE_DIRECTORY || kind == TREE_DIRECTORY || kind == TREE_OPAQUE;
}

static bool holds_file(const struct tree_node *node, size_t priority)
{
    const struct tree_op *op = node->ops;
    while (op && op->priority > priority)
        op = op->next;
    return op && op->priority == priority && !is_directory(op->kind);
}

bool tree_blocked(struct tree *tree, const char *path, size_t priority, bool directory)
{
    const struct tree_node *node = tree->root;
    size_t len;
    for (const char *name; (name = next_component(&path, &len));) {
        if (holds_file(node, priority))
            return true;
        node = find_slot(tree, node, name, len)->node;
        if (!node)
            return false;
    }
    return !directory && node->first_child && node->top >= priority;
}

struct tree_op *tree_add(struct tree *tree, const char *path, enum tree_kind kind, size_t priority,
                         const struct layer_entry *entry)
{
    struct tree_node *node = tree->root;
    size_t len;
    for (const char *name; (name = next_component(&path, &len));)
        node = child_of(tree, node, name, len, priority);
    struct tree_op *op = tree_alloc(tree, sizeof(*op));
    op->kind = kind;
    op->priority = priority;
    op->entry = entry;
    put_op(node, op);
    return op;
}
