// SPDX-License-Identifier: Apache-2.0
//
// Fed by the walk, either on its own (layer_fingerprint) or while the layer is packed, so that a layer is remembered under
// what was really read and not under what the tree was like a moment before.
#include "layers/fingerprint.h"

#include <string.h>

#include "base/mem.h"

enum {
    COARSE_S = 2,   // whole-second time stamps: FAT counts in steps of two
    REMOTE_S = 60,  // how far the clock of a file server may be off
};

struct fingerprint {
    struct hasher *hasher;
    struct timespec since;
    bool racy;
};

static void add_bytes(struct fingerprint *fingerprint, const void *bytes, size_t len)
{
    uint64_t prefix = len;
    hasher_update(fingerprint->hasher, &prefix, sizeof(prefix));
    hasher_update(fingerprint->hasher, bytes, len);
}

static void add_text(struct fingerprint *fingerprint, const char *text)
{
    add_bytes(fingerprint, text ? text : "", text ? strlen(text) : 0);
}

// The clock that stamps files is the coarse one: what is changed from now on gets this time or a later one.
struct fingerprint *fingerprint_new(const struct layer_spec *spec)
{
    struct fingerprint *fingerprint = mem_new(struct fingerprint);
    clock_gettime(CLOCK_REALTIME_COARSE, &fingerprint->since);
    fingerprint->hasher = hasher_new(DIGEST_SHA256);
    int64_t rules[] = {spec->algorithm, spec->level, spec->mtime_s};
    add_text(fingerprint, layer_engine(spec));
    add_bytes(fingerprint, rules, sizeof(rules));
    return fingerprint;
}

void fingerprint_free(struct fingerprint *fingerprint)
{
    if (!fingerprint)
        return;
    hasher_free(fingerprint->hasher);
    free(fingerprint);
}

bool fingerprint_racy(const struct timespec *stamp, const struct timespec *since, bool slow)
{
    time_t margin = slow ? REMOTE_S : stamp->tv_nsec == 0 ? COARSE_S : 0;
    time_t limit = since->tv_sec - margin;
    return stamp->tv_sec > limit || (stamp->tv_sec == limit && stamp->tv_nsec >= since->tv_nsec);
}

static void add_state(struct fingerprint *fingerprint, const struct stat *st, bool slow_clock)
{
    int64_t state[] = {(int64_t)st->st_dev,     (int64_t)st->st_ino,      st->st_size,        st->st_mtim.tv_sec,
                       st->st_mtim.tv_nsec,     st->st_ctim.tv_sec,       st->st_ctim.tv_nsec, st->st_nlink > 1};
    add_bytes(fingerprint, state, sizeof(state));
    if (fingerprint_racy(&st->st_mtim, &fingerprint->since, slow_clock) ||
        fingerprint_racy(&st->st_ctim, &fingerprint->since, slow_clock))
        fingerprint->racy = true;
}

void fingerprint_add(struct fingerprint *fingerprint, const struct walk_item *item)
{
    int64_t numbers[] = {item->kind, item->mode, item->uid, item->gid, item->mtime_s, item->size};
    add_bytes(fingerprint, numbers, sizeof(numbers));
    add_text(fingerprint, item->path);
    add_text(fingerprint, item->target);
    if (item->data)
        add_bytes(fingerprint, item->data, (size_t)item->size);
    if (item->st && item->kind == WALK_FILE)
        add_state(fingerprint, item->st, item->slow_clock);
    for (size_t i = 0; item->entry && i < item->entry->n_xattrs; i++)
        add_text(fingerprint, item->entry->xattrs[i]);
}

void fingerprint_add_tar(struct fingerprint *fingerprint, size_t index, const struct layer_entry *entry,
                         const struct stat *st)
{
    int64_t numbers[] = {-1, (int64_t)index, entry->uid, entry->gid, entry->has_mtime, entry->mtime_s};
    add_bytes(fingerprint, numbers, sizeof(numbers));
    add_text(fingerprint, entry->to);
    add_text(fingerprint, entry->mode);
    add_text(fingerprint, entry->context.text);
    for (size_t i = 0; i < entry->n_xattrs; i++)
        add_text(fingerprint, entry->xattrs[i]);
    if (entry->type == LAYER_TAR)
        add_state(fingerprint, st, false);
}

void fingerprint_finish(struct fingerprint *fingerprint, struct digest *ret, bool *ret_stable)
{
    hasher_finish(fingerprint->hasher, ret);
    *ret_stable = !fingerprint->racy;
}
