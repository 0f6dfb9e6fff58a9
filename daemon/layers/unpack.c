// SPDX-License-Identifier: Apache-2.0
//
// Called while the tree of a spec is made, on the worker of the step, before the walk.
#include "layers/unpack.h"

#include <archive.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "layers/charset.h"
#include "layers/unpack_member.h"

enum { READ_BUFFER = 256 << 10 };

// --- reading
// -------------------------------------------------------------------------------------------------------

static la_ssize_t read_callback(struct archive *archive, void *context, const void **ret)
{
    struct unpack *unpack = context;
    ssize_t got = unpack->read(unpack->context, unpack->buffer, READ_BUFFER, unpack->err);
    if (got < 0)
        archive_set_error(archive, EIO, "the tar could not be read");
    else
        unpack->bytes_read += got;
    *ret = unpack->buffer;
    return got;
}

static int fail_tar(struct unpack *unpack, const char *what)
{
    if (unpack->err->code != ERR_NONE)
        return -1;
    AUTO_FREE char *quoted = str_quote(unpack->shown, 512);
    const char *why = archive_error_string(unpack->archive);
    AUTO_FREE char *text = str_quote(why ? why : "no reason given", 512);
    return error_set(unpack->err, ERR_UNSUPPORTED_FILE, "%s %s: %s", quoted, what, text);
}

// Tar in the usual compressions, each by a library: libarchive would run programs for others.
static int open_archive(struct unpack *unpack)
{
    struct archive *archive = unpack->archive = archive_read_new();
    archive_read_support_filter_gzip(archive);
    archive_read_support_filter_bzip2(archive);
    archive_read_support_filter_xz(archive);
    archive_read_support_filter_lzma(archive);
    archive_read_support_filter_zstd(archive);
    archive_read_support_filter_lz4(archive);
    archive_read_support_format_tar(archive);
    if (archive_read_open(archive, unpack, NULL, read_callback, NULL) != ARCHIVE_OK)
        return fail_tar(unpack, "is not a tar");
    return 0;
}

// --- spool
// ---------------------------------------------------------------------------------------------------------

int unpack_open_spool(int dirfd, struct error *err)
{
    const char *directory = getenv("TMPDIR");
    if (!directory || *directory != '/')
        directory = "/var/tmp";
    int fd = dirfd > 0 ? openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)
                       : open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        error_set_errno(err, errno, "making a spool file in %s",
                        dirfd > 0 ? "the spool directory" : directory);
    return fd;
}

static int find_end(struct unpack *unpack)
{
    struct stat st;
    unpack->spool = tree_spool(unpack->tree);
    if (fstat(unpack->spool, &st) < 0)
        return error_set_errno(unpack->err, errno, "reading the spool of a tar");
    unpack->spool_end = st.st_size;
    return 0;
}

static int count_bytes(struct unpack *unpack, int64_t len)
{
    unpack->bytes_made += len;
    if (unpack->bytes_made <= UNPACK_RATIO_FREE ||
        (unpack->bytes_made <= UNPACK_BYTES_MAX &&
         unpack->bytes_made / UNPACK_RATIO_MAX <= unpack->bytes_read))
        return 0;
    AUTO_FREE char *quoted = str_quote(unpack->shown, 512);
    return error_set(unpack->err, ERR_TOO_LARGE, "%s holds more than the limit: %lld bytes came out of %lld",
                     quoted, (long long)unpack->bytes_made, (long long)unpack->bytes_read);
}

static int write_at(struct unpack *unpack, const char *bytes, size_t len, int64_t offset)
{
    while (len > 0) {
        ssize_t done = pwrite(unpack->spool, bytes, len, offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return error_set_errno(unpack->err, errno, "writing the spool of a tar");
        bytes += done;
        len -= (size_t)done;
        offset += done;
    }
    return 0;
}

// Holes stay holes in the spool.
int unpack_content(struct unpack *unpack, int64_t size)
{
    const void *bytes;
    size_t len;
    int64_t offset;
    int status;
    if (count_bytes(unpack, size) < 0)
        return -1;
    if (unpack->names_only)
        return archive_read_data_skip(unpack->archive) == ARCHIVE_OK ? 0 : fail_tar(unpack, "is damaged");
    while ((status = archive_read_data_block(unpack->archive, &bytes, &len, &offset)) == ARCHIVE_OK) {
        if (monitor_check(unpack->monitor, unpack->err) < 0)
            return -1;
        if (offset < 0 || offset > size || (int64_t)len > size - offset)
            return fail_tar(unpack, "is damaged");
        if (write_at(unpack, bytes, len, unpack->spool_end + offset) < 0)
            return -1;
    }
    if (status != ARCHIVE_EOF)
        return fail_tar(unpack, "is damaged");
    unpack->spool_end += size;
    if (ftruncate(unpack->spool, unpack->spool_end) < 0)
        return error_set_errno(unpack->err, errno, "writing the spool of a tar");
    return 0;
}

static int add_members(struct unpack *unpack)
{
    struct archive_entry *member;
    int status;
    while ((status = archive_read_next_header(unpack->archive, &member)) == ARCHIVE_OK) {
        if (monitor_check(unpack->monitor, unpack->err) < 0)
            return -1;
        if (++unpack->members > UNPACK_MEMBERS_MAX)
            return error_set(unpack->err, ERR_TOO_LARGE, "a tar has more than %d members",
                             UNPACK_MEMBERS_MAX);
        if (count_bytes(unpack, 0) < 0 || unpack_member_add(unpack, member) < 0)
            return -1;
    }
    return status == ARCHIVE_EOF ? 0 : fail_tar(unpack, unpack->members ? "is damaged" : "is not a tar");
}

int unpack_add(struct tree *tree, const struct layer_entry *entry, size_t priority, unpack_read *read,
               void *context, bool names_only, const char *shown, struct monitor *monitor, struct error *err)
{
    struct unpack unpack = {.tree = tree,
                            .entry = entry,
                            .priority = priority,
                            .read = read,
                            .context = context,
                            .shown = shown,
                            .monitor = monitor,
                            .names_only = names_only,
                            .err = err};
    struct charset charset;
    if (charset_enter(&charset, err) < 0)
        return -1;
    unpack.buffer = mem_alloc(READ_BUFFER);
    int status =
        (!names_only && find_end(&unpack) < 0) || open_archive(&unpack) < 0 ? -1 : add_members(&unpack);
    archive_read_free(unpack.archive);
    free(unpack.buffer);
    charset_leave(&charset);
    return status;
}
