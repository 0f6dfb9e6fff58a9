// SPDX-License-Identifier: Apache-2.0
//
// Archives as targets: their bytes, blobs written in parallel, what a failure leaves, streams.
#include <archive.h>
#include <archive_entry.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/list.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "layout/image_store.h"
#include "layout/room.h"
#include "layout/tar_header.h"

static struct image_store *create(const struct room *room, enum location_kind kind, const char *name)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct location location = {.kind = kind, .path = path_in(room, name)};
    struct image_store *store = image_store_create(room->roots, &location, &err);
    if (!store)
        fail_msg("%s", err.detail);
    location_clear(&location);
    return store;
}

static struct image_store *open_store(const struct room *room, enum location_kind kind, const char *name)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct location location = {.kind = kind, .path = path_in(room, name)};
    struct image_store *store = image_store_open(room->roots, &location, NULL, NULL, &err);
    if (!store)
        fail_msg("%s", err.detail);
    location_clear(&location);
    return store;
}

static int write_blob(struct image_store *store, const struct digest *digest, int64_t size, const char *bytes,
                      size_t len, struct error *err)
{
    struct sink *sink = image_store_blob_sink(store, digest, size, err);
    if (!sink)
        return -1;
    int result = sink_write(sink, bytes, len, err);
    if (result == 0)
        result = sink_finish(sink, err);
    sink_close(sink);
    return result;
}

static void put_blob(struct image_store *store, const char *media_type, const char *text,
                     struct descriptor *ret)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct digest digest;
    digest_of(&digest, DIGEST_SHA256, text, strlen(text));
    if (write_blob(store, &digest, (int64_t)strlen(text), text, strlen(text), &err) < 0)
        fail_msg("%s", err.detail);
    if (ret)
        descriptor_init(ret, media_type, &digest, (int64_t)strlen(text));
}

// One image: a config with one diff_id and the layer "layer <text>", which is uncompressed.
static void put_image(struct image_store *store, const char *text, struct descriptor *ret)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    AUTO_FREE char *layer_text = mem_printf("layer %s", text);
    struct descriptor layer, config;
    struct manifest m;
    put_blob(store, MEDIA_DOCKER_LAYER, layer_text, &layer);
    AUTO_FREE char *config_text = mem_printf(
        "{\"x\":\"%s\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%s\"]}}", text, layer.digest.text);
    put_blob(store, MEDIA_DOCKER_CONFIG, config_text, &config);
    assert_int_equal(manifest_build(&m, MEDIA_FAMILY_DOCKER, &config, &layer, 1, NULL, &err), 0);
    if (image_store_put_manifest(store, &m, &err) < 0)
        fail_msg("%s", err.detail);
    descriptor_init(ret, m.media_type, &m.digest, (int64_t)m.len);
    manifest_clear(&m);
    descriptor_clear(&layer);
    descriptor_clear(&config);
}

static void assert_tag(struct image_store *store, const struct descriptor *image, const char *name)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    if (image_store_tag(store, image, name, &err) < 0)
        fail_msg("%s", err.detail);
}

static void assert_finish(struct image_store *store)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    if (image_store_finish(store, &err) < 0)
        fail_msg("%s", err.detail);
}

static void assert_blob(struct image_store *store, const struct digest *digest, const char *text)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    size_t len = strlen(text);
    AUTO_FREE char *buffer = mem_alloc(len + 8);
    struct reader_at *reader = image_store_blob_open(store, digest, &err);
    if (!reader)
        fail_msg("%s", err.detail);
    assert_int_equal(reader->size, len);
    assert_int_equal(reader_at_read(reader, buffer, len + 8, 0, &err), len);
    assert_memory_equal(buffer, text, len);
    assert_int_equal(reader_at_read(reader, buffer, 8, (int64_t)len, &err), 0);
    reader_at_close(reader);
}

