// SPDX-License-Identifier: Apache-2.0
//
// The JSON of an entry is made when its content is out, and spooled (layers/estargz_log) with holes where the
// offsets of blocks go, which nobody knows yet: there may be a million entries. The spool is read twice, once
// to know how long the table is, which its tar header must say, once to write it.
#include "layers/estargz.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "layers/estargz_log.h"

const char ESTARGZ_TOC_NAME[] = "stargz.index.json";
const char ESTARGZ_LANDMARK_NAME[] = ".no.prefetch.landmark";

struct chunk {
    struct chunk *next;
    size_t block;
    int64_t offset, size; // in the file
    char hex[65];
};

struct entry {
    char *name;
    const char *type;
    char *target;
    uint32_t mode;
    int64_t uid, gid, mtime_s, size;
    bool device;
    uint32_t major, minor;
    json_t *xattrs;
    char hex[65]; // digest of the whole content
    struct chunk *chunks, *last;
};

struct estargz {
    struct entry entry; // under way, if any has begun
    size_t n;
    struct estargz_log *log;     // of those before it
    struct hasher *whole, *part; // of the content under way
};

struct estargz *estargz_new(int spool)
{
    struct estargz *estargz = mem_new(struct estargz);
    estargz->log = estargz_log_new(spool);
    return estargz;
}

