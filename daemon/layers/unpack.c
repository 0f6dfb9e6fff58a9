// SPDX-License-Identifier: Apache-2.0
//
// Called while the tree of a spec is made, on the worker of the step, before the walk.
#include "layers/unpack.h"

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
#include "layers/charset.h"
#include "layers/walk.h"

enum { READ_BUFFER = 256 << 10, LINK_ID_NONE = 0 };

struct unpack {
    struct tree *tree;
    const struct layer_entry *entry;
    size_t priority;
    unpack_read *read;
    void *context;
    const char *shown;
    struct monitor *monitor;
    struct error *err;
    struct archive *archive;
    char *buffer;
    int spool;
    int64_t spool_end;
    int64_t bytes_read, bytes_made;
    size_t members;
    uint64_t next_link;
};

// --- reading -------------------------------------------------------------------------------------------------------

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

static int fail_member(struct unpack *unpack, const char *path, const char *what)
{
    AUTO_FREE char *quoted = str_quote(unpack->shown, 512);
    AUTO_FREE char *member = str_quote(path ? path : "", 512);
    return error_set(unpack->err, ERR_UNSUPPORTED_FILE, "the member \"%s\" of %s %s", member, quoted, what);
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

// --- spool ---------------------------------------------------------------------------------------------------------

static int open_spool(struct unpack *unpack, const char *directory)
{
    unpack->spool = tree_spool(unpack->tree);
    if (unpack->spool >= 0) {
        struct stat st;
        if (fstat(unpack->spool, &st) < 0)
            return error_set_errno(unpack->err, errno, "reading the spool");
        unpack->spool_end = st.st_size;
        return 0;
    }
    if (!directory)
        directory = getenv("TMPDIR");
    if (!directory || *directory != '/')
        directory = "/var/tmp";
    unpack->spool = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (unpack->spool < 0)
        return error_set_errno(unpack->err, errno, "making a spool file in %s", directory);
    tree_set_spool(unpack->tree, unpack->spool);
    return 0;
}

static int count_bytes(struct unpack *unpack, int64_t len)
{
    unpack->bytes_made += len;
    if (unpack->bytes_made <= UNPACK_RATIO_FREE ||
        (unpack->bytes_made <= UNPACK_BYTES_MAX && unpack->bytes_made / UNPACK_RATIO_MAX <= unpack->bytes_read))
        return 0;
    AUTO_FREE char *quoted = str_quote(unpack->shown, 512);
    return error_set(unpack->err, ERR_TOO_LARGE, "%s holds more than the limit: %lld bytes came out of %lld", quoted,
                     (long long)unpack->bytes_made, (long long)unpack->bytes_read);
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

// The content of the present member. Holes stay holes in the spool.
static int spool_content(struct unpack *unpack, int64_t size)
{
    const void *bytes;
    size_t len;
    int64_t offset;
    int status;
    if (count_bytes(unpack, size) < 0)
        return -1;
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

// --- members -------------------------------------------------------------------------------------------------------

static const char *component_fault(const char *name, size_t len)
{
    if (len == 2 && memcmp(name, "..", 2) == 0)
        return "has \"..\" in its name";
    if (len >= 4 && memcmp(name, ".wh.", 4) == 0)
        return "has a name that begins with .wh., which would delete files of the image below";
    return NULL;
}

static const char *name_fault(const char *path)
{
    if (!path || *path == '\0')
        return "has no name, or one that is not UTF-8";
    if (*path == '/')
        return "has an absolute name";
    if (strlen(path) > WALK_PATH_MAX)
        return "has a name of more than 4096 bytes";
    if (!str_utf8_valid(path, strlen(path)))
        return "has a name that is not UTF-8";
    for (const char *next = path; *next;) {
        size_t len = strcspn(next, "/");
        const char *fault = component_fault(next, len);
        if (fault)
            return fault;
        next += len + (next[len] == '/');
    }
    return NULL;
}

static char *path_in_image(const struct unpack *unpack, const char *name)
{
    return mem_printf("%s/%s", unpack->entry->to, name);
}

// Listed by the entry, and not there yet: some tars say each attribute twice, in two dialects.
static bool is_wanted(const struct layer_entry *entry, const struct xattrs *have, const char *name)
{
    for (size_t i = 0; i < have->n; i++)
        if (strcmp(have->items[i].name, name) == 0)
            return false;
    for (size_t i = 0; i < entry->n_xattrs; i++)
        if (strcmp(entry->xattrs[i], name) == 0)
            return true;
    return false;
}

static void take_xattrs(struct unpack *unpack, struct archive_entry *member, struct xattrs *ret)
{
    const char *name;
    const void *value;
    size_t len;
    if (unpack->entry->n_xattrs == 0 || archive_entry_xattr_reset(member) == 0)
        return;
    ret->items = tree_alloc(unpack->tree, unpack->entry->n_xattrs * sizeof(*ret->items));
    while (archive_entry_xattr_next(member, &name, &value, &len) == ARCHIVE_OK) {
        if (ret->n == unpack->entry->n_xattrs || len > XATTRS_VALUE_MAX || !is_wanted(unpack->entry, ret, name))
            continue;
        struct xattr *made = &ret->items[ret->n++];
        made->name = tree_alloc(unpack->tree, strlen(name) + 1);
        strcpy(made->name, name);
        made->value = tree_alloc(unpack->tree, len + 1);
        memcpy(made->value, value, len);
        made->len = len;
    }
}

static struct tree_member *make_member(struct unpack *unpack, struct archive_entry *member, const char *target)
{
    size_t len = target ? strlen(target) + 1 : 1;
    struct tree_member *made = tree_alloc(unpack->tree, sizeof(*made) + len);
    made->mode = archive_entry_mode(member) & 07777;
    made->offset = unpack->spool_end;
    if (target)
        memcpy(made->target, target, len);
    take_xattrs(unpack, member, &made->xattrs);
    return made;
}

static int add_op(struct unpack *unpack, const char *path, enum tree_kind kind, const struct tree_member *member)
{
    if (tree_blocked(unpack->tree, path, unpack->priority, kind == TREE_DIRECTORY))
        return fail_member(unpack, path, "lies below a member that is no directory");
    tree_add(unpack->tree, path, kind, unpack->priority, unpack->entry)->member = member;
    return 0;
}

static int add_file(struct unpack *unpack, const char *path, struct archive_entry *member)
{
    struct tree_member *made = make_member(unpack, member, NULL);
    made->size = archive_entry_size(member);
    if (made->size < 0)
        return fail_member(unpack, path, "has no size");
    return spool_content(unpack, made->size) < 0 ? -1 : add_op(unpack, path, TREE_FILE, made);
}

static int add_link(struct unpack *unpack, const char *path, struct archive_entry *member)
{
    const char *target = archive_entry_symlink_utf8(member);
    if (!target || *target == '\0' || strlen(target) > WALK_PATH_MAX || !str_utf8_valid(target, strlen(target)))
        return fail_member(unpack, path, "is a link whose text is empty, too long or not UTF-8");
    return add_op(unpack, path, TREE_SYMLINK, make_member(unpack, member, target));
}

// The earlier file of this tar that a hard link names.
static struct tree_member *find_earlier(struct unpack *unpack, const char *name)
{
    if (name_fault(name))
        return NULL;
    AUTO_FREE char *path = path_in_image(unpack, name);
    const struct tree_node *node = tree_find_path(unpack->tree, path);
    for (const struct tree_op *op = node ? node->ops : NULL; op; op = op->next)
        if (op->priority == unpack->priority && op->kind == TREE_FILE)
            return (struct tree_member *)op->member;
    return NULL;
}

static int add_hard_link(struct unpack *unpack, const char *path, const char *target)
{
    struct tree_member *earlier = find_earlier(unpack, target);
    if (!earlier)
        return fail_member(unpack, path, "is a hard link to something that is no earlier file of the tar");
    if (earlier->link_id == LINK_ID_NONE)
        earlier->link_id = ++unpack->next_link;
    return add_op(unpack, path, TREE_FILE, earlier);
}

static int add_member(struct unpack *unpack, struct archive_entry *member)
{
    const char *name = archive_entry_pathname_utf8(member);
    const char *fault = name_fault(name);
    if (fault)
        return fail_member(unpack, name ? name : archive_entry_pathname(member), fault);
    AUTO_FREE char *path = path_in_image(unpack, name);
    if (strlen(path) > WALK_PATH_MAX)
        return fail_member(unpack, name, "would have a path of more than 4096 bytes in the image");
    if (archive_entry_hardlink(member))
        return add_hard_link(unpack, path, archive_entry_hardlink_utf8(member));
    switch (archive_entry_filetype(member)) {
    case AE_IFREG:
        return add_file(unpack, path, member);
    case AE_IFDIR:
        return add_op(unpack, path, TREE_DIRECTORY, make_member(unpack, member, NULL));
    case AE_IFLNK:
        return add_link(unpack, path, member);
    default:
        return fail_member(unpack, name, "is a device, FIFO or socket, which cannot be put into a layer");
    }
}

static int add_members(struct unpack *unpack)
{
    struct archive_entry *member;
    int status;
    while ((status = archive_read_next_header(unpack->archive, &member)) == ARCHIVE_OK) {
        if (monitor_check(unpack->monitor, unpack->err) < 0)
            return -1;
        if (++unpack->members > UNPACK_MEMBERS_MAX)
            return error_set(unpack->err, ERR_TOO_LARGE, "a tar has more than %d members", UNPACK_MEMBERS_MAX);
        if (count_bytes(unpack, 0) < 0 || add_member(unpack, member) < 0)
            return -1;
    }
    return status == ARCHIVE_EOF ? 0 : fail_tar(unpack, unpack->members ? "is damaged" : "is not a tar");
}

int unpack_add(struct tree *tree, const struct layer_entry *entry, size_t priority, unpack_read *read, void *context,
               const char *spool, const char *shown, struct monitor *monitor, struct error *err)
{
    struct unpack unpack = {.tree = tree, .entry = entry, .priority = priority, .read = read, .context = context,
                            .shown = shown, .monitor = monitor, .err = err};
    struct charset charset;
    if (charset_enter(&charset, err) < 0)
        return -1;
    unpack.buffer = mem_alloc(READ_BUFFER);
    int status = open_spool(&unpack, spool) < 0 || open_archive(&unpack) < 0 ? -1 : add_members(&unpack);
    archive_read_free(unpack.archive);
    free(unpack.buffer);
    charset_leave(&charset);
    return status;
}