// Checks that the name leads to the image of put_image with that text.
static void assert_image(struct image_store *store, const char *name, const char *text)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    AUTO_FREE char *layer_text = mem_printf("layer %s", text);
    struct descriptor found;
    struct manifest m;
    if (image_store_resolve(store, name, NULL, &found, &err) < 0)
        fail_msg("%s", err.detail);
    assert_int_equal(image_store_manifest(store, &found, &m, &err), 0);
    assert_int_equal(m.n_layers, 1);
    assert_blob(store, &m.layers[0].digest, layer_text);
    assert_int_equal(image_store_blob_size(store, &m.config.digest), m.config.size);
    manifest_clear(&m);
    descriptor_clear(&found);
}

static const enum location_kind kinds[] = {LOCATION_OCI_ARCHIVE, LOCATION_DOCKER_ARCHIVE};
static const char *const files[] = {"root/o.tar", "root/d.tar"};

static void test_round_trip(void **state)
{
    struct room *room = *state;
    for (int i = 0; i < 2; i++) {
        struct descriptor one, two;
        struct image_store *store = create(room, kinds[i], files[i]);
        put_image(store, "one", &one);
        put_image(store, "two", &two);
        assert_tag(store, &one, "app:1");
        assert_tag(store, &one, "app:first");
        assert_tag(store, &two, "app:first"); // moves
        assert_tag(store, &two, "app");
        assert_finish(store);
        image_store_close(store);
        store = open_store(room, kinds[i], files[i]);
        assert_image(store, "app:1", "one");
        assert_image(store, "app:first", "two");
        assert_image(store, "app", "two");
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        struct descriptor found;
        assert_int_equal(image_store_resolve(store, "app:3", NULL, &found, &err), -1);
        assert_int_equal(err.code, ERR_IMAGE_NOT_FOUND);
        assert_non_null(strstr(err.detail, "app:first"));
        image_store_close(store);
        descriptor_clear(&one);
        descriptor_clear(&two);
    }
    assert_int_equal(count_entries(room, "root"), 2);
}

// The OCI archive keeps manifests as they are: by digest, and children of an index too.
static void test_oci_by_digest(void **state)
{
    struct room *room = *state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct descriptor child, found, index_descriptor;
    struct manifest index;
    struct image_store *store = create(room, LOCATION_OCI_ARCHIVE, "root/o.tar");
    put_image(store, "child", &child);
    assert_int_equal(manifest_build_index(&index, MEDIA_FAMILY_OCI, &child, 1, NULL, &err), 0);
    assert_int_equal(image_store_put_manifest(store, &index, &err), 0);
    descriptor_init(&index_descriptor, index.media_type, &index.digest, (int64_t)index.len);
    assert_tag(store, &index_descriptor, NULL);
    assert_finish(store);
    image_store_close(store);
    store = open_store(room, LOCATION_OCI_ARCHIVE, "root/o.tar");
    assert_int_equal(image_store_resolve(store, NULL, NULL, &found, &err), 0);
    assert_true(digest_equal(&found.digest, &index.digest));
    descriptor_clear(&found);
    assert_int_equal(image_store_resolve(store, child.digest.text, NULL, &found, &err), 0);
    assert_string_equal(found.media_type, MEDIA_DOCKER_MANIFEST);
    descriptor_clear(&found);
    image_store_close(store);
    descriptor_clear(&child);
    descriptor_clear(&index_descriptor);
    manifest_clear(&index);
}

// A manifest that is named by SHA-512 lies under that name.
static void test_sha512_manifest(void **state)
{
    struct room *room = *state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct descriptor config, named, found;
    struct manifest m;
    struct image_store *store = create(room, LOCATION_OCI_ARCHIVE, "root/o.tar");
    put_blob(store, MEDIA_OCI_CONFIG, "{}", &config);
    assert_int_equal(manifest_build(&m, MEDIA_FAMILY_OCI, &config, NULL, 0, NULL, &err), 0);
    struct digest sha512;
    digest_of(&sha512, DIGEST_SHA512, m.bytes, m.len);
    descriptor_init(&named, m.media_type, &sha512, (int64_t)m.len);
    assert_int_equal(manifest_verify(&m, &named, &err), 0);
    assert_int_equal(image_store_put_manifest(store, &m, &err), 0);
    manifest_clear(&m);
    assert_tag(store, &named, "v");
    assert_finish(store);
    image_store_close(store);
    store = open_store(room, LOCATION_OCI_ARCHIVE, "root/o.tar");
    assert_int_equal(image_store_resolve(store, "v", NULL, &found, &err), 0);
    assert_string_equal(found.digest.text, sha512.text);
    assert_int_equal(image_store_manifest(store, &found, &m, &err), 0);
    assert_string_equal(m.digest.text, sha512.text);
    manifest_clear(&m);
    image_store_close(store);
    descriptor_clear(&found);
    descriptor_clear(&named);
    descriptor_clear(&config);
}

