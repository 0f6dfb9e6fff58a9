// SPDX-License-Identifier: Apache-2.0
//
// Opens archives as sources. The unpacked copy of a compressed one has no name, so it ends with its
// descriptor, and is limited in size and in ratio: a small file may not fill the disk.
#include "layout/archive_file.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "layout/layout_read.h"
#include "layout/temp_file.h"

enum { SPOOL_BLOCK = 256 << 10, RATIO_MAX = 500, RATIO_FREE_BYTES = 64 << 20 };

static int open_regular(const struct roots *roots, const char *path, int64_t *ret_size, struct error *err)
{
    struct stat st;
    AUTO_CLOSE int fd = roots_open(roots, path, O_RDONLY, 0, err);
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) < 0)
        return error_set_errno(err, errno, "cannot look at the archive");
    if (!S_ISREG(st.st_mode)) {
        AUTO_FREE char *quoted = str_quote(path, 200);
        return error_set(err, ERR_REGISTRY_PROTOCOL, "%s is not a regular file", quoted);
    }
    *ret_size = st.st_size;
    int taken = fd;
    fd = -1;
    return taken;
}

static bool is_compressed(int fd)
{
    static const struct {
        const char *bytes;
        size_t len;
    } magics[] = {{"\x1f\x8b", 2},
                  {"\x28\xb5\x2f\xfd", 4},
                  {"\xfd"
                   "7zXZ",
                   5},
                  {"BZh", 3}};
    char head[8] = {0};
    if (pread(fd, head, sizeof head, 0) < 0)
        return false;
    for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++)
        if (memcmp(head, magics[i].bytes, magics[i].len) == 0)
            return true;
    return false;
}

static int open_spool(const struct archive_spool *spool, struct error *err)
{
    struct temp_file temp;
    if (!spool || spool->dirfd < 0) {
        error_set(err, ERR_REGISTRY_PROTOCOL,
                  "the archive is compressed, and there is no place to unpack it");
        error_hint(err, "Decompress it first; layers inside it may be compressed.");
        return -1;
    }
    int fd = spool->file ? fcntl(spool->file, F_DUPFD_CLOEXEC, 3)
                         : openat(spool->dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || temp_file_open(&temp, spool->dirfd, 0600, err) < 0)
        return fd;
    fd = temp.fd;
    temp.fd = -1;
    temp_file_close(&temp); // unlinks: the descriptor is all that is left
    return fd;
}

static int refuse_stream(struct archive *reader, struct error *err)
{
    const char *text = archive_error_string(reader);
    AUTO_FREE char *quoted = str_quote(text ? text : "unknown error", 200);
    return error_set(err, ERR_REGISTRY_PROTOCOL, "the archive cannot be unpacked: %s", quoted);
}

static int copy_stream(struct archive *reader, int spool_fd, int64_t limit, const struct monitor *monitor,
                       struct error *err)
{
    AUTO_FREE char *buffer = mem_alloc(SPOOL_BLOCK);
    for (int64_t total = 0;;) {
        la_ssize_t n = archive_read_data(reader, buffer, SPOOL_BLOCK);
        if (n == 0)
            return 0;
        if (n < 0)
            return refuse_stream(reader, err);
        total += n;
        if (total > limit)
            return error_set(err, ERR_TOO_LARGE, "the archive has more than %lld bytes once it is unpacked",
                             (long long)limit);
        if (monitor_check(monitor, err) < 0 || file_write_all(spool_fd, buffer, (size_t)n, err) < 0)
            return -1;
    }
}

static int unpack(int fd, int spool_fd, int64_t limit, const struct monitor *monitor, struct error *err)
{
    struct archive_entry *entry;
    struct archive *reader = archive_read_new();
    archive_read_support_filter_gzip(reader);
    archive_read_support_filter_zstd(reader);
    archive_read_support_filter_xz(reader);
    archive_read_support_filter_bzip2(reader);
    archive_read_support_format_raw(reader);
    int result;
    if (archive_read_open_fd(reader, fd, SPOOL_BLOCK) != ARCHIVE_OK ||
        archive_read_next_header(reader, &entry) != ARCHIVE_OK)
        result = refuse_stream(reader, err);
    else
        result = copy_stream(reader, spool_fd, limit, monitor, err);
    archive_read_free(reader);
    return result;
}

// What an honest archive of that size may become.
static int64_t unpacked_limit(const struct archive_spool *spool, int64_t size)
{
    int64_t by_ratio =
        size > INT64_MAX / RATIO_MAX - RATIO_FREE_BYTES ? INT64_MAX : size * RATIO_MAX + RATIO_FREE_BYTES;
    return by_ratio < spool->bytes_max ? by_ratio : spool->bytes_max;
}

// Gives fd back, or an unpacked copy of it instead.
static int uncompressed(int fd, int64_t size, const struct archive_spool *spool,
                        const struct monitor *monitor, struct error *err)
{
    if (!is_compressed(fd))
        return fd;
    AUTO_CLOSE int packed = fd;
    AUTO_CLOSE int spool_fd = open_spool(spool, err);
    if (spool_fd < 0 || unpack(packed, spool_fd, unpacked_limit(spool, size), monitor, err) < 0)
        return -1;
    int taken = spool_fd;
    spool_fd = -1;
    lseek(taken, 0, SEEK_SET);
    return taken;
}

struct tar_index *archive_file_open(const struct roots *roots, const char *path,
                                    const struct archive_spool *spool, const struct monitor *monitor,
                                    struct error *err)
{
    int64_t size = 0;
    int fd = open_regular(roots, path, &size, err);
    if (fd < 0)
        return NULL;
    fd = uncompressed(fd, size, spool, monitor, err);
    struct tar_index *index = fd < 0 ? NULL : tar_index_open(fd, monitor, err);
    if (!index) {
        AUTO_FREE char *quoted = str_quote(path, 200);
        error_wrap(err, "%s", quoted);
    }
    return index;
}

char *archive_file_read(struct tar_index *tar, const char *name, size_t max, size_t *ret_len, struct error *err)
{
    struct reader_at *reader = tar_index_reader(tar, name, err);
    char *bytes = reader ? layout_read_all(reader, name, max, ret_len, err) : NULL;
    reader_at_close(reader);
    return bytes;
}

struct reader_at *archive_file_blob(struct tar_index *tar, const char *path, const char *name,
                                    const struct digest *digest, struct error *err)
{
    if (name && tar_index_size(tar, name) >= 0)
        return tar_index_reader(tar, name, err);
    error_set(err, ERR_BLOB_UNKNOWN, "the blob %s is missing", digest->text);
    archive_file_wrap(path, err);
    return NULL;
}

int archive_file_wrap(const char *path, struct error *err)
{
    AUTO_FREE char *quoted = str_quote(path, 200);
    return error_wrap(err, "%s", quoted);
}
