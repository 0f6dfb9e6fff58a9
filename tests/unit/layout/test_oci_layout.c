// SPDX-License-Identifier: Apache-2.0
//
// Layout directories: what may be opened, what a written one looks like, and what must not come out of a
// hostile one.
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "layout/oci_layout.h"
#include "layout/room.h"

#define EMPTY_INDEX "{\"manifests\":[],\"mediaType\":\"" MEDIA_OCI_INDEX "\",\"schemaVersion\":2}"

static struct oci_layout *create(const struct room *room, const char *name, struct error *err)
{
    AUTO_FREE char *path = path_in(room, name);
    return oci_layout_create(room->roots, path, err);
}

static struct oci_layout *open_existing(const struct room *room, const char *name, struct error *err)
{
    AUTO_FREE char *path = path_in(room, name);
    return oci_layout_open(room->roots, path, err);
}

static void put_blob(struct oci_layout *layout, const char *text, struct digest *ret)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    digest_of(ret, DIGEST_SHA256, text, strlen(text));
    struct sink *sink = oci_layout_blob_sink(layout, ret, (int64_t)strlen(text), &err);
    assert_non_null(sink);
    assert_int_equal(sink_write(sink, text, strlen(text), &err), 0);
    assert_int_equal(sink_finish(sink, &err), 0);
    sink_close(sink);
}

// An image of no layers whose config is `text`.
static void put_image(struct oci_layout *layout, const char *text, struct descriptor *ret)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct digest digest;
    struct descriptor config;
    struct manifest m;
    put_blob(layout, text, &digest);
    descriptor_init(&config, MEDIA_OCI_CONFIG, &digest, (int64_t)strlen(text));
    assert_int_equal(manifest_build(&m, MEDIA_FAMILY_OCI, &config, NULL, 0, NULL, &err), 0);
    put_blob(layout, m.bytes, &digest);
    descriptor_init(ret, m.media_type, &digest, (int64_t)m.len);
    manifest_clear(&m);
    descriptor_clear(&config);
}

static void test_create(void **state)
{
    struct room *room = *state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct descriptor none;
    struct digest digest;
    AUTO_FREE char *directory = path_in(room, "root/out");
    struct oci_layout *layout = create(room, "root/out", &err);
    assert_non_null(layout);
    assert_int_equal(oci_layout_resolve(layout, "v", &none, &err), -1); // as if it were there, without an image
    assert_int_equal(err.code, ERR_IMAGE_NOT_FOUND);
    error_clear(&err);
    oci_layout_close(layout);
    assert_int_equal(access(directory, F_OK), -1); // nothing was written

    layout = create(room, "root/out", &err);
    put_blob(layout, "hello", &digest);
    oci_layout_close(layout);
    AUTO_FREE char *version = get_file(room, "root/out/oci-layout");
    AUTO_FREE char *index = get_file(room, "root/out/index.json");
    assert_string_equal(version, "{\"imageLayoutVersion\":\"1.0.0\"}");
    assert_string_equal(index, EMPTY_INDEX);
    layout = create(room, "root/out", &err);
    assert_non_null(layout);
    oci_layout_close(layout);
}

static void test_create_in_empty(void **state)
{
    struct room *room = *state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    make_directory(room, "root/out");
    struct oci_layout *layout = create(room, "root/out", &err);
    assert_non_null(layout);
    oci_layout_close(layout);
}

static void test_create_refuses_other(void **state)
{
    struct room *room = *state;
    static const char *const names[] = {"file", "index.json", "oci-layouts"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        AUTO_FREE char *directory = mem_printf("root/other%zu", i);
        AUTO_FREE char *name = mem_printf("%s/%s", directory, names[i]);
        make_directory(room, directory);
        put_file(room, name, "{}");
        assert_null(create(room, directory, &err));
        assert_int_equal(err.code, ERR_CONFLICT);
        assert_int_equal(count_entries(room, directory), 1);
    }
}

static void test_outside_root(void **state)
{
    struct room *room = *state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    assert_null(create(room, "out", &err));
    assert_int_equal(err.code, ERR_PATH_NOT_ALLOWED);
}

