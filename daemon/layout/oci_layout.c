// SPDX-License-Identifier: Apache-2.0
//
// A layout directory as a source and as a target. What must hold: all paths are opened beneath the root that
// the request may use; blobs and manifests appear whole under their digest or not at all; index.json changes
// last, by rename, under the lock, so a reader at any moment sees a complete layout and two writers never
// lose each other's tags. A target directory is touched when the first blob or tag goes into it, so that a
// job that fails before leaves nothing.
#include "layout/oci_layout.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "layout/blob_sink.h"
#include "layout/layout_index.h"
#include "layout/layout_read.h"
#include "layout/temp_file.h"

#define LOCK_FILE ".dray.lock"

enum { LOCK_WAIT_MS = 30000, LOCK_POLL_MS = 5, BLOB_NAME_MAX = sizeof "blobs/sha512/" + 128 };

struct oci_layout {
    const struct roots *roots; // borrowed
    char *path;
    int dirfd;              // -1: a target that is not there yet
    bool is_target;         // opened for writing
    bool ready;             // … and is a complete layout by now
    pthread_mutex_t making; // sinks are asked for by any thread
};

// Opens a regular file of the layout, also through links that stay inside the root.
static struct reader_at *open_file(struct oci_layout *layout, const char *name, struct error *err)
{
    struct stat st;
    AUTO_FREE char *path = mem_printf("%s/%s", layout->path, name);
    AUTO_CLOSE int fd = roots_open(layout->roots, path, O_RDONLY, 0, err);
    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) < 0) {
        error_set_errno(err, errno, "cannot look at %s", name);
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) {
        error_set(err, ERR_REGISTRY_PROTOCOL, "%s is not a regular file", name);
        return NULL;
    }
    int taken = fd;
    fd = -1;
    return reader_at_fd(taken, st.st_size);
}

static char *read_file(struct oci_layout *layout, const char *name, size_t max, size_t *ret_len,
                       struct error *err)
{
    struct reader_at *reader = open_file(layout, name, err);
    char *bytes = reader ? layout_read_all(reader, name, max, ret_len, err) : NULL;
    reader_at_close(reader);
    return bytes;
}

// For the documents that make a directory a layout: if one is not there, it is none.
static char *read_part(struct oci_layout *layout, const char *name, size_t max, size_t *ret_len,
                       struct error *err)
{
    char *bytes = read_file(layout, name, max, ret_len, err);
    if (!bytes && err->code == ERR_PATH_NOT_FOUND) {
        error_clear(err);
        error_set(err, ERR_REGISTRY_PROTOCOL, "it is not an OCI image layout: the file %s is missing", name);
    }
    return bytes;
}

static int check_version(struct oci_layout *layout, struct error *err)
{
    size_t len = 0;
    AUTO_FREE char *bytes = read_part(layout, LAYOUT_VERSION_FILE, LAYOUT_VERSION_BYTES_MAX, &len, err);
    return bytes ? layout_index_check_version(bytes, len, err) : -1;
}

static int wrap(struct oci_layout *layout, struct error *err)
{
    AUTO_FREE char *quoted = str_quote(layout->path, 200);
    return error_wrap(err, "%s", quoted);
}

static int open_directory(const struct roots *roots, const char *path, struct error *err)
{
    return roots_open(roots, path, O_RDONLY | O_DIRECTORY, 0, err);
}

static struct oci_layout *new_layout(const struct roots *roots, const char *path, int dirfd)
{
    struct oci_layout *layout = mem_new(struct oci_layout);
    *layout = (struct oci_layout){.roots = roots, .path = mem_strdup(path), .dirfd = dirfd};
    pthread_mutex_init(&layout->making, NULL);
    return layout;
}

struct oci_layout *oci_layout_open(const struct roots *roots, const char *path, struct error *err)
{
    int dirfd = open_directory(roots, path, err);
    struct oci_layout *layout = dirfd < 0 ? NULL : new_layout(roots, path, dirfd);
    if (!layout || check_version(layout, err) == 0)
        return layout;
    wrap(layout, err);
    oci_layout_close(layout);
    return NULL;
}

