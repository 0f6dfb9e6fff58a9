// SPDX-License-Identifier: Apache-2.0
//
// Queries that keep build contexts, see context_file.h, whatever kind of tar it is; the layer that uses
// it judges that. What must hold: the name appears only after the bytes under it were found to have that
// digest and are on disk.
#include "images/image_query_room.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "images/context_file.h"
#include "images/query_pipe.h"

struct context_sink {
    struct sink base;
    struct hasher *hasher;
    int fd;
    int64_t size;
};

static int context_write(struct sink *sink, const void *bytes, size_t len, struct error *err)
{
    struct context_sink *self = container_of(sink, struct context_sink, base);
    if (file_write_all(self->fd, bytes, len, err))
        return -1;
    hasher_update(self->hasher, bytes, len);
    self->size += (int64_t)len;
    return 0;
}

static const struct sink_ops context_ops = {.write = context_write};

static int open_directory(const char *parent, const char *name, struct error *err)
{
    AUTO_FREE char *path = mem_printf("%s/%s", parent, name);
    if (file_make_directory(parent, 0700, err) || file_make_directory(path, 0700, err))
        return -1;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 ? fd : error_set_errno(err, errno, "cannot open %s", path);
}

// 1 known, 0 not.
static int find_context(const struct image_query *query, int64_t *ret_size)
{
    struct stat st;
    AUTO_FREE char *directory = context_file_directory(query->context, query->endpoint.uid);
    AUTO_FREE char *path =
        mem_printf("%s/%s/%s", directory, digest_algorithm_name(&query->digest), digest_hex(&query->digest));
    if (lstat(path, &st) || !S_ISREG(st.st_mode))
        return 0;
    *ret_size = st.st_size;
    return 1;
}

static int receive(struct image_query *query, int fd, struct error *err)
{
    struct digest digest;
    struct context_sink sink = {{&context_ops}, hasher_new(query->digest.algorithm), fd, 0};
    int result = query_pipe_copy(query->in, &sink.base, query->in_bytes_max, &query->base.monitor, err);
    hasher_finish(sink.hasher, &digest);
    hasher_free(sink.hasher);
    query->answer.size = sink.size;
    if (result)
        return -1;
    if (!digest_equal(&digest, &query->digest))
        return error_set(err, ERR_INVALID_REQUEST, "The body has the digest %s, not %s", digest.text,
                         query->digest.text);
    return fsync(fd) ? error_set_errno(err, errno, "writing the context to disk") : 0;
}

// Temporaries lie in a directory of their own, which is emptied at each start.
static int receive_and_publish(struct image_query *query, int temp_dirfd, int dirfd, struct error *err)
{
    const char *temp = query->text;
    int fd = openat(temp_dirfd, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_set_errno(err, errno, "cannot make a file for the context");
    int result = receive(query, fd, err);
    if (close(fd) && !result)
        result = error_set_errno(err, errno, "writing the context to disk");
    if (!result && renameat(temp_dirfd, temp, dirfd, digest_hex(&query->digest)))
        result = error_set_errno(err, errno, "publishing the context");
    if (result)
        unlinkat(temp_dirfd, temp, 0);
    return result ? -1 : file_fsync_directory(dirfd, err);
}

static int take_context(struct image_query *query, struct error *err)
{
    AUTO_FREE char *directory = context_file_directory(query->context, query->endpoint.uid);
    AUTO_CLOSE int temp_dirfd =
        open_directory(query->context->contexts_directory, IMAGE_QUERY_CONTEXT_TEMP, err);
    AUTO_CLOSE int dirfd =
        temp_dirfd >= 0 ? open_directory(directory, digest_algorithm_name(&query->digest), err) : -1;
    return dirfd >= 0 ? receive_and_publish(query, temp_dirfd, dirfd, err) : -1;
}

int image_query_context_put(struct step *step, struct error *err)
{
    struct image_query *query = image_query_of(step);
    query->answer.digest = query->digest;
    if (find_context(query, &query->answer.size)) {
        query_pipe_drain(query->in, &step->monitor);
        return 0;
    }
    int result = take_context(query, err);
    query->answer.created = !result;
    if (result)
        query_pipe_drain(query->in, &step->monitor);
    return result;
}

int image_query_context_head(struct step *step, struct error *err)
{
    struct image_query *query = image_query_of(step);
    query->answer.digest = query->digest;
    if (find_context(query, &query->answer.size))
        return 0;
    return error_set(err, ERR_NOT_FOUND, "There is no context %s", query->digest.text);
}
