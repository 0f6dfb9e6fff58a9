// SPDX-License-Identifier: Apache-2.0
//
// libarchive makes the headers; contents are read from the file straight to where they belong in the block,
// and passed to libarchive by that very address: with a block size of 0 it hands the pointer on to our write
// callback, and blocks_append sees that there is nothing to copy. A warning of libarchive is a failure: it
// means that an entry did not come out as it was asked for.
#include "layers/pack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "layers/charset.h"
#include "layers/estargz.h"
#include "layers/links.h"
#include "layers/source.h"
#include "layers/tail.h"

struct pack {
    struct blocks *blocks;
    struct archive *archive;
    struct archive_entry *entry;
    struct links *links;
    struct charset charset;
    int64_t entries;
    struct error *err; // of the call under way, for the callback
    bool ending;
    struct estargz *toc; // NULL unless eStargz
    struct tail *tail;   // where bytes go once the table is being written
};

// --- libarchive
// ----------------------------------------------------------------------------------------------------

// A failure of ours is only noted and seen by check(): libarchive would fall into its fatal state, in which
// it does not free everything. Once the pack is being freed nothing more is taken, so that no rest of an
// entry is filled up with zeros.
static la_ssize_t write_callback(struct archive *archive, void *context, const void *bytes, size_t len)
{
    (void)archive;
    struct pack *pack = context;
    if (pack->ending)
        return -1;
    if (pack->err->code != ERR_NONE)
        return (la_ssize_t)len;
    if (pack->tail)
        tail_append(pack->tail, bytes, len, pack->err);
    else
        blocks_append(pack->blocks, bytes, len, pack->err);
    return (la_ssize_t)len;
}

static int check(struct pack *pack, la_ssize_t status, const char *what)
{
    if (pack->err->code != ERR_NONE)
        return -1;
    if (status == ARCHIVE_OK)
        return 0;
    const char *why = archive_error_string(pack->archive);
    AUTO_FREE char *text = str_quote(why ? why : "no reason given", 512);
    AUTO_FREE char *quoted = str_quote(what, 512);
    return error_set(pack->err, ERR_INTERNAL, "the entry %s cannot be written to a tar: %s", quoted, text);
}

static int write_landmark(struct pack *pack);

struct pack *pack_new(struct blocks *blocks, int table, struct error *err)
{
    struct pack *pack = mem_new(struct pack);
    pack->blocks = blocks;
    pack->err = err;
    pack->links = links_new();
    pack->archive = archive_write_new();
    pack->entry = archive_entry_new();
    pack->toc = table >= 0 ? estargz_new(table) : NULL;
    if (charset_enter(&pack->charset, err) == 0 &&
        check(pack, archive_write_set_format_pax_restricted(pack->archive), "-") == 0 &&
        check(pack, archive_write_set_format_option(pack->archive, "pax", "xattrheader", "SCHILY"), "-") ==
            0 &&
        check(pack, archive_write_set_bytes_per_block(pack->archive, 0), "-") == 0 &&
        check(pack, archive_write_open(pack->archive, pack, NULL, write_callback, NULL), "-") == 0 &&
        (!pack->toc || write_landmark(pack) == 0))
        return pack;
    pack_free(pack);
    return NULL;
}

void pack_free(struct pack *pack)
{
    if (!pack)
        return;
    pack->ending = true;
    archive_write_free(pack->archive);
    archive_entry_free(pack->entry);
    links_free(pack->links);
    estargz_free(pack->toc);
    tail_free(pack->tail);
    charset_leave(&pack->charset);
    free(pack);
}

int64_t pack_entries(const struct pack *pack)
{
    return pack->entries;
}

// --- entries
// -------------------------------------------------------------------------------------------------------

static void describe(struct pack *pack, const struct walk_item *item)
{
    struct archive_entry *entry = pack->entry;
    archive_entry_clear(entry);
    archive_entry_copy_pathname(entry, *item->path ? item->path : ".");
    archive_entry_set_mode(entry, item->mode | AE_IFREG);
    archive_entry_set_uid(entry, item->uid);
    archive_entry_set_gid(entry, item->gid);
    archive_entry_set_mtime(entry, item->mtime_s, 0);
    archive_entry_set_size(entry, 0);
    for (size_t i = 0; item->xattrs && i < item->xattrs->n; i++) {
        const struct xattr *xattr = &item->xattrs->items[i];
        archive_entry_xattr_add_entry(entry, xattr->name, xattr->value, xattr->len);
    }
}

static int write_header(struct pack *pack, const struct walk_item *item)
{
    if (pack->toc && strcmp(item->path, ESTARGZ_TOC_NAME) == 0)
        return error_set(pack->err, ERR_UNSUPPORTED_FILE,
                         "an eStargz layer has its table at /%s, where a file of the tree lies",
                         ESTARGZ_TOC_NAME);
    if (pack->toc && estargz_add(pack->toc, item, archive_entry_hardlink(pack->entry), pack->err) < 0)
        return -1;
    pack->entries++;
    return check(pack, archive_write_header(pack->archive, pack->entry), item->path);
}