static void test_open_errors(void **state)
{
    struct room *room = *state;
    static const struct {
        const char *file;
        const char *text;
        enum error_code code;
    } cases[] = {
        {NULL, NULL, ERR_REGISTRY_PROTOCOL},
        {"index.json", EMPTY_INDEX, ERR_REGISTRY_PROTOCOL},
        {"oci-layout", "", ERR_REGISTRY_PROTOCOL},
        {"oci-layout", "[]", ERR_REGISTRY_PROTOCOL},
        {"oci-layout", "{\"imageLayoutVersion\":\"2.0.0\"}", ERR_REGISTRY_PROTOCOL},
        {"oci-layout", "{\"imageLayoutVersion\":1}", ERR_REGISTRY_PROTOCOL},
    };
    CLEANUP(error_clear) struct error absent = ERROR_INIT;
    assert_null(open_existing(room, "root/absent", &absent));
    assert_int_equal(absent.code, ERR_PATH_NOT_FOUND);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        AUTO_FREE char *directory = mem_printf("root/bad%zu", i);
        make_directory(room, directory);
        AUTO_FREE char *name = mem_printf("%s/%s", directory, cases[i].file ? cases[i].file : "");
        if (cases[i].file)
            put_file(room, name, cases[i].text);
        assert_null(open_existing(room, directory, &err));
        assert_int_equal(err.code, cases[i].code);
        assert_non_null(strstr(err.detail, directory));
    }
}

static void test_blob_round_trip(void **state)
{
    struct room *room = *state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct digest digest;
    char buffer[16];
    struct oci_layout *layout = create(room, "root/out", &err);
    assert_non_null(layout);
    put_blob(layout, "hello", &digest);
    put_blob(layout, "hello", &digest); // again is fine
    assert_int_equal(oci_layout_blob_size(layout, &digest), 5);
    struct reader_at *reader = oci_layout_blob_open(layout, &digest, &err);
    assert_non_null(reader);
    assert_int_equal(reader->size, 5);
    assert_int_equal(reader_at_read(reader, buffer, sizeof buffer, 1, &err), 4);
    assert_memory_equal(buffer, "ello", 4);
    reader_at_close(reader);
    oci_layout_close(layout);
    assert_int_equal(count_entries(room, "root/out/blobs/sha256"), 1);
}

static void test_sha512(void **state)
{
    struct room *room = *state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct digest digest;
    struct oci_layout *layout = create(room, "root/out", &err);
    digest_of(&digest, DIGEST_SHA512, "x", 1);
    struct sink *sink = oci_layout_blob_sink(layout, &digest, -1, &err);
    assert_int_equal(sink_write(sink, "x", 1, &err), 0);
    assert_int_equal(sink_finish(sink, &err), 0);
    sink_close(sink);
    assert_int_equal(oci_layout_blob_size(layout, &digest), 1);
    oci_layout_close(layout);
}

// Wrong blobs leave nothing behind.
static void test_blob_lies(void **state)
{
    struct room *room = *state;
    static const struct {
        const char *text;
        int64_t size;
        bool finish;
    } cases[] = {{"hellO", 5, true},   {"hell", 5, true}, {"hello!", 5, true},
                 {"hello!", -1, true}, {"", 5, true},     {"hello", 5, false}};
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct digest digest;
    struct oci_layout *layout = create(room, "root/out", &err);
    digest_of(&digest, DIGEST_SHA256, "hello", 5);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLEANUP(error_clear) struct error lie = ERROR_INIT;
        struct sink *sink = oci_layout_blob_sink(layout, &digest, cases[i].size, &err);
        int result = sink_write(sink, cases[i].text, strlen(cases[i].text), &lie);
        if (result == 0 && cases[i].finish)
            result = sink_finish(sink, &lie);
        sink_close(sink);
        if (cases[i].finish) {
            assert_int_equal(result, -1);
            assert_int_equal(lie.code, ERR_DIGEST_MISMATCH);
        }
        assert_int_equal(oci_layout_blob_size(layout, &digest), -1);
    }
    CLEANUP(error_clear) struct error gone = ERROR_INIT;
    assert_null(oci_layout_blob_open(layout, &digest, &gone));
    assert_int_equal(gone.code, ERR_BLOB_UNKNOWN);
    oci_layout_close(layout);
    assert_int_equal(count_entries(room, "root/out/blobs/sha256"), 0);
}

