// SPDX-License-Identifier: Apache-2.0
#include "layers/links.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/table.h"

enum { KEY_MAX = 64 };

struct link {
    struct link *next;
    char key[KEY_MAX];
    char path[];
};

struct links {
    struct table *table;
    struct link *made;
};

struct links *links_new(void)
{
    struct links *links = mem_new(struct links);
    links->table = table_new();
    return links;
}

void links_free(struct links *links)
{
    if (!links)
        return;
    for (struct link *link = links->made, *next; link; link = next) {
        next = link->next;
        free(link);
    }
    table_free(links->table);
    free(links);
}

const char *links_meet(struct links *links, const void *source, uint64_t dev, uint64_t ino, const char *path)
{
    char key[KEY_MAX];
    snprintf(key, sizeof(key), "%p.%" PRIx64 ".%" PRIx64, source, dev, ino);
    struct link *link = table_find(links->table, key);
    if (link)
        return link->path;
    if (table_count(links->table) >= LINKS_MAX)
        return NULL;
    size_t len = strlen(path) + 1;
    link = mem_alloc(sizeof(*link) + len);
    memcpy(link->key, key, sizeof(key));
    memcpy(link->path, path, len);
    link->next = links->made;
    links->made = link;
    table_put(links->table, link->key, link);
    return NULL;
}