static int write_plain(struct pack *pack, const struct walk_item *item, unsigned int type)
{
    describe(pack, item);
    archive_entry_set_filetype(pack->entry, type);
    if (item->kind == WALK_SYMLINK)
        archive_entry_copy_symlink(pack->entry, item->target);
    return write_header(pack, item);
}

static int write_special(struct pack *pack, const struct walk_item *item)
{
    describe(pack, item);
    archive_entry_set_filetype(pack->entry, item->member->mode & AE_IFMT);
    archive_entry_set_rdevmajor(pack->entry, item->member->major);
    archive_entry_set_rdevminor(pack->entry, item->member->minor);
    return write_header(pack, item);
}

static int write_hard_link(struct pack *pack, const struct walk_item *item, const char *target)
{
    describe(pack, item);
    archive_entry_copy_hardlink(pack->entry, target);
    return write_header(pack, item);
}

static int write_bytes(struct pack *pack, const struct walk_item *item, const void *bytes, size_t len)
{
    if (pack->toc)
        estargz_content(pack->toc, blocks_number(pack->blocks), bytes, len);
    la_ssize_t written = archive_write_data(pack->archive, bytes, len);
    return check(pack, written == (la_ssize_t)len ? ARCHIVE_OK : ARCHIVE_FATAL, item->path);
}

static int64_t base_offset(const struct walk_item *item)
{
    return item->member ? item->member->offset : 0;
}

// One read, in place, from `at` in the file. Returns the bytes read, 0 at its end.
static ssize_t read_in_place(struct pack *pack, const struct walk_item *item, int64_t at, int64_t end)
{
    size_t room;
    uint8_t *place = blocks_room(pack->blocks, &room, pack->err);
    if (!place)
        return -1;
    size_t want = end - at < (int64_t)room ? (size_t)(end - at) : room;
    ssize_t got;
    do
        got = pread(item->fd, place, want, base_offset(item) + at);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return source_fail(pack->err, errno, "reading", item->shown);
    if (got > 0 && write_bytes(pack, item, place, (size_t)got) < 0)
        return -1;
    return got;
}

// A piece of a hole: nothing is read, so that the page cache is not filled with zeros.
static ssize_t write_zeros(struct pack *pack, const struct walk_item *item, int64_t len)
{
    size_t room;
    uint8_t *place = blocks_room(pack->blocks, &room, pack->err);
    if (!place)
        return -1;
    size_t part = len < (int64_t)room ? (size_t)len : room;
    memset(place, 0, part);
    return write_bytes(pack, item, place, part) < 0 ? -1 : (ssize_t)part;
}

// Where the next hole of a sparse file begins, and where it ends; both the size if there is none.
static void find_hole(const struct walk_item *item, int64_t at, int64_t *ret_begin, int64_t *ret_end)
{
    *ret_begin = *ret_end = item->size;
    if (!item->st || item->st->st_blocks * 512 >= item->size)
        return;
    off_t hole = lseek(item->fd, at, SEEK_HOLE);
    if (hole < 0 || hole >= item->size)
        return;
    off_t data = lseek(item->fd, hole, SEEK_DATA);
    *ret_begin = hole;
    if (data >= 0 && data < item->size)
        *ret_end = data;
}

static int fail_short(struct pack *pack, const struct walk_item *item, int64_t left)
{
    AUTO_FREE char *shown = str_quote(item->shown, 1024);
    error_set(pack->err, ERR_SOURCE_CHANGED, "%s shrank while it was read: %lld of %lld bytes are missing",
              shown, (long long)left, (long long)item->size);
    error_hint(pack->err, "Post the job again when nothing writes to the tree any more.");
    return -1;
}

static int write_from_disk(struct pack *pack, const struct walk_item *item)
{
    int64_t hole = -1, hole_end = -1;
    for (int64_t at = 0; at < item->size;) {
        if (at >= hole_end)
            find_hole(item, at, &hole, &hole_end);
        ssize_t got =
            at < hole ? read_in_place(pack, item, at, hole) : write_zeros(pack, item, hole_end - at);
        if (got < 0)
            return -1;
        if (got == 0)
            return fail_short(pack, item, item->size - at);
        at += got;
    }
    struct stat now;
    if (!item->st)
        return 0;
    if (fstat(item->fd, &now) < 0)
        return source_fail(pack->err, errno, "reading", item->shown);
    return source_check_same(item->st, &now, item->shown, pack->err);
}

