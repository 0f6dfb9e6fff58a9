// SPDX-License-Identifier: Apache-2.0
//
// Walks the headers of an archive that anybody may have made. No name of it ever reaches the file system;
// what is kept of an entry is where its bytes lie, checked against the length of the file. Of two files with
// one name readers of tar choose differently, so such archives are refused; under blobs/ the digest decides
// anyway.
#include "layout/tar_index.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/table.h"

enum { ENTRIES_MAX = 100000, NAME_BYTES_MAX = 4096, LINKS_MAX = 8, READ_BLOCK = 128 << 10 };

struct tar_entry {
    int64_t offset;
    int64_t size;
    char *target; // of a link: normal name; else NULL
    char name[];
};

struct tar_index {
    int fd;
    int64_t file_size;
    struct table *entries;
};

// "./a//b/../c" ▸ "a/c" in place; false if it leads out.
static bool normalise(char *name)
{
    char *out = name;
    for (const char *in = name; *in;) {
        in += strspn(in, "/");
        size_t len = strcspn(in, "/");
        bool up = len == 2 && in[0] == '.' && in[1] == '.';
        if (up && out == name)
            return false;
        if (up) {
            for (out--; out > name && *out != '/'; out--)
                ;
        } else if (len > 0 && !(len == 1 && *in == '.')) {
            if (out > name)
                *out++ = '/';
            memmove(out, in, len);
            out += len;
        }
        in += len;
    }
    *out = '\0';
    return true;
}

// The name that a link in `name` to `target` means; hard links count from the top of the archive.
static char *link_name(const char *name, const char *target, bool symbolic)
{
    const char *slash = strrchr(name, '/');
    bool relative = symbolic && target[0] != '/' && slash;
    AUTO_FREE char *full =
        relative ? mem_printf("%.*s/%s", (int)(slash - name), name, target) : mem_strdup(target);
    return normalise(full) ? mem_take(full) : NULL;
}

static int refuse_entry(struct error *err, const char *name, const char *why)
{
    AUTO_FREE char *quoted = str_quote(name, 120);
    return error_set(err, ERR_REGISTRY_PROTOCOL, "the archive's entry '%s' %s", quoted, why);
}

static int put_entry(struct tar_index *index, const char *name, int64_t offset, int64_t size, char *target,
                     struct error *err)
{
    struct tar_entry *entry = mem_calloc(1, sizeof *entry + strlen(name) + 1);
    entry->offset = offset;
    entry->size = size;
    entry->target = target;
    memcpy(entry->name, name, strlen(name));
    struct tar_entry *former = table_put(index->entries, entry->name, entry);
    if (!former)
        return 0;
    bool same = str_starts(name, "blobs/");
    free(former->target);
    free(former);
    return same ? 0 : refuse_entry(err, name, "is there twice");
}

static int add_file(struct tar_index *index, struct archive *reader, struct archive_entry *entry,
                    const char *name, struct error *err)
{
    int64_t offset = archive_filter_bytes(reader, 0);
    int64_t size = archive_entry_size(entry);
    if (archive_entry_sparse_count(entry) > 0)
        return refuse_entry(err, name, "is stored as a sparse file, which is not supported here");
    if (size < 0 || offset < 0 || size > index->file_size - offset)
        return refuse_entry(err, name, "is cut short");
    return put_entry(index, name, offset, size, NULL, err);
}

static int add_link(struct tar_index *index, struct archive_entry *entry, const char *name, struct error *err)
{
    const char *hard = archive_entry_hardlink(entry);
    const char *target = hard ? hard : archive_entry_symlink(entry);
    char *normal = target ? link_name(name, target, !hard) : NULL;
    return normal ? put_entry(index, name, 0, 0, normal, err) : 0; // one that leads out is not there
}

static int add_entry(struct tar_index *index, struct archive *reader, struct archive_entry *entry,
                     struct error *err)
{
    const char *raw = archive_entry_pathname(entry);
    if (table_count(index->entries) >= ENTRIES_MAX)
        return error_set(err, ERR_TOO_LARGE, "the archive has more than %d entries", ENTRIES_MAX);
    if (!raw || strlen(raw) > NAME_BYTES_MAX)
        return error_set(err, ERR_REGISTRY_PROTOCOL, "the archive has an entry without a usable name");
    AUTO_FREE char *name = mem_strdup(raw);
    if (!normalise(name) || *name == '\0')
        return 0;
    if (archive_entry_hardlink(entry) || archive_entry_filetype(entry) == AE_IFLNK)
        return add_link(index, entry, name, err);
    return archive_entry_filetype(entry) == AE_IFREG ? add_file(index, reader, entry, name, err) : 0;
}