static void test_tag_and_resolve(void **state)
{
    struct room *room = *state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct descriptor one, two, found;
    struct manifest m;
    struct oci_layout *layout = create(room, "root/out", &err);
    put_image(layout, "{\"a\":1}", &one);
    put_image(layout, "{\"a\":2}", &two);
    assert_int_equal(oci_layout_tag(layout, &one, "v1", &err), 0);
    assert_int_equal(oci_layout_resolve(layout, NULL, &found, &err), 0); // the only one
    assert_true(digest_equal(&found.digest, &one.digest));
    descriptor_clear(&found);
    assert_int_equal(oci_layout_tag(layout, &two, "v2", &err), 0);
    oci_layout_close(layout);
    layout = open_existing(room, "root/out", &err);
    assert_int_equal(oci_layout_resolve(layout, "v2", &found, &err), 0);
    assert_true(digest_equal(&found.digest, &two.digest));
    assert_int_equal(oci_layout_manifest(layout, &found, &m, &err), 0);
    assert_true(digest_equal(&m.digest, &two.digest));
    manifest_clear(&m);
    descriptor_clear(&found);
    assert_int_equal(oci_layout_resolve(layout, one.digest.text, &found, &err), 0);
    assert_true(digest_equal(&found.digest, &one.digest));
    descriptor_clear(&found);
    assert_int_equal(oci_layout_resolve(layout, "v3", &found, &err), -1);
    assert_int_equal(err.code, ERR_IMAGE_NOT_FOUND);
    assert_non_null(strstr(err.detail, "v1, v2"));
    error_clear(&err);
    assert_int_equal(oci_layout_resolve(layout, NULL, &found, &err), -1); // two, and none is latest
    assert_int_equal(err.code, ERR_IMAGE_NOT_FOUND);
    descriptor_clear(&one);
    descriptor_clear(&two);
    oci_layout_close(layout);
}

static void test_index_golden(void **state)
{
    struct room *room = *state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct descriptor one, two;
    struct oci_layout *layout = create(room, "root/out", &err);
    put_image(layout, "{\"a\":1}", &one);
    put_image(layout, "{\"a\":2}", &two);
    assert_int_equal(oci_layout_tag(layout, &one, NULL, &err), 0);
    assert_int_equal(oci_layout_tag(layout, &one, NULL, &err), 0);
    assert_int_equal(oci_layout_tag(layout, &one, "v1", &err), 0); // gives the entry its name
    assert_int_equal(oci_layout_tag(layout, &two, "v2", &err), 0);
    assert_int_equal(oci_layout_tag(layout, &two, "v1", &err), 0); // moves
    AUTO_FREE char *index = get_file(room, "root/out/index.json");
    AUTO_FREE char *want = mem_printf("{\"manifests\":[{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%d,"
                                      "\"annotations\":{\"org.opencontainers.image.ref.name\":\"v1\"}},"
                                      "{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%d,\"annotations\":{"
                                      "\"org.opencontainers.image.ref.name\":\"v2\"}}],"
                                      "\"mediaType\":\"%s\",\"schemaVersion\":2}",
                                      MEDIA_OCI_MANIFEST, two.digest.text, (int)two.size, MEDIA_OCI_MANIFEST,
                                      two.digest.text, (int)two.size, MEDIA_OCI_INDEX);
    assert_string_equal(index, want);
    descriptor_clear(&one);
    descriptor_clear(&two);
    oci_layout_close(layout);
}

// What others wrote into index.json stays.
static void test_foreign_members_stay(void **state)
{
    struct room *room = *state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct descriptor one;
    struct oci_layout *layout = create(room, "root/out", &err);
    put_image(layout, "{}", &one);
    put_file(room, "root/out/index.json",
             "{\"schemaVersion\":2,\"manifests\":null,\"annotations\":{\"x\":\"y\"},\"vendor\":1}");
    assert_int_equal(oci_layout_tag(layout, &one, "v1", &err), 0);
    AUTO_FREE char *index = get_file(room, "root/out/index.json");
    assert_non_null(strstr(index, "\"annotations\":{\"x\":\"y\"}"));
    assert_non_null(strstr(index, "\"vendor\":1"));
    assert_non_null(strstr(index, one.digest.text));
    descriptor_clear(&one);
    oci_layout_close(layout);
}