static void clear_entry(struct entry *entry)
{
    for (struct chunk *chunk = entry->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    free(entry->name);
    free(entry->target);
    json_decref(entry->xattrs);
    *entry = (struct entry){0};
}

void estargz_free(struct estargz *estargz)
{
    if (!estargz)
        return;
    clear_entry(&estargz->entry);
    estargz_log_free(estargz->log);
    hasher_free(estargz->whole);
    hasher_free(estargz->part);
    free(estargz);
}

static json_t *xattrs_of(const struct walk_item *item)
{
    if (!item->xattrs || item->xattrs->n == 0)
        return NULL;
    json_t *object = json_object();
    for (size_t i = 0; i < item->xattrs->n; i++) {
        AUTO_FREE char *text = base64_encode(item->xattrs->items[i].value, item->xattrs->items[i].len);
        json_object_set_new(object, item->xattrs->items[i].name, json_string(text));
    }
    return object;
}

static void describe_special(struct entry *entry, const struct tree_member *member)
{
    entry->mode |= member->mode & S_IFMT;
    if (S_ISFIFO(member->mode))
        return;
    entry->type = S_ISCHR(member->mode) ? "char" : "block";
    entry->device = true;
    entry->major = member->major;
    entry->minor = member->minor;
}

static void describe(struct entry *entry, const struct walk_item *item, const char *target)
{
    static const struct {
        const char *type;
        uint32_t bits;
    } kinds[] = {[WALK_DIRECTORY] = {"dir", 0040000},   [WALK_FILE] = {"reg", 0100000},
                 [WALK_SYMLINK] = {"symlink", 0120000}, [WALK_WHITEOUT] = {"reg", 0100000},
                 [WALK_OPAQUE] = {"reg", 0100000},      [WALK_SPECIAL] = {"fifo", 0}};
    *entry = (struct entry){.type = target ? "hardlink" : kinds[item->kind].type,
                            .mode = item->mode | kinds[item->kind].bits,
                            .uid = item->uid,
                            .gid = item->gid,
                            .mtime_s = item->mtime_s};
    entry->name = mem_printf("%s%s", item->path, item->kind == WALK_DIRECTORY ? "/" : "");
    entry->target = mem_strdup_null(target ? target : item->target);
    entry->size = item->kind == WALK_FILE && !target ? item->size : 0;
    entry->xattrs = xattrs_of(item);
    if (item->kind == WALK_SPECIAL)
        describe_special(entry, item->member);
}

// --- content
// -------------------------------------------------------------------------------------------------------

static void end_hash(struct hasher **hasher, char ret[65])
{
    struct digest digest;
    hasher_finish(*hasher, &digest);
    hasher_free(*hasher);
    *hasher = NULL;
    memcpy(ret, digest_hex(&digest), 65);
}

static void begin_chunk(struct estargz *estargz, struct entry *entry, size_t block)
{
    struct chunk *chunk = mem_new(struct chunk);
    chunk->block = block;
    if (entry->last) {
        end_hash(&estargz->part, entry->last->hex);
        chunk->offset = entry->last->offset + entry->last->size;
        entry->last->next = chunk;
    } else {
        entry->chunks = chunk;
        estargz->whole = hasher_new(DIGEST_SHA256);
    }
    entry->last = chunk;
    estargz->part = hasher_new(DIGEST_SHA256);
}

void estargz_content(struct estargz *estargz, size_t block, const void *bytes, size_t len)
{
    struct entry *entry = &estargz->entry;
    if (!entry->last || entry->last->block != block)
        begin_chunk(estargz, entry, block);
    hasher_update(estargz->part, bytes, len);
    hasher_update(estargz->whole, bytes, len);
    entry->last->size += (int64_t)len;
}

void estargz_content_end(struct estargz *estargz)
{
    struct entry *entry = &estargz->entry;
    if (!entry->last)
        return;
    end_hash(&estargz->part, entry->last->hex);
    end_hash(&estargz->whole, entry->hex);
}

// --- its JSON
// ------------------------------------------------------------------------------------------------------

static void set_digest(json_t *object, const char *key, const char hex[65])
{
    char text[80];
    snprintf(text, sizeof(text), "sha256:%s", hex);
    json_object_set_new(object, key, json_string(text));
}

// Only a chunk that others of its file follow says its size.
static void set_chunk(json_t *object, const struct chunk *chunk)
{
    json_object_set_new(object, "offset", json_integer(0)); // a hole, see log_object
    if (chunk->offset > 0)
        json_object_set_new(object, "chunkOffset", json_integer(chunk->offset));
    if (chunk->next)
        json_object_set_new(object, "chunkSize", json_integer(chunk->size));
    set_digest(object, "chunkDigest", chunk->hex);
}

static json_t *entry_object(const struct entry *entry)
{
    char time[CLOCK_TEXT_MAX];
    clock_format_s(entry->mtime_s, time);
    json_t *object = json_pack("{s:s, s:s}", "name", entry->name, "type", entry->type);
    if (entry->size > 0)
        json_object_set_new(object, "size", json_integer(entry->size));
    json_object_set_new(object, "modtime", json_string(time));
    if (entry->target)
        json_object_set_new(object, "linkName", json_string(entry->target));
    json_object_set_new(object, "mode", json_integer(entry->mode));
    json_object_set_new(object, "uid", json_integer(entry->uid));
    json_object_set_new(object, "gid", json_integer(entry->gid));
    if (entry->device) {
        json_object_set_new(object, "devMajor", json_integer(entry->major));
        json_object_set_new(object, "devMinor", json_integer(entry->minor));
    }
    if (entry->xattrs)
        json_object_set(object, "xattrs", entry->xattrs);
    if (entry->chunks) {
        set_digest(object, "digest", entry->hex);
        set_chunk(object, entry->chunks);
    }
    return object;
}

// In JSON no text can hold this: a quote in one has a backslash before it.
static const char HOLE[] = "\"offset\":0";

static int log_object(struct estargz *estargz, json_t *object, const struct chunk *chunk, bool first,
                      struct error *err)
{
    AUTO_FREE char *json = json_text(object);
    json_decref(object);
    if (!json)
        return error_set(err, ERR_INTERNAL, "an entry of the eStargz table cannot be written");
    AUTO_FREE char *text = mem_printf("%s%s", first ? "" : ",\n", json);
    char *hole = chunk ? strstr(text, HOLE) : NULL;
    if (!hole)
        return estargz_log_add(estargz->log, text, strlen(text), ESTARGZ_LOG_NO_BLOCK, err);
    char *rest = hole + strlen(HOLE);
    if (estargz_log_add(estargz->log, text, (size_t)(rest - 1 - text), chunk->block, err) < 0)
        return -1;
    return estargz_log_add(estargz->log, rest, strlen(rest), ESTARGZ_LOG_NO_BLOCK, err);
}

static int log_entry(struct estargz *estargz, struct error *err)
{
    const struct entry *entry = &estargz->entry;
    if (log_object(estargz, entry_object(entry), entry->chunks, estargz->n == 1, err) < 0)
        return -1;
    for (const struct chunk *chunk = entry->chunks ? entry->chunks->next : NULL; chunk; chunk = chunk->next) {
        json_t *object = json_pack("{s:s, s:s}", "name", entry->name, "type", "chunk");
        set_chunk(object, chunk);
        if (log_object(estargz, object, chunk, false, err) < 0)
            return -1;
    }
    return 0;
}

static int end_entry(struct estargz *estargz, struct error *err)
{
    int status = estargz->entry.name ? log_entry(estargz, err) : 0;
    clear_entry(&estargz->entry);
    return status;
}

int estargz_add(struct estargz *estargz, const struct walk_item *item, const char *target, struct error *err)
{
    if (end_entry(estargz, err) < 0)
        return -1;
    if (estargz->n >= ESTARGZ_ENTRIES_MAX)
        return error_set(err, ERR_TOO_LARGE, "an eStargz layer has at most %d entries; use gzip or zstd",
                         ESTARGZ_ENTRIES_MAX);
    estargz->n++;
    describe(&estargz->entry, item, target);
    return 0;
}

// --- the table
// -----------------------------------------------------------------------------------------------------

struct output {
    const struct blocks *blocks;
    estargz_write *write;
    void *context;
    struct hasher *hasher;
    int64_t len;
};

static int put(struct output *output, const char *text, size_t len, struct error *err)
{
    output->len += (int64_t)len;
    hasher_update(output->hasher, text, len);
    return output->write(output->context, text, len, err);
}

static int put_logged(void *context, const char *text, size_t len, uint64_t block, struct error *err)
{
    struct output *output = context;
    if (put(output, text, len, err) < 0)
        return -1;
    if (block == ESTARGZ_LOG_NO_BLOCK)
        return 0;
    char number[24];
    int digits = snprintf(number, sizeof(number), "%" PRId64, blocks_offset(output->blocks, (size_t)block));
    return put(output, number, (size_t)digits, err);
}

int estargz_format(struct estargz *estargz, const struct blocks *blocks, estargz_write *write, void *context,
                   int64_t *ret_len, struct digest *ret_digest, struct error *err)
{
    static const char begin[] = "{\"version\":1,\"entries\":[\n", end[] = "]}";
    struct output output = {
        .blocks = blocks, .write = write, .context = context, .hasher = hasher_new(DIGEST_SHA256)};
    struct digest digest;
    int status = end_entry(estargz, err);
    if (status == 0)
        status = put(&output, begin, strlen(begin), err);
    if (status == 0)
        status = estargz_log_replay(estargz->log, put_logged, &output, err);
    if (status == 0)
        status = put(&output, end, strlen(end), err);
    hasher_finish(output.hasher, &digest);
    hasher_free(output.hasher);
    if (ret_len)
        *ret_len = output.len;
    if (ret_digest)
        *ret_digest = digest;
    return status;
}

void estargz_footer(int64_t toc_offset, uint8_t ret[ESTARGZ_FOOTER])
{
    static const uint8_t head[] = {0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 26, 0, 'S', 'G', 22, 0};
    static const uint8_t empty[] = {1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0};
    char text[32];
    snprintf(text, sizeof(text), "%016" PRIx64 "STARGZ", (uint64_t)toc_offset);
    memcpy(ret, head, sizeof(head));
    memcpy(ret + sizeof(head), text, 22);
    memcpy(ret + sizeof(head) + 22, empty, sizeof(empty));
}