void oci_layout_close(struct oci_layout *layout)
{
    if (!layout)
        return;
    if (layout->dirfd >= 0)
        close(layout->dirfd);
    pthread_mutex_destroy(&layout->making);
    free(layout->path);
    free(layout);
}

// The lock is held while the descriptor is open. flock(2) belongs to the open file, so this serialises the
// workers of this process as well as other processes.
static int lock_layout(struct oci_layout *layout, struct error *err)
{
    const struct timespec pause = {.tv_nsec = LOCK_POLL_MS * 1000000L};
    AUTO_CLOSE int fd =
        openat(layout->dirfd, LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
    if (fd < 0)
        return error_set_errno(err, errno, "cannot open " LOCK_FILE);
    int64_t deadline = clock_ms() + LOCK_WAIT_MS;
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return error_set_errno(err, errno, "cannot lock " LOCK_FILE);
        if (clock_ms() > deadline)
            return error_set(err, ERR_CONFLICT, "another program holds " LOCK_FILE " for more than %d s",
                             LOCK_WAIT_MS / 1000);
        nanosleep(&pause, NULL);
    }
    int locked = fd;
    fd = -1;
    return locked;
}

struct content {
    bool has_version; // it is a layout
    bool has_lock;    // a writer of ours was here
    bool has_parts;   // blobs or index.json
    bool has_other;
};

// What an interrupted writer of ours may have left does not count.
static bool is_leftover(const char *name)
{
    return str_starts(name, ".dray-") || str_starts(name, "." LAYOUT_INDEX_FILE ".") ||
           str_starts(name, "." LAYOUT_VERSION_FILE ".");
}

static void look_at(struct content *content, const char *name)
{
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || is_leftover(name))
        return;
    if (strcmp(name, LAYOUT_VERSION_FILE) == 0)
        content->has_version = true;
    else if (strcmp(name, LOCK_FILE) == 0)
        content->has_lock = true;
    else if (strcmp(name, LAYOUT_INDEX_FILE) == 0 || strcmp(name, "blobs") == 0)
        content->has_parts = true;
    else
        content->has_other = true;
}

static int scan(struct oci_layout *layout, struct content *ret, struct error *err)
{
    *ret = (struct content){0};
    int copy = openat(layout->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = copy >= 0 ? fdopendir(copy) : NULL;
    if (!directory) {
        int failure = errno;
        if (copy >= 0)
            close(copy);
        return error_set_errno(err, failure, "cannot list the directory");
    }
    for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory))
        look_at(ret, entry->d_name);
    closedir(directory);
    return 0;
}

static int check_usable(struct oci_layout *layout, struct error *err)
{
    struct content content;
    if (scan(layout, &content, err) < 0)
        return -1;
    bool is_free = !content.has_other && (!content.has_parts || content.has_lock);
    if (content.has_version || is_free)
        return 0;
    error_set(err, ERR_CONFLICT, "the directory has other content and is not an OCI image layout");
    error_hint(err, "Name a directory that is absent, empty or already a layout.");
    return -1;
}

static int make_directory(int dirfd, const char *name, struct error *err)
{
    if (mkdirat(dirfd, name, 0755) < 0)
        return errno == EEXIST ? 0 : error_set_errno(err, errno, "cannot make the directory %s", name);
    if (fchmodat(dirfd, name, 0755, 0) < 0) // whatever the umask
        return error_set_errno(err, errno, "cannot set the mode of the directory %s", name);
    return file_fsync_directory(dirfd, err);
}

// Writes what is missing; oci-layout last, because it is what makes the directory a layout.
static int complete(struct oci_layout *layout, struct error *err)
{
    struct stat st;
    if (make_directory(layout->dirfd, "blobs", err) < 0 ||
        make_directory(layout->dirfd, "blobs/sha256", err) < 0)
        return -1;
    if (fstatat(layout->dirfd, LAYOUT_INDEX_FILE, &st, 0) < 0 &&
        file_publish_at(layout->dirfd, LAYOUT_INDEX_FILE, LAYOUT_INDEX_EMPTY, strlen(LAYOUT_INDEX_EMPTY),
                        0644, err) < 0)
        return -1;
    if (fstatat(layout->dirfd, LAYOUT_VERSION_FILE, &st, 0) == 0)
        return check_version(layout, err);
    return file_publish_at(layout->dirfd, LAYOUT_VERSION_FILE, LAYOUT_VERSION_TEXT,
                           strlen(LAYOUT_VERSION_TEXT), 0644, err);
}