static void test_tag_needs_manifest(void **state)
{
    struct room *room = *state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct descriptor absent;
    struct digest digest;
    struct oci_layout *layout = create(room, "root/out", &err);
    digest_of(&digest, DIGEST_SHA256, "x", 1);
    descriptor_init(&absent, MEDIA_OCI_MANIFEST, &digest, 1);
    assert_int_equal(oci_layout_tag(layout, &absent, "v1", &err), -1);
    AUTO_FREE char *index = get_file(room, "root/out/index.json");
    assert_string_equal(index, EMPTY_INDEX);
    descriptor_clear(&absent);
    oci_layout_close(layout);
}

static void test_ambiguous_tag(void **state)
{
    struct room *room = *state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct descriptor found;
    struct oci_layout *layout = create(room, "root/out", &err);
    struct digest first;
    put_blob(layout, "first", &first); // now it is there
    AUTO_FREE char *text = mem_printf("{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"a/"
                                      "b\",\"size\":1,\"digest\":\"sha256:%064d\",\"annotations\":"
                                      "{\"org.opencontainers.image.ref.name\":\"v\"}},{\"mediaType\":\"a/"
                                      "b\",\"size\":1,\"digest\":\"sha256:%064d\",\"annotations\":"
                                      "{\"org.opencontainers.image.ref.name\":\"v\"}}]}",
                                      1, 2);
    put_file(room, "root/out/index.json", text);
    assert_int_equal(oci_layout_resolve(layout, "v", &found, &err), -1);
    assert_int_equal(err.code, ERR_REGISTRY_PROTOCOL);
    assert_non_null(err.hint);
    oci_layout_close(layout);
}

// A manifest whose file was changed, cut or grown is refused before it is read as JSON.
static void test_manifest_verified(void **state)
{
    struct room *room = *state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct descriptor one;
    struct manifest m;
    struct oci_layout *layout = create(room, "root/out", &err);
    put_image(layout, "{}", &one);
    AUTO_FREE char *name = mem_printf("root/out/blobs/sha256/%s", digest_hex(&one.digest));
    put_file(room, name, "{}");
    assert_int_equal(oci_layout_manifest(layout, &one, &m, &err), -1);
    assert_int_equal(err.code, ERR_DIGEST_MISMATCH);
    descriptor_clear(&one);
    oci_layout_close(layout);
}

// A link in the layout may not lead out of the root, and a FIFO may not hang the worker.
static void test_hostile_files(void **state)
{
    struct room *room = *state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct digest out, fifo, in;
    struct oci_layout *layout = create(room, "root/out", &err);
    struct digest first;
    put_blob(layout, "first", &first); // now it is there
    put_file(room, "secret", "secret");
    put_file(room, "root/kept", "kept");
    digest_of(&out, DIGEST_SHA256, "secret", 6);
    digest_of(&fifo, DIGEST_SHA256, "fifo", 4);
    digest_of(&in, DIGEST_SHA256, "kept", 4);
    AUTO_FREE char *secret = path_in(room, "secret");
    AUTO_FREE char *out_path = mem_printf("%s/root/out/blobs/sha256/%s", room->directory, digest_hex(&out));
    AUTO_FREE char *fifo_path = mem_printf("%s/root/out/blobs/sha256/%s", room->directory, digest_hex(&fifo));
    AUTO_FREE char *in_path = mem_printf("%s/root/out/blobs/sha256/%s", room->directory, digest_hex(&in));
    assert_int_equal(symlink(secret, out_path), 0);
    assert_int_equal(mkfifo(fifo_path, 0666), 0);
    assert_int_equal(symlink("../../../kept", in_path), 0);
    assert_int_equal(oci_layout_blob_size(layout, &out), -1);
    assert_null(oci_layout_blob_open(layout, &out, &err));
    assert_int_not_equal(err.code, ERR_NONE);
    error_clear(&err);
    assert_null(oci_layout_blob_open(layout, &fifo, &err));
    assert_int_equal(err.code, ERR_REGISTRY_PROTOCOL);
    assert_int_equal(oci_layout_blob_size(layout, &in), 4);
    oci_layout_close(layout);
}

struct tagger {
    const struct room *room;
    int number;
    bool failed;
};

enum { TAGGERS = 4, TAGS_EACH = 25 };

