// SPDX-License-Identifier: Apache-2.0
//
// Lets libarchive format one header into memory. The entry has no content there: its writer is set to failed,
// so that ending it neither adds zeros for the content nor counts as success; the trailer that it still
// writes is dropped.
#include "layout/tar_header.h"

#include <archive.h>
#include <archive_entry.h>

struct capture {
    struct strbuf *header;
    bool done;
};

static la_ssize_t capture_write(struct archive *archive, void *arg, const void *bytes, size_t len)
{
    (void)archive;
    const struct capture *capture = arg;
    if (capture->done)
        return (la_ssize_t)len;
    return strbuf_append(capture->header, bytes, len) < 0 ? -1 : (la_ssize_t)len;
}

static struct archive_entry *make_entry(const char *name, int64_t size)
{
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, size);
    archive_entry_set_mtime(entry, 0, 0);
    return entry;
}

int tar_header_file(struct strbuf *ret, const char *name, int64_t size, struct error *err)
{
    struct capture capture = {.header = ret};
    struct archive *writer = archive_write_new();
    struct archive_entry *entry = make_entry(name, size);
    archive_write_set_format_pax_restricted(writer);
    archive_write_set_bytes_per_block(writer, 0);
    int result = archive_write_open(writer, &capture, NULL, capture_write, NULL);
    if (result == ARCHIVE_OK)
        result = archive_write_header(writer, entry);
    if (result != ARCHIVE_OK)
        error_set(err, ERR_INTERNAL, "cannot make a tar header: %s", archive_error_string(writer));
    capture.done = true;
    archive_write_fail(writer);
    archive_write_close(writer); // frees what archive_write_free does not after a failure
    archive_write_free(writer);
    archive_entry_free(entry);
    return result == ARCHIVE_OK ? 0 : -1;
}

int64_t tar_header_padding(int64_t size)
{
    return (TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK;
}