static int prepare(struct oci_layout *layout, struct error *err)
{
    if (check_usable(layout, err) < 0)
        return -1;
    AUTO_CLOSE int lock = lock_layout(layout, err);
    if (lock < 0 || complete(layout, err) < 0)
        return -1;
    AUTO_CLOSE int blobs =
        openat(layout->dirfd, "blobs/sha256", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (blobs >= 0)
        temp_file_sweep(blobs);
    return 0;
}

// The directory may be a root itself, which has no parent that may be opened, so it is made only if it is not
// there.
static int open_or_make(struct oci_layout *layout, struct error *err)
{
    const char *name = NULL;
    layout->dirfd = open_directory(layout->roots, layout->path, err);
    if (layout->dirfd >= 0 || err->code != ERR_PATH_NOT_FOUND)
        return layout->dirfd < 0 ? -1 : 0;
    error_clear(err);
    AUTO_CLOSE int parent = roots_open_parent(layout->roots, layout->path, &name, err);
    if (parent < 0 || make_directory(parent, name, err) < 0)
        return -1;
    layout->dirfd = open_directory(layout->roots, layout->path, err);
    return layout->dirfd < 0 ? -1 : 0;
}

// Before anything is written.
static int make_ready(struct oci_layout *layout, struct error *err)
{
    pthread_mutex_lock(&layout->making);
    if (!layout->ready)
        layout->ready = (layout->dirfd >= 0 || open_or_make(layout, err) == 0) && prepare(layout, err) == 0;
    bool ready = layout->ready;
    pthread_mutex_unlock(&layout->making);
    return ready ? 0 : -1;
}

// What can be said without touching anything.
static int check_target(struct oci_layout *layout, struct error *err)
{
    const char *name = NULL;
    layout->dirfd = open_directory(layout->roots, layout->path, err);
    if (layout->dirfd >= 0)
        return check_usable(layout, err);
    if (err->code != ERR_PATH_NOT_FOUND)
        return -1;
    error_clear(err);
    AUTO_CLOSE int parent = roots_open_parent(layout->roots, layout->path, &name, err);
    return parent < 0 ? -1 : 0;
}

struct oci_layout *oci_layout_create(const struct roots *roots, const char *path, struct error *err)
{
    struct oci_layout *layout = new_layout(roots, path, -1);
    layout->is_target = true;
    if (check_target(layout, err) == 0)
        return layout;
    wrap(layout, err);
    oci_layout_close(layout);
    return NULL;
}

static void blob_name(const struct digest *digest, char ret[BLOB_NAME_MAX])
{
    snprintf(ret, BLOB_NAME_MAX, "blobs/%s/%s", digest_algorithm_name(digest), digest_hex(digest));
}

static int read_index(struct oci_layout *layout, struct manifest *ret, struct error *err)
{
    size_t len = 0;
    AUTO_FREE char *bytes = read_part(layout, LAYOUT_INDEX_FILE, MANIFEST_BYTES_MAX, &len, err);
    return bytes ? layout_index_parse(ret, bytes, len, err) : -1;
}

// A child of an index of the layout has no entry of its own: its own bytes tell what it is.
static int find_by_digest(struct oci_layout *layout, const char *text, struct descriptor *ret,
                          struct error *err)
{
    struct digest digest;
    char name[BLOB_NAME_MAX];
    size_t len = 0;
    if (digest_parse(&digest, text, err) < 0)
        return -1;
    blob_name(&digest, name);
    AUTO_FREE char *bytes = read_file(layout, name, MANIFEST_BYTES_MAX, &len, err);
    return bytes ? layout_read_descriptor(bytes, len, &digest, ret, err) : -1;
}

// A target into which nothing was written yet has no index.
static bool is_blank(struct oci_layout *layout)
{
    CLEANUP(error_clear) struct error why = ERROR_INIT;
    if (!layout->is_target)
        return false;
    struct reader_at *index = open_file(layout, LAYOUT_INDEX_FILE, &why);
    reader_at_close(index);
    return !index && why.code == ERR_PATH_NOT_FOUND;
}

int oci_layout_resolve(struct oci_layout *layout, const char *tag, struct descriptor *ret, struct error *err)
{
    struct manifest index;
    if (is_blank(layout)) {
        error_set(err, ERR_IMAGE_NOT_FOUND, "the layout holds no image yet");
        return wrap(layout, err);
    }
    if (read_index(layout, &index, err) < 0)
        return wrap(layout, err);
    const struct descriptor *found = layout_index_find(&index, tag, err);
    if (found)
        descriptor_copy(ret, found);
    manifest_clear(&index);
    if (found)
        return 0;
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    if (tag && digest_valid(tag) && find_by_digest(layout, tag, ret, &ignored) == 0) {
        error_clear(err);
        return 0;
    }
    return wrap(layout, err);
}

int oci_layout_manifest(struct oci_layout *layout, const struct descriptor *descriptor, struct manifest *ret,
                        struct error *err)
{
    char name[BLOB_NAME_MAX];
    size_t len = 0;
    blob_name(&descriptor->digest, name);
    AUTO_FREE char *bytes = read_file(layout, name, MANIFEST_BYTES_MAX, &len, err);
    return layout_read_manifest(bytes, len, descriptor, ret, err) < 0 ? wrap(layout, err) : 0;
}

int64_t oci_layout_blob_size(struct oci_layout *layout, const struct digest *digest)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    char name[BLOB_NAME_MAX];
    blob_name(digest, name);
    struct reader_at *reader = open_file(layout, name, &ignored);
    int64_t size = reader ? reader->size : -1;
    reader_at_close(reader);
    return size;
}