// Without finish there is nothing, neither the file nor a temporary one; an older archive stands.
static void test_nothing_before_finish(void **state)
{
    struct room *room = *state;
    struct descriptor image;
    put_file(room, "root/o.tar", "older");
    struct image_store *store = create(room, LOCATION_OCI_ARCHIVE, "root/o.tar");
    put_image(store, "x", &image);
    assert_tag(store, &image, "v1");
    AUTO_FREE char *before = get_file(room, "root/o.tar");
    assert_string_equal(before, "older");
    image_store_close(store);
    assert_int_equal(count_entries(room, "root"), 1);
    descriptor_clear(&image);
}

static void test_not_replaceable(void **state)
{
    struct room *room = *state;
    AUTO_FREE char *link = path_in(room, "root/link");
    static const char *const names[] = {"root/directory", "root/link", "root/absent/o.tar", "o.tar"};
    static const enum error_code codes[] = {ERR_CONFLICT, ERR_CONFLICT, ERR_PATH_NOT_FOUND,
                                            ERR_PATH_NOT_ALLOWED};
    make_directory(room, "root/directory");
    assert_int_equal(symlink("elsewhere", link), 0);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        struct location location = {.kind = LOCATION_OCI_ARCHIVE, .path = path_in(room, names[i])};
        assert_null(image_store_create(room->roots, &location, &err));
        assert_int_equal(err.code, codes[i]);
        location_clear(&location);
    }
}

// A blob that failed may come again; one that never came in full makes finish fail.
static void test_failed_blob(void **state)
{
    struct room *room = *state;
    static const struct {
        int64_t size;
        const char *text;
    } lies[] = {{5, "hell"}, {5, "hellO"}, {5, "hello!"}, {5, ""}};
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct digest digest, other;
    struct image_store *store = create(room, LOCATION_OCI_ARCHIVE, "root/o.tar");
    digest_of(&digest, DIGEST_SHA256, "hello", 5);
    digest_of(&other, DIGEST_SHA256, "other", 5);
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        CLEANUP(error_clear) struct error lie = ERROR_INIT;
        assert_int_equal(write_blob(store, &digest, lies[i].size, lies[i].text, strlen(lies[i].text), &lie),
                         -1);
        assert_int_equal(lie.code, ERR_DIGEST_MISMATCH);
        assert_int_equal(image_store_blob_size(store, &digest), -1);
    }
    assert_int_equal(image_store_finish(store, &err), -1);
    assert_non_null(strstr(err.detail, digest.text));
    error_clear(&err);
    assert_int_equal(write_blob(store, &other, 5, "other", 5, &err), 0);
    assert_int_equal(write_blob(store, &digest, 5, "hello", 5, &err), 0);
    assert_int_equal(write_blob(store, &digest, 5, "hello", 5, &err),
                     0); // there already: verified, not written
    assert_int_equal(write_blob(store, &digest, 5, "hellO", 5, &err), -1);
    error_clear(&err);
    assert_finish(store);
    image_store_close(store);
    store = open_store(room, LOCATION_OCI_ARCHIVE, "root/o.tar");
    assert_blob(store, &digest, "hello");
    assert_blob(store, &other, "other");
    image_store_close(store);
}