static int refuse_archive(struct archive *reader, size_t n, struct error *err)
{
    const char *text = archive_error_string(reader);
    AUTO_FREE char *quoted = str_quote(text ? text : "unknown error", 200);
    if (n == 0)
        return error_set(err, ERR_REGISTRY_PROTOCOL, "the file is not a tar archive: %s", quoted);
    return error_set(err, ERR_REGISTRY_PROTOCOL, "the archive cannot be read beyond entry %zu: %s", n,
                     quoted);
}

static int walk(struct tar_index *index, struct archive *reader, const struct monitor *monitor,
                struct error *err)
{
    struct archive_entry *entry;
    if (archive_read_open_fd(reader, index->fd, READ_BLOCK) != ARCHIVE_OK)
        return refuse_archive(reader, 0, err);
    for (size_t n = 0;; n++) {
        int result = archive_read_next_header(reader, &entry);
        if (result == ARCHIVE_EOF)
            return 0;
        if (result != ARCHIVE_OK && result != ARCHIVE_WARN)
            return refuse_archive(reader, n, err);
        if (n > ENTRIES_MAX)
            return error_set(err, ERR_TOO_LARGE, "the archive has more than %d entries", ENTRIES_MAX);
        if (monitor_check(monitor, err) < 0 || add_entry(index, reader, entry, err) < 0)
            return -1;
    }
}

static int build(struct tar_index *index, const struct monitor *monitor, struct error *err)
{
    struct stat st;
    if (fstat(index->fd, &st) < 0)
        return error_set_errno(err, errno, "cannot look at the archive");
    index->file_size = st.st_size;
    struct archive *reader = archive_read_new();
    archive_read_support_format_tar(reader);
    int result = walk(index, reader, monitor, err);
    archive_read_free(reader);
    return result;
}

struct tar_index *tar_index_open(int fd, const struct monitor *monitor, struct error *err)
{
    struct tar_index *index = mem_new(struct tar_index);
    index->fd = fd;
    index->entries = table_new();
    if (build(index, monitor, err) == 0)
        return index;
    tar_index_close(index);
    return NULL;
}

void tar_index_close(struct tar_index *index)
{
    size_t position = 0;
    if (!index)
        return;
    for (struct tar_entry *entry; (entry = table_next(index->entries, &position));) {
        free(entry->target);
        free(entry);
    }
    table_free(index->entries);
    close(index->fd);
    free(index);
}

static const struct tar_entry *find(const struct tar_index *index, const char *name)
{
    AUTO_FREE char *normal = mem_strdup(name);
    const struct tar_entry *entry = normalise(normal) ? table_find(index->entries, normal) : NULL;
    for (int i = 0; entry && entry->target; i++)
        entry = i < LINKS_MAX ? table_find(index->entries, entry->target) : NULL;
    return entry;
}

int64_t tar_index_size(const struct tar_index *index, const char *name)
{
    const struct tar_entry *entry = find(index, name);
    return entry ? entry->size : -1;
}

struct range_reader {
    struct reader_at base;
    struct reader_at *file;
    int64_t offset;
};

static ssize_t range_read_at(struct reader_at *base, void *buffer, size_t len, int64_t offset,
                             struct error *err)
{
    struct range_reader *range = container_of(base, struct range_reader, base);
    if (offset < 0 || offset >= base->size)
        return 0;
    if ((int64_t)len > base->size - offset)
        len = (size_t)(base->size - offset);
    return reader_at_read(range->file, buffer, len, range->offset + offset, err);
}

static void range_close(struct reader_at *base)
{
    struct range_reader *range = container_of(base, struct range_reader, base);
    reader_at_close(range->file);
    free(range);
}

struct reader_at *tar_index_reader(const struct tar_index *index, const char *name, struct error *err)
{
    static const struct reader_at_ops ops = {.read_at = range_read_at, .close = range_close};
    const struct tar_entry *entry = find(index, name);
    if (!entry) {
        AUTO_FREE char *quoted = str_quote(name, 200);
        error_set(err, ERR_PATH_NOT_FOUND, "the archive has no file %s", quoted);
        return NULL;
    }
    int fd = fcntl(index->fd, F_DUPFD_CLOEXEC, 3);
    if (fd < 0) {
        error_set_errno(err, errno, "cannot read the archive");
        return NULL;
    }
    struct range_reader *range = mem_new(struct range_reader);
    range->base = (struct reader_at){.ops = &ops, .size = entry->size};
    range->file = reader_at_fd(fd, index->file_size);
    range->offset = entry->offset;
    return &range->base;
}
