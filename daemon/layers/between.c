// SPDX-License-Identifier: Apache-2.0
//
// A copied directory keeps the directories and links that it meets, so those are as they were; what was absent may be there
// now. Beneath an entry of any other kind nothing is certain. What an implied parent of an entry is, follows from the image
// alone, so the layers agree on it.
#include "layers/between.h"

#include <string.h>

enum touch { TOUCH_NONE, TOUCH_ADDS, TOUCH_ANY };

// Is the path (relative) `to` itself or beneath it?
static bool covers(const char *to, const char *path)
{
    to += strspn(to, "/");
    size_t len = strlen(to);
    while (len > 0 && to[len - 1] == '/')
        len--;
    return len == 0 || (strncmp(path, to, len) == 0 && (path[len] == '\0' || path[len] == '/'));
}

static enum touch touch_of(const struct layer_spec *spec, const char *path)
{
    enum touch worst = TOUCH_NONE;
    if (!spec)
        return TOUCH_ANY;
    for (size_t i = 0; i < spec->n_entries; i++) {
        const struct layer_entry *entry = &spec->entries[i];
        enum touch touch = entry->type == LAYER_COPY ? TOUCH_ADDS : TOUCH_ANY;
        if (touch > worst && covers(entry->to, path))
            worst = touch;
    }
    return worst;
}

static enum layer_below_kind lookup(const struct layer_below *view, const char *path, struct layer_below_node *ret)
{
    const struct between *between = (const struct between *)view;
    enum touch worst = TOUCH_NONE;
    for (size_t i = 0; i < between->n_lower && worst < TOUCH_ANY; i++) {
        enum touch touch = touch_of(between->lower[i], path);
        worst = touch > worst ? touch : worst;
    }
    if (worst == TOUCH_ANY)
        return LAYER_BELOW_UNKNOWN;
    enum layer_below_kind kind = between->base->lookup(between->base, path, ret);
    return worst == TOUCH_ADDS && kind != LAYER_BELOW_DIRECTORY && kind != LAYER_BELOW_SYMLINK ? LAYER_BELOW_UNKNOWN
                                                                                              : kind;
}

void between_init(struct between *between, const struct layer_below *base, const struct layer_spec *const *lower,
                  size_t n_lower)
{
    *between = (struct between){.view = {.lookup = lookup, .silent_parents = base->silent_parents},
                                .base = base,
                                .lower = lower,
                                .n_lower = n_lower};
}