static void test_misuse(void **state)
{
    struct room *room = *state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct digest digest;
    struct descriptor absent;
    struct image_store *store = create(room, LOCATION_OCI_ARCHIVE, "root/o.tar");
    digest_of(&digest, DIGEST_SHA256, "hello", 5);
    assert_null(image_store_blob_sink(store, &digest, -1, &err));
    error_clear(&err);
    struct sink *first = image_store_blob_sink(store, &digest, 5, &err);
    assert_non_null(first);
    assert_null(image_store_blob_sink(store, &digest, 5, &err)); // twice at once
    error_clear(&err);
    sink_close(first);
    assert_null(image_store_blob_sink(store, &digest, 6, &err)); // with another size
    error_clear(&err);
    descriptor_init(&absent, MEDIA_OCI_MANIFEST, &digest, 5);
    assert_int_equal(image_store_tag(store, &absent, "v1", &err), -1);
    error_clear(&err);
    assert_null(image_store_blob_open(store, &digest, &err));
    descriptor_clear(&absent);
    image_store_close(store);
}

enum { WRITERS = 4, BLOBS_EACH = 20 };

struct writer {
    struct image_store *store;
    unsigned number;
    struct digest digests[BLOBS_EACH];
    bool failed;
};

static size_t blob_bytes(unsigned writer, unsigned blob, char *ret)
{
    size_t len = (writer * 7919u + blob * 104729u) % 70000;
    for (size_t i = 0; i < len; i++)
        ret[i] = (char)(i * 31 + writer * 17 + blob);
    return len;
}

static void *write_many(void *arg)
{
    struct writer *writer = arg;
    AUTO_FREE char *bytes = mem_alloc(70000);
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    for (unsigned i = 0; i < BLOBS_EACH && !writer->failed; i++) {
        size_t len = blob_bytes(writer->number, i, bytes);
        digest_of(&writer->digests[i], DIGEST_SHA256, bytes, len);
        struct sink *sink = image_store_blob_sink(writer->store, &writer->digests[i], (int64_t)len, &err);
        for (size_t at = 0; sink && at < len && !writer->failed; at += 4096)
            writer->failed = sink_write(sink, bytes + at, len - at < 4096 ? len - at : 4096, &err) < 0;
        writer->failed |= !sink || sink_finish(sink, &err) < 0;
        sink_close(sink);
    }
    return NULL;
}

static void test_parallel(void **state)
{
    struct room *room = *state;
    pthread_t threads[WRITERS];
    struct writer writers[WRITERS];
    AUTO_FREE char *want = mem_alloc(70000);
    AUTO_FREE char *have = mem_alloc(70000);
    struct image_store *store = create(room, LOCATION_OCI_ARCHIVE, "root/o.tar");
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.store = store, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, &writers[i]), 0);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
        assert_false(writers[i].failed);
    }
    assert_finish(store);
    image_store_close(store);
    store = open_store(room, LOCATION_OCI_ARCHIVE, "root/o.tar");
    for (unsigned i = 0; i < WRITERS * BLOBS_EACH; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        size_t len = blob_bytes(i / BLOBS_EACH, i % BLOBS_EACH, want);
        struct reader_at *reader =
            image_store_blob_open(store, &writers[i / BLOBS_EACH].digests[i % BLOBS_EACH], &err);
        assert_non_null(reader);
        assert_int_equal(reader_at_read(reader, have, 70000, 0, &err), len);
        assert_memory_equal(have, want, len);
        reader_at_close(reader);
    }
    image_store_close(store);
}