// Small pieces, each within one block, so that every chunk is known.
static int write_from_memory(struct pack *pack, const struct walk_item *item)
{
    const char *next = item->data;
    for (size_t left = (size_t)item->size; left > 0;) {
        size_t room;
        if (!blocks_room(pack->blocks, &room, pack->err))
            return -1;
        size_t part = left < room ? left : room;
        if (write_bytes(pack, item, next, part) < 0)
            return -1;
        next += part;
        left -= part;
    }
    return 0;
}

// The content of a file begins a gzip member of its own in an eStargz.
static int write_content(struct pack *pack, const struct walk_item *item)
{
    if (item->size == 0)
        return 0;
    if (pack->toc && blocks_cut(pack->blocks, pack->err) < 0)
        return -1;
    if ((item->fd >= 0 ? write_from_disk(pack, item) : write_from_memory(pack, item)) < 0)
        return -1;
    if (pack->toc)
        estargz_content_end(pack->toc);
    return check(pack, archive_write_finish_entry(pack->archive), item->path);
}

// The path under which the same file of the same source was written before, or NULL.
static const char *find_first_name(struct pack *pack, const struct walk_item *item)
{
    if (item->st && item->st->st_nlink > 1)
        return links_meet(pack->links, item->entry, item->st->st_dev, item->st->st_ino, item->path);
    if (item->member && item->member->linked)
        return links_meet(pack->links, item->member, 0, 0, item->path);
    return NULL;
}

static int write_file(struct pack *pack, const struct walk_item *item)
{
    const char *first = find_first_name(pack, item);
    if (first)
        return write_hard_link(pack, item, first);
    if (!pack->toc && blocks_boundary(pack->blocks, item->path, item->size, pack->err) < 0)
        return -1;
    describe(pack, item);
    archive_entry_set_size(pack->entry, item->size);
    return write_header(pack, item) < 0 ? -1 : write_content(pack, item);
}

int pack_write(struct pack *pack, const struct walk_item *item, struct error *err)
{
    pack->err = err;
    switch (item->kind) {
    case WALK_DIRECTORY:
        return write_plain(pack, item, AE_IFDIR);
    case WALK_SYMLINK:
        return write_plain(pack, item, AE_IFLNK);
    case WALK_FILE:
        return write_file(pack, item);
    case WALK_SPECIAL:
        return write_special(pack, item);
    default:
        return write_plain(pack, item, AE_IFREG);
    }
}

// --- eStargz
// -------------------------------------------------------------------------------------------------------

static int write_landmark(struct pack *pack)
{
    struct walk_item item = {.kind = WALK_FILE,
                             .path = ESTARGZ_LANDMARK_NAME,
                             .mode = 0644,
                             .size = 1,
                             .data = "\x0f",
                             .fd = -1,
                             .shown = ESTARGZ_LANDMARK_NAME};
    int status = write_file(pack, &item);
    pack->entries = 0; // of the tree
    return status;
}

static int count_text(void *context, const char *text, size_t len, struct error *err)
{
    (void)context, (void)text, (void)len, (void)err;
    return 0;
}

static int write_text(void *context, const char *text, size_t len, struct error *err)
{
    (void)err;
    struct pack *pack = context;
    la_ssize_t written = archive_write_data(pack->archive, text, len);
    return check(pack, written == (la_ssize_t)len ? ARCHIVE_OK : ARCHIVE_FATAL, ESTARGZ_TOC_NAME);
}

static int write_table(struct pack *pack, struct digest *ret)
{
    int64_t len;
    if (estargz_format(pack->toc, pack->blocks, count_text, NULL, &len, NULL, pack->err) < 0)
        return -1;
    struct walk_item item = {.kind = WALK_FILE, .path = ESTARGZ_TOC_NAME, .mode = 0444};
    describe(pack, &item);
    archive_entry_set_size(pack->entry, len);
    if (check(pack, archive_write_header(pack->archive, pack->entry), ESTARGZ_TOC_NAME) < 0)
        return -1;
    return estargz_format(pack->toc, pack->blocks, write_text, pack, NULL, ret, pack->err);
}

// The table and the end of the tar in one last member, then the footer.
static int finish_estargz(struct pack *pack, struct digest *ret)
{
    if (blocks_settle(pack->blocks, pack->err) < 0)
        return -1;
    int64_t offset = blocks_size(pack->blocks);
    pack->tail = tail_new(pack->blocks, pack->err);
    if (!pack->tail || write_table(pack, ret) < 0 ||
        check(pack, archive_write_close(pack->archive), "-") < 0 || tail_finish(pack->tail, pack->err) < 0)
        return -1;
    uint8_t footer[ESTARGZ_FOOTER];
    estargz_footer(offset, footer);
    return blocks_put(pack->blocks, NULL, 0, footer, sizeof(footer), pack->err);
}

int pack_finish(struct pack *pack, struct digest *ret_toc, struct error *err)
{
    pack->err = err;
    return pack->toc ? finish_estargz(pack, ret_toc) : check(pack, archive_write_close(pack->archive), "-");
}
