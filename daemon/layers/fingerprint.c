// SPDX-License-Identifier: Apache-2.0
//
// Fed by the walk, either on its own (layer_fingerprint) or while the layer is packed, so that a layer is
// remembered under what was really read and not under what the tree was like a moment before.
#include "layers/fingerprint.h"

#include <string.h>

#include "base/mem.h"

enum {
    COARSE_S = 2,        // whole-second time stamps: FAT counts in steps of two
    REMOTE_S = 60,       // how far the clock of a file server may be off
    ITEM_MAX = 64 << 20, // bytes that count of one item: inline files are the largest
};

struct fingerprint {
    struct hasher *hasher;
    struct timespec since;
    bool racy;
    struct strbuf buf;
};

static void write_bytes(struct strbuf *buf, const void *bytes, size_t len)
{
    uint64_t prefix = len;
    strbuf_append(buf, &prefix, sizeof(prefix));
    strbuf_append(buf, bytes, len);
}

static void write_text(struct strbuf *buf, const char *text)
{
    write_bytes(buf, text ? text : "", text ? strlen(text) : 0);
}

static void take_buffer(struct fingerprint *fingerprint)
{
    hasher_update(fingerprint->hasher, strbuf_text(&fingerprint->buf), fingerprint->buf.len);
    strbuf_reset(&fingerprint->buf);
}

// The clock that stamps files is the coarse one: what is changed from now on gets this time or a later one.
struct fingerprint *fingerprint_new(const struct layer_spec *spec, enum layer_part part)
{
    struct fingerprint *fingerprint = mem_new(struct fingerprint);
    clock_gettime(CLOCK_REALTIME_COARSE, &fingerprint->since);
    fingerprint->hasher = hasher_new(DIGEST_SHA256);
    fingerprint->buf = STRBUF_INIT(ITEM_MAX);
    int64_t rules[] = {spec->algorithm, spec->level, spec->mtime_s, part, spec->drop_whiteouts};
    write_text(&fingerprint->buf, layer_engine(spec));
    write_bytes(&fingerprint->buf, rules, sizeof(rules));
    take_buffer(fingerprint);
    return fingerprint;
}

void fingerprint_free(struct fingerprint *fingerprint)
{
    if (!fingerprint)
        return;
    strbuf_free(&fingerprint->buf);
    hasher_free(fingerprint->hasher);
    free(fingerprint);
}

bool fingerprint_racy(const struct timespec *stamp, const struct timespec *since, bool slow)
{
    time_t margin = slow ? REMOTE_S : stamp->tv_nsec == 0 ? COARSE_S : 0;
    time_t limit = since->tv_sec - margin;
    return stamp->tv_sec > limit || (stamp->tv_sec == limit && stamp->tv_nsec >= since->tv_nsec);
}

static void write_state(struct strbuf *buf, const struct stat *st)
{
    int64_t state[] = {(int64_t)st->st_dev, (int64_t)st->st_ino, st->st_size,         st->st_mtim.tv_sec,
                       st->st_mtim.tv_nsec, st->st_ctim.tv_sec,  st->st_ctim.tv_nsec, st->st_nlink > 1};
    write_bytes(buf, state, sizeof(state));
}

static void judge_state(struct fingerprint *fingerprint, const struct stat *st, bool slow_clock)
{
    if (fingerprint_racy(&st->st_mtim, &fingerprint->since, slow_clock) ||
        fingerprint_racy(&st->st_ctim, &fingerprint->since, slow_clock))
        fingerprint->racy = true;
}

static bool has_state(const struct walk_item *item)
{
    return item && item->st && item->kind == WALK_FILE;
}

void fingerprint_write(struct strbuf *buf, const struct walk_item *item)
{
    int64_t numbers[] = {item->kind, item->mode, item->uid, item->gid, item->mtime_s, item->size};
    write_bytes(buf, numbers, sizeof(numbers));
    write_text(buf, item->path);
    write_text(buf, item->target);
    if (item->data)
        write_bytes(buf, item->data, (size_t)item->size);
    if (has_state(item))
        write_state(buf, item->st);
    for (size_t i = 0; item->entry && i < item->entry->n_xattrs; i++)
        write_text(buf, item->entry->xattrs[i]);
}

void fingerprint_take(struct fingerprint *fingerprint, const void *bytes, size_t len,
                      const struct walk_item *item)
{
    hasher_update(fingerprint->hasher, bytes, len);
    if (has_state(item))
        judge_state(fingerprint, item->st, item->slow_clock);
}

void fingerprint_add(struct fingerprint *fingerprint, const struct walk_item *item)
{
    fingerprint_write(&fingerprint->buf, item);
    fingerprint_take(fingerprint, strbuf_text(&fingerprint->buf), fingerprint->buf.len, item);
    strbuf_reset(&fingerprint->buf);
}

void fingerprint_add_tar(struct fingerprint *fingerprint, size_t index, const struct layer_entry *entry,
                         const struct stat *st)
{
    struct strbuf *buf = &fingerprint->buf;
    int64_t numbers[] = {-1,         (int64_t)index,   entry->type,   entry->uid,
                         entry->gid, entry->has_mtime, entry->mtime_s};
    write_bytes(buf, numbers, sizeof(numbers));
    write_text(buf, entry->to);
    write_text(buf, entry->mode);
    write_text(buf, entry->context.text);
    for (size_t i = 0; i < entry->n_xattrs; i++)
        write_text(buf, entry->xattrs[i]);
    if (entry->type == LAYER_TAR) {
        write_state(buf, st);
        judge_state(fingerprint, st, false);
    }
    take_buffer(fingerprint);
}

void fingerprint_finish(struct fingerprint *fingerprint, struct digest *ret, bool *ret_stable)
{
    hasher_finish(fingerprint->hasher, ret);
    *ret_stable = !fingerprint->racy;
}