static void test_docker_refuses(void **state)
{
    struct room *room = *state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct image_store *store = create(room, LOCATION_DOCKER_ARCHIVE, "root/d.tar");
    struct descriptor image, config, foreign;
    struct manifest index, artifact, lacking;
    put_image(store, "x", &image);
    assert_int_equal(manifest_build_index(&index, MEDIA_FAMILY_OCI, &image, 1, NULL, &err), 0);
    assert_int_equal(image_store_put_manifest(store, &index, &err), -1);
    assert_int_equal(err.code, ERR_MANIFEST_UNSUPPORTED);
    error_clear(&err);
    put_blob(store, "text/x-artifact", "{}", &config);
    assert_int_equal(manifest_build(&artifact, MEDIA_FAMILY_OCI, &config, NULL, 0, NULL, &err), 0);
    assert_int_equal(image_store_put_manifest(store, &artifact, &err), -1);
    assert_int_equal(err.code, ERR_MANIFEST_UNSUPPORTED);
    error_clear(&err);
    assert_int_equal(image_store_tag(store, &image, "Not A Reference", &err), -1);
    assert_int_equal(err.code, ERR_REFERENCE_INVALID);
    error_clear(&err);
    struct digest nowhere;
    digest_of(&nowhere, DIGEST_SHA256, "nowhere", 7);
    descriptor_init(&foreign, MEDIA_DOCKER_FOREIGN_LAYER, &nowhere, 7);
    free(config.media_type);
    config.media_type = mem_strdup(MEDIA_DOCKER_CONFIG);
    assert_int_equal(manifest_build(&lacking, MEDIA_FAMILY_DOCKER, &config, &foreign, 1, NULL, &err), 0);
    assert_int_equal(image_store_put_manifest(store, &lacking, &err), 0);
    struct descriptor lacking_descriptor;
    descriptor_init(&lacking_descriptor, lacking.media_type, &lacking.digest, (int64_t)lacking.len);
    assert_tag(store, &lacking_descriptor, "x");
    assert_int_equal(image_store_finish(store, &err), -1);
    assert_non_null(strstr(err.hint, "foreign_layers"));
    image_store_close(store);
    assert_int_equal(count_entries(room, "root"), 0);
    manifest_clear(&index);
    manifest_clear(&artifact);
    manifest_clear(&lacking);
    descriptor_clear(&image);
    descriptor_clear(&config);
    descriptor_clear(&foreign);
    descriptor_clear(&lacking_descriptor);
}

struct buffer_sink {
    struct sink base;
    struct strbuf bytes;
};

static int buffer_write(struct sink *sink, const void *bytes, size_t len, struct error *err)
{
    (void)err;
    return strbuf_append(&container_of(sink, struct buffer_sink, base)->bytes, bytes, len);
}

static const struct sink_ops buffer_ops = {.write = buffer_write};

// A stream has the bytes of the file, and they are fixed: a digest of an archive may be pinned too.
static void test_golden_stream(void **state)
{
    struct room *room = *state;
    static const char *const digests[] = {
        "sha256:9b8fb437c7de404eac188a305e777383d8fe1602208d2101810d3eb18f93ab3e",
        "sha256:a6df4eb03d91e6f647c89d4c04cf7877961004a87bfb19e6f66f3b19add29655",
    };
    for (int i = 0; i < 2; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        struct descriptor image;
        struct buffer_sink out = {.base = {.ops = &buffer_ops}, .bytes = STRBUF_INIT(1 << 20)};
        struct digest digest;
        struct image_store *stores[] = {create(room, kinds[i], files[i]),
                                        image_store_stream(kinds[i], &out.base, &err)};
        for (int j = 0; j < 2; j++) {
            put_image(stores[j], "one", &image);
            assert_tag(stores[j], &image, "app:1");
            assert_finish(stores[j]);
            image_store_close(stores[j]);
            descriptor_clear(&image);
        }
        AUTO_FREE char *path = path_in(room, files[i]);
        size_t len;
        AUTO_FREE char *file = file_read(path, 1 << 20, &len, &err);
        assert_int_equal(len, out.bytes.len);
        assert_memory_equal(file, out.bytes.data, len);
        assert_int_equal(len % 512, 0);
        digest_of(&digest, DIGEST_SHA256, file, len);
        assert_string_equal(digest.text, digests[i]);
        strbuf_free(&out.bytes);
    }
}

static void test_stream_order(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct buffer_sink out = {.base = {.ops = &buffer_ops}, .bytes = STRBUF_INIT(1 << 20)};
    struct digest a, b;
    struct image_store *store = image_store_stream(LOCATION_OCI_ARCHIVE, &out.base, &err);
    digest_of(&a, DIGEST_SHA256, "a", 1);
    digest_of(&b, DIGEST_SHA256, "b", 1);
    struct sink *first = image_store_blob_sink(store, &a, 1, &err);
    assert_non_null(first);
    assert_null(image_store_blob_sink(store, &b, 1, &err)); // two at once
    assert_int_equal(err.code, ERR_INTERNAL);
    sink_close(first);
    image_store_close(store);
    strbuf_free(&out.bytes);
}

