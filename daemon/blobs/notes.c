// SPDX-License-Identifier: Apache-2.0
//
// A file is named by the hash of its key and holds the SHA-256 of the rest, then the rest. Its mtime is the last use.
#include "blobs/notes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

struct notes {
    int dirfd;
    struct notes_limits limits;
    pthread_mutex_t lock; // leaf: one writer at a time, as file_publish_at wants it
};

static const char TEMPORARY[] = "."; // begins the names of files that are being written

struct notes *notes_open(const char *directory, struct notes_limits limits, struct error *err)
{
    if (file_make_directory(directory, 0700, err))
        return NULL;
    int dirfd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0) {
        error_set_errno(err, errno, "cannot open %s", directory);
        return NULL;
    }
    struct notes *notes = mem_new(struct notes);
    notes->dirfd = dirfd;
    notes->limits = limits;
    file_sweep_at(dirfd, TEMPORARY);
    pthread_mutex_init(&notes->lock, NULL);
    return notes;
}

void notes_free(struct notes *notes)
{
    if (!notes)
        return;
    pthread_mutex_destroy(&notes->lock);
    close(notes->dirfd);
    free(notes);
}

// --- room ----------------------------------------------------------------------------------------------------------------

struct held {
    size_t count;
    int64_t bytes;
    char oldest[NAME_MAX + 1];
    struct timespec oldest_use;
};

static bool is_older(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

static void count_one(struct held *held, int dirfd, const char *name)
{
    struct stat st;
    if (*name == *TEMPORARY || fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
        return;
    if (held->count == 0 || is_older(&st.st_mtim, &held->oldest_use)) {
        strcpy(held->oldest, name);
        held->oldest_use = st.st_mtim;
    }
    held->count++;
    held->bytes += st.st_size;
}

static void count_all(struct held *held, int dirfd)
{
    *held = (struct held){0};
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    if (!directory) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;)
        count_one(held, dirfd, entry->d_name);
    closedir(directory);
}

static void make_room(struct notes *notes)
{
    struct held held;
    count_all(&held, notes->dirfd);
    while (held.count > notes->limits.count || (held.bytes > notes->limits.bytes && held.count > 0)) {
        if (unlinkat(notes->dirfd, held.oldest, 0))
            return;
        count_all(&held, notes->dirfd);
    }
}

// --- notes ---------------------------------------------------------------------------------------------------------------

static void digest_bytes(const void *bytes, size_t len, struct digest *ret)
{
    digest_of(ret, DIGEST_SHA256, bytes, len);
}

static void name_of(const char *key, struct digest *ret)
{
    digest_bytes(key, strlen(key), ret);
}

void notes_put(struct notes *notes, const char *key, const void *bytes, size_t len)
{
    struct digest name, check;
    struct error why = ERROR_INIT;
    if (len > NOTE_BYTES_MAX)
        return;
    name_of(key, &name);
    digest_bytes(bytes, len, &check);
    size_t head = strlen(check.text);
    AUTO_FREE char *whole = mem_alloc(head + len);
    memcpy(whole, check.text, head);
    memcpy(whole + head, bytes, len);
    pthread_mutex_lock(&notes->lock);
    if (file_publish_at(notes->dirfd, digest_hex(&name), whole, head + len, 0600, &why))
        log_debug("a note was not kept: %s", why.detail);
    make_room(notes);
    pthread_mutex_unlock(&notes->lock);
    error_clear(&why);
}

void *notes_get(struct notes *notes, const char *key, size_t *ret_len)
{
    struct digest name, check;
    struct error ignored = ERROR_INIT;
    size_t len = 0;
    name_of(key, &name);
    char *whole = file_read_at(notes->dirfd, digest_hex(&name), NOTE_BYTES_MAX + DIGEST_TEXT_MAX, &len, &ignored);
    error_clear(&ignored);
    if (!whole)
        return NULL;
    size_t head = strlen(name.text);
    if (len >= head)
        digest_bytes(whole + head, len - head, &check);
    if (len < head || memcmp(whole, check.text, head) != 0) {
        free(whole);
        return NULL;
    }
    utimensat(notes->dirfd, digest_hex(&name), NULL, 0);
    *ret_len = len - head;
    memmove(whole, whole + head, *ret_len + 1);
    return whole;
}
