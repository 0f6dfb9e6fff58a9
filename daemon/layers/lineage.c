// SPDX-License-Identifier: Apache-2.0
//
// What stays the same from one build of a project to the next: its sources and rules, not their contents.
#include <string.h>

#include "base/digest.h"
#include "layers/layer.h"

static void take_bytes(struct hasher *hasher, const void *bytes, size_t len)
{
    uint64_t prefix = len;
    hasher_update(hasher, &prefix, sizeof(prefix));
    hasher_update(hasher, bytes, len);
}

static void take_text(struct hasher *hasher, const char *text)
{
    take_bytes(hasher, text ? text : "", text ? strlen(text) : 0);
}

static void take_texts(struct hasher *hasher, char *const *texts, size_t count)
{
    take_bytes(hasher, &count, sizeof(count));
    for (size_t i = 0; i < count; i++)
        take_text(hasher, texts[i]);
}

static void take_entry(struct hasher *hasher, const struct layer_entry *entry)
{
    int64_t numbers[] = {entry->type, entry->symlinks, entry->uid, entry->gid};
    take_bytes(hasher, numbers, sizeof(numbers));
    take_text(hasher, entry->from);
    take_text(hasher, entry->to);
    take_text(hasher, entry->mode);
    take_texts(hasher, entry->exclude, entry->n_exclude);
    take_texts(hasher, entry->ignore_files, entry->n_ignore_files);
    take_texts(hasher, entry->xattrs, entry->n_xattrs);
}

void layer_lineage(const struct layer_spec *spec, const struct layer_caller *caller, struct digest *ret)
{
    struct hasher *hasher = hasher_new(DIGEST_SHA256);
    int64_t numbers[] = {spec->algorithm, spec->level,
                         spec->part,      caller->apply ? (int64_t)caller->uid : -1};
    take_text(hasher, layer_engine(spec));
    take_bytes(hasher, numbers, sizeof(numbers));
    for (size_t i = 0; i < spec->n_entries; i++)
        take_entry(hasher, &spec->entries[i]);
    hasher_finish(hasher, ret);
    hasher_free(hasher);
}
