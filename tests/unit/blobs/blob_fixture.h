// SPDX-License-Identifier: Apache-2.0
//
// A blob store in a directory of its own.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "blobs/blob_store.h"

struct fixture {
    char directory[64];
    struct blob_store *store;
};

static inline void fixture_directory(struct fixture *f)
{
    static const char template[] = "/tmp/dray-blobs-XXXXXX";
    *f = (struct fixture){0};
    memcpy(f->directory, template, sizeof template);
    assert_non_null(mkdtemp(f->directory));
}

static inline void fixture_open(struct fixture *f, int64_t max_bytes)
{
    struct error err = ERROR_INIT;
    f->store = blob_store_open(f->directory, max_bytes, &err);
    if (!f->store)
        fail_msg("blob_store_open: %s", err.detail);
}

static inline void fixture_reopen(struct fixture *f, int64_t max_bytes)
{
    blob_store_free(f->store);
    fixture_open(f, max_bytes);
}

static inline void fixture_remove(struct fixture *f)
{
    struct error err = ERROR_INIT;
    int parent = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    file_remove_tree(parent, strrchr(f->directory, '/') + 1, &err);
    close(parent);
    error_clear(&err);
}

static inline int fixture_setup(void **state)
{
    struct fixture *f = mem_new(struct fixture);
    fixture_directory(f);
    fixture_open(f, -1);
    *state = f;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    blob_store_free(f->store);
    fixture_remove(f);
    free(f);
    return 0;
}

static inline struct digest fixture_digest(const void *bytes, size_t len)
{
    struct digest digest;
    digest_of(&digest, DIGEST_SHA256, bytes, len);
    return digest;
}

// Content of `len` bytes that depends on the seed.
static inline char *fixture_content(unsigned seed, size_t len)
{
    char *bytes = mem_alloc(len + 1);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)(seed * 131 + i * 7 + (i >> 8) * (seed + 3));
    bytes[len] = '\0';
    return bytes;
}

// Puts content in under a digest that is known or not, and returns the code of the failure. Keeps the lease.
static inline enum error_code fixture_put(struct fixture *f, const void *bytes, size_t len,
                                          const struct digest *expected, int64_t expected_size,
                                          struct digest *ret)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct blob_writer *writer = blob_store_write(f->store, expected, expected_size, &err);
    if (!writer)
        return err.code;
    struct sink *sink = blob_writer_sink(writer);
    int result = sink_write(sink, bytes, len / 2, &err);
    if (result == 0)
        result = sink_write(sink, (const char *)bytes + len / 2, len - len / 2, &err);
    if (result == 0)
        result = sink_finish(sink, &err);
    if (result == 0 && ret)
        *ret = *blob_writer_digest(writer);
    blob_writer_free(writer);
    return result == 0 ? ERR_NONE : err.code;
}

// As fixture_put with a known digest, without a lease left.
static inline struct digest fixture_add(struct fixture *f, unsigned seed, size_t len)
{
    AUTO_FREE char *bytes = fixture_content(seed, len);
    struct digest digest = fixture_digest(bytes, len);
    assert_int_equal(fixture_put(f, bytes, len, &digest, (int64_t)len, NULL), ERR_NONE);
    blob_store_release(f->store, &digest);
    return digest;
}

static inline char *fixture_path(const struct fixture *f, const struct digest *digest)
{
    return mem_printf("%s/blobs/%s/%s", f->directory, digest_algorithm_name(digest), digest_hex(digest));
}

static inline int fixture_count(const struct fixture *f, const char *name)
{
    AUTO_FREE char *path = mem_printf("%s/%s", f->directory, name);
    int n = 0;
    DIR *directory = opendir(path);
    assert_non_null(directory);
    for (const struct dirent *item; (item = readdir(directory)) != NULL;)
        n += item->d_name[0] != '.';
    closedir(directory);
    return n;
}

static inline struct blob_store_stats fixture_stats(struct fixture *f)
{
    struct blob_store_stats stats;
    blob_store_stats(f->store, &stats);
    return stats;
}