static void *tag_many(void *arg)
{
    struct tagger *tagger = arg;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct oci_layout *layout = create(tagger->room, "root/out", &err);
    for (int i = 0; layout && i < TAGS_EACH; i++) {
        AUTO_FREE char *tag = mem_printf("t%d-%d", tagger->number, i);
        AUTO_FREE char *text = mem_printf("{\"t\":\"%s\"}", tag);
        struct descriptor image;
        put_image(layout, text, &image);
        tagger->failed |= oci_layout_tag(layout, &image, tag, &err) < 0;
        descriptor_clear(&image);
    }
    tagger->failed |= !layout;
    oci_layout_close(layout);
    return NULL;
}

// Several jobs into one layout, made by whoever comes first: no tag is lost.
static void test_concurrent_writers(void **state)
{
    struct room *room = *state;
    pthread_t threads[TAGGERS];
    struct tagger taggers[TAGGERS];
    for (int i = 0; i < TAGGERS; i++) {
        taggers[i] = (struct tagger){.room = room, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, tag_many, &taggers[i]), 0);
    }
    for (int i = 0; i < TAGGERS; i++) {
        pthread_join(threads[i], NULL);
        assert_false(taggers[i].failed);
    }
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct oci_layout *layout = open_existing(room, "root/out", &err);
    for (int i = 0; i < TAGGERS * TAGS_EACH; i++) {
        AUTO_FREE char *tag = mem_printf("t%d-%d", i / TAGS_EACH, i % TAGS_EACH);
        struct descriptor found;
        if (oci_layout_resolve(layout, tag, &found, &err) < 0)
            fail_msg("%s", err.detail);
        descriptor_clear(&found);
    }
    oci_layout_close(layout);
}

// What a crash left is removed; what a living writer has open is not.
static void test_sweep(void **state)
{
    struct room *room = *state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct digest digest;
    struct oci_layout *layout = create(room, "root/out", &err);
    digest_of(&digest, DIGEST_SHA256, "hello", 5);
    struct sink *sink = oci_layout_blob_sink(layout, &digest, 5, &err);
    assert_int_equal(sink_write(sink, "hello", 5, &err), 0);
    put_file(room, "root/out/blobs/sha256/.dray-0000000000000000", "left by a crash");
    assert_int_equal(count_entries(room, "root/out/blobs/sha256"), 2);
    struct digest other;
    struct oci_layout *second = create(room, "root/out", &err);
    put_blob(second, "other", &other);
    assert_int_equal(count_entries(room, "root/out/blobs/sha256"), 2); // this one, and the one being written
    assert_int_equal(sink_finish(sink, &err), 0);
    sink_close(sink);
    assert_int_equal(oci_layout_blob_size(second, &digest), 5);
    oci_layout_close(second);
    oci_layout_close(layout);
}

// A child of an index is found by its digest though index.json does not list it.
static void test_child_by_digest(void **state)
{
    struct room *room = *state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct descriptor child, found;
    struct oci_layout *layout = create(room, "root/out", &err);
    put_image(layout, "{}", &child);
    assert_int_equal(oci_layout_resolve(layout, child.digest.text, &found, &err), 0);
    assert_string_equal(found.media_type, MEDIA_OCI_MANIFEST);
    assert_int_equal(found.size, child.size);
    descriptor_clear(&found);
    descriptor_clear(&child);
    oci_layout_close(layout);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOM(test_create),
        WITH_ROOM(test_create_in_empty),
        WITH_ROOM(test_create_refuses_other),
        WITH_ROOM(test_outside_root),
        WITH_ROOM(test_open_errors),
        WITH_ROOM(test_blob_round_trip),
        WITH_ROOM(test_sha512),
        WITH_ROOM(test_blob_lies),
        WITH_ROOM(test_tag_and_resolve),
        WITH_ROOM(test_index_golden),
        WITH_ROOM(test_foreign_members_stay),
        WITH_ROOM(test_tag_needs_manifest),
        WITH_ROOM(test_ambiguous_tag),
        WITH_ROOM(test_manifest_verified),
        WITH_ROOM(test_hostile_files),
        WITH_ROOM(test_concurrent_writers),
        WITH_ROOM(test_sweep),
        WITH_ROOM(test_child_by_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