// Other readers of tar agree on what is in it.
static void test_listing(void **state)
{
    struct room *room = *state;
    struct descriptor image;
    struct archive_entry *entry;
    struct digest sha512;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct image_store *store = create(room, LOCATION_OCI_ARCHIVE, "root/o.tar");
    put_image(store, "x", &image);
    digest_of(&sha512, DIGEST_SHA512, "long", 4);
    assert_int_equal(write_blob(store, &sha512, 4, "long", 4, &err), 0);
    assert_tag(store, &image, "v");
    assert_finish(store);
    image_store_close(store);
    AUTO_FREE char *path = path_in(room, "root/o.tar");
    AUTO_FREE char *long_name = mem_printf("blobs/sha512/%s", digest_hex(&sha512));
    struct archive *reader = archive_read_new();
    archive_read_support_format_tar(reader);
    assert_int_equal(archive_read_open_filename(reader, path, 10240), ARCHIVE_OK);
    int n = 0, result;
    bool has_long = false;
    while ((result = archive_read_next_header(reader, &entry)) == ARCHIVE_OK) {
        n++;
        assert_int_equal(archive_entry_mode(entry), AE_IFREG | 0644);
        assert_int_equal(archive_entry_mtime(entry), 0);
        assert_int_equal(archive_entry_uid(entry), 0);
        has_long |= strcmp(archive_entry_pathname(entry), long_name) == 0;
    }
    assert_int_equal(result, ARCHIVE_EOF);
    assert_int_equal(n, 6); // layer, config, manifest, the long one, oci-layout, index.json
    assert_true(has_long);
    archive_read_free(reader);
    descriptor_clear(&image);
}

// Sizes that do not fit the 33 bits of a ustar header: a sparse file stands for the content.
static void test_large(void **state)
{
    struct room *room = *state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(strbuf_free) struct strbuf header = STRBUF_INIT(1 << 16);
    CLEANUP(strbuf_free) struct strbuf second = STRBUF_INIT(1 << 16);
    const int64_t size = ((int64_t)9 << 30) + 1;
    char buffer[4];
    AUTO_FREE char *path = path_in(room, "root/large.tar");
    assert_int_equal(tar_header_file(&header, "large", size, &err), 0);
    assert_int_equal(tar_header_file(&second, "small", 3, &err), 0);
    assert_int_equal(tar_header_padding(size), 511);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    int64_t at = (int64_t)header.len + size + tar_header_padding(size);
    assert_int_equal(pwrite(fd, header.data, header.len, 0), header.len);
    assert_int_equal(pwrite(fd, second.data, second.len, at), second.len);
    assert_int_equal(pwrite(fd, "abc", 3, at + (int64_t)second.len), 3);
    assert_int_equal(ftruncate(fd, at + (int64_t)second.len + 512 + TAR_TRAILER_BYTES), 0);
    struct tar_index *index = tar_index_open(fd, NULL, &err);
    if (!index)
        fail_msg("%s", err.detail);
    assert_int_equal(tar_index_size(index, "large"), size);
    struct reader_at *reader = tar_index_reader(index, "small", &err);
    tar_index_close(index);
    assert_int_equal(reader_at_read(reader, buffer, sizeof buffer, 0, &err), 3); // outlives its index
    assert_memory_equal(buffer, "abc", 3);
    reader_at_close(reader);
}

static void test_padding(void **state)
{
    (void)state;
    assert_int_equal(tar_header_padding(0), 0);
    assert_int_equal(tar_header_padding(1), 511);
    assert_int_equal(tar_header_padding(511), 1);
    assert_int_equal(tar_header_padding(512), 0);
    assert_int_equal(tar_header_padding(513), 511);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOM(test_sha512_manifest),
        WITH_ROOM(test_round_trip),
        WITH_ROOM(test_not_replaceable),
        WITH_ROOM(test_oci_by_digest),
        WITH_ROOM(test_nothing_before_finish),
        WITH_ROOM(test_failed_blob),
        WITH_ROOM(test_misuse),
        WITH_ROOM(test_parallel),
        WITH_ROOM(test_docker_refuses),
        WITH_ROOM(test_golden_stream),
        cmocka_unit_test(test_stream_order),
        WITH_ROOM(test_listing),
        WITH_ROOM(test_large),
        cmocka_unit_test(test_padding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
