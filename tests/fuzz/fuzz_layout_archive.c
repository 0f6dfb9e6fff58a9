// SPDX-License-Identifier: Apache-2.0
//
// Archives as sources, plain or compressed as a whole: the tar is read as an OCI archive and as a
// docker-archive, its image resolved, each blob of it opened and read.
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "fuzz.h"
#include "layout/image_store.h"

static char directory[] = "/tmp/fuzz.XXXXXX";
static char path[64];
static struct roots *roots;

static void end(void)
{
    unlink(path);
    rmdir(directory);
}

static void begin(void)
{
    struct error err = ERROR_INIT;
    if (roots)
        return;
    FUZZ_ASSERT(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/archive", directory);
    roots = roots_new("build root", "--build-root");
    FUZZ_ASSERT(roots_add(roots, directory, &err) == 0);
    atexit(end);
}

static void put(const uint8_t *data, size_t size)
{
    struct error err = ERROR_INIT;
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    FUZZ_ASSERT(fd >= 0 && file_write_all(fd, data, size, &err) == 0);
    close(fd);
}

static void read_blob(struct image_store *store, const struct descriptor *blob)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    char buffer[4096];
    struct reader_at *reader = image_store_blob_open(store, &blob->digest, &err);
    if (!reader)
        return;
    FUZZ_ASSERT(reader->size == image_store_blob_size(store, &blob->digest));
    ssize_t got = reader_at_read(reader, buffer, sizeof buffer, 0, &err);
    FUZZ_ASSERT(got <= (ssize_t)sizeof buffer && got <= reader->size);
    reader_at_close(reader);
}

static void read_image(struct image_store *store)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct descriptor root = {0};
    struct manifest manifest = {0};
    if (image_store_resolve(store, NULL, NULL, &root, &err) == 0 &&
        image_store_manifest(store, &root, &manifest, &err) == 0) {
        if (!manifest.is_index)
            read_blob(store, &manifest.config);
        for (size_t i = 0; i < manifest.n_layers; i++)
            read_blob(store, &manifest.layers[i]);
    }
    manifest_clear(&manifest);
    descriptor_clear(&root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum location_kind kinds[] = {LOCATION_OCI_ARCHIVE, LOCATION_DOCKER_ARCHIVE};
    begin();
    put(data, size);
    int dirfd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct archive_spool spool = {.dirfd = dirfd, .bytes_max = 1 << 20};
    for (size_t i = 0; i < 2; i++) {
        struct error err = ERROR_INIT;
        struct location location = {.kind = kinds[i], .path = path};
        struct image_store *store = image_store_open(roots, &location, &spool, NULL, &err);
        if (store)
            read_image(store);
        else
            fuzz_check_error(&err);
        image_store_close(store);
    }
    close(dirfd);
    return 0;
}