struct reader_at *oci_layout_blob_open(struct oci_layout *layout, const struct digest *digest,
                                       struct error *err)
{
    char name[BLOB_NAME_MAX];
    blob_name(digest, name);
    struct reader_at *reader = open_file(layout, name, err);
    if (reader)
        return reader;
    if (err->code == ERR_PATH_NOT_FOUND) {
        error_clear(err);
        error_set(err, ERR_BLOB_UNKNOWN, "the blob %s is missing", digest->text);
    }
    wrap(layout, err);
    return NULL;
}

struct sink *oci_layout_blob_sink(struct oci_layout *layout, const struct digest *digest, int64_t size,
                                  struct error *err)
{
    char name[BLOB_NAME_MAX];
    snprintf(name, sizeof name, "blobs/%s", digest_algorithm_name(digest));
    if (make_ready(layout, err) < 0 || make_directory(layout->dirfd, name, err) < 0) {
        wrap(layout, err);
        return NULL;
    }
    AUTO_FREE char *path = mem_printf("%s/%s", layout->path, name);
    AUTO_CLOSE int dirfd = roots_open(layout->roots, path, O_RDONLY | O_DIRECTORY, 0, err);
    return dirfd < 0 ? NULL : blob_sink_new(dirfd, digest, size, err);
}

static int put_tag(struct oci_layout *layout, const struct descriptor *manifest, const char *tag,
                   struct error *err)
{
    struct manifest index;
    if (make_ready(layout, err) < 0)
        return -1;
    if (oci_layout_blob_size(layout, &manifest->digest) != manifest->size)
        return error_set(err, ERR_INTERNAL, "the manifest %s was to be tagged before it was written",
                         manifest->digest.text);
    AUTO_CLOSE int lock = lock_layout(layout, err);
    if (lock < 0 || read_index(layout, &index, err) < 0)
        return -1;
    AUTO_FREE char *text = layout_index_put(&index, manifest, tag, err);
    manifest_clear(&index);
    return text ? file_publish_at(layout->dirfd, LAYOUT_INDEX_FILE, text, strlen(text), 0644, err) : -1;
}

int oci_layout_tag(struct oci_layout *layout, const struct descriptor *manifest, const char *tag,
                   struct error *err)
{
    return put_tag(layout, manifest, tag, err) < 0 ? wrap(layout, err) : 0;
}
