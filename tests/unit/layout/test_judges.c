// SPDX-License-Identifier: Apache-2.0
//
// skopeo and umoci read what was written here, and what skopeo wrote is read here.
#include <archive.h>
#include <archive_entry.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "layout/image_store.h"
#include "layout/room.h"
#include "oci/image_config.h"

#define CONTENT "hello from a layer\n"
#define SKOPEO "skopeo --insecure-policy "

static void run(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void run(const char *format, ...)
{
    char command[2048], full[2200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    snprintf(full, sizeof full, "(%s) >/dev/null", command);
    if (system(full) != 0)
        fail_msg("%s", command);
}

// A tar with one file, compressed or not.
static size_t make_layer(char *ret, size_t max, bool compressed)
{
    size_t used = 0;
    struct archive *writer = archive_write_new();
    struct archive_entry *entry = archive_entry_new();
    archive_write_set_format_pax_restricted(writer);
    if (compressed)
        archive_write_add_filter_gzip(writer);
    archive_write_set_options(writer, compressed ? "gzip:!timestamp" : NULL);
    assert_int_equal(archive_write_open_memory(writer, ret, max, &used), ARCHIVE_OK);
    archive_entry_set_pathname(entry, "hello.txt");
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, sizeof CONTENT - 1);
    archive_write_header(writer, entry);
    archive_write_data(writer, CONTENT, sizeof CONTENT - 1);
    archive_entry_free(entry);
    assert_int_equal(archive_write_close(writer), ARCHIVE_OK);
    archive_write_free(writer);
    return used;
}

static void put_blob(struct image_store *store, const char *media_type, const void *bytes, size_t len,
                     struct descriptor *ret)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct digest digest;
    digest_of(&digest, DIGEST_SHA256, bytes, len);
    struct sink *sink = image_store_blob_sink(store, &digest, (int64_t)len, &err);
    assert_non_null(sink);
    assert_int_equal(sink_write(sink, bytes, len, &err), 0);
    assert_int_equal(sink_finish(sink, &err), 0);
    sink_close(sink);
    descriptor_init(ret, media_type, &digest, (int64_t)len);
}

// A whole image under the name, finished.
static void put_image(struct image_store *store, enum media_family family, const char *name)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    char bytes[16384];
    struct platform platform;
    struct image_config config;
    struct digest diff_id;
    struct descriptor layer, config_descriptor, image;
    struct manifest m;
    assert_int_equal(platform_parse(&platform, "linux/amd64", &err), 0);
    image_config_new(&config, &platform);
    platform_clear(&platform);
    digest_of(&diff_id, DIGEST_SHA256, bytes, make_layer(bytes, sizeof bytes, false));
    image_config_append_layer(&config, &diff_id, "1970-01-01T00:00:00Z", "test", NULL, NULL);
    image_config_set_created(&config, "1970-01-01T00:00:00Z");
    AUTO_JSON json_t *edit = json_pack("{s:[s],s:{s:s},s:{s:b},s:s}", "cmd", "/hello", "env", "A", "1",
                                       "exposed_ports", "80", 1, "working_dir", "/");
    assert_int_equal(image_config_apply_edit(&config, edit, &err), 0);
    AUTO_FREE char *text = image_config_text(&config);
    image_config_clear(&config);
    size_t len = make_layer(bytes, sizeof bytes, true);
    put_blob(store, media_type_layer(family, MEDIA_COMPRESSION_GZIP), bytes, len, &layer);
    put_blob(store, media_type_convert(MEDIA_OCI_CONFIG, family), text, strlen(text), &config_descriptor);
    assert_int_equal(manifest_build(&m, family, &config_descriptor, &layer, 1, NULL, &err), 0);
    assert_int_equal(image_store_put_manifest(store, &m, &err), 0);
    descriptor_init(&image, m.media_type, &m.digest, (int64_t)m.len);
    assert_int_equal(image_store_tag(store, &image, name, &err), 0);
    assert_int_equal(image_store_finish(store, &err), 0);
    manifest_clear(&m);
    descriptor_clear(&layer);
    descriptor_clear(&config_descriptor);
    descriptor_clear(&image);
}

static void make(const struct room *room, enum location_kind kind, enum media_family family, const char *path,
                 const char *name)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct location location = {.kind = kind, .path = path_in(room, path)};
    struct image_store *store = image_store_create(room->roots, &location, &err);
    if (!store)
        fail_msg("%s", err.detail);
    put_image(store, family, name);
    image_store_close(store);
    location_clear(&location);
}

static void assert_blob_right(struct image_store *store, const struct descriptor *blob)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    char bytes[32768];
    struct digest actual;
    struct reader_at *reader = image_store_blob_open(store, &blob->digest, &err);
    if (!reader)
        fail_msg("%s", err.detail);
    ssize_t n = reader_at_read(reader, bytes, sizeof bytes, 0, &err);
    assert_int_equal(n, blob->size);
    digest_of(&actual, DIGEST_SHA256, bytes, (size_t)n);
    assert_string_equal(actual.text, blob->digest.text);
    reader_at_close(reader);
}

// The image is there and all its blobs are what their descriptors say.
static void assert_readable(const struct room *room, enum location_kind kind, const char *path,
                            const char *name)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct location location = {.kind = kind, .path = path_in(room, path)};
    struct descriptor found;
    struct manifest m;
    struct image_store *store = image_store_open(room->roots, &location, NULL, NULL, &err);
    if (!store || image_store_resolve(store, name, NULL, &found, &err) < 0)
        fail_msg("%s", err.detail);
    assert_int_equal(image_store_manifest(store, &found, &m, &err), 0);
    assert_int_equal(m.n_layers, 1);
    assert_true(manifest_is_image(&m));
    assert_blob_right(store, &m.layers[0]);
    assert_blob_right(store, &m.config);
    manifest_clear(&m);
    descriptor_clear(&found);
    image_store_close(store);
    location_clear(&location);
}

static void test_layout_is_read(void **state)
{
    struct room *room = *state;
    const char *d = room->directory;
    make(room, LOCATION_OCI_LAYOUT, MEDIA_FAMILY_OCI, "root/l", "v1");
    run(SKOPEO "inspect oci:%s/root/l:v1 | grep -q '\"A=1\"'", d);
    run(SKOPEO "copy oci:%s/root/l:v1 dir:%s/copied", d, d);
    run("umoci unpack --rootless --image %s/root/l:v1 %s/bundle 2>/dev/null", d, d);
    AUTO_FREE char *content = get_file(room, "bundle/rootfs/hello.txt");
    assert_string_equal(content, CONTENT);
}

static void test_archives_are_read(void **state)
{
    struct room *room = *state;
    const char *d = room->directory;
    make(room, LOCATION_OCI_ARCHIVE, MEDIA_FAMILY_OCI, "root/o.tar", "v1");
    make(room, LOCATION_DOCKER_ARCHIVE, MEDIA_FAMILY_DOCKER, "root/d.tar", "app:1");
    run(SKOPEO "inspect oci-archive:%s/root/o.tar:v1 | grep -q '\"A=1\"'", d);
    run(SKOPEO "copy oci-archive:%s/root/o.tar:v1 dir:%s/copied-o", d, d);
    run(SKOPEO "inspect docker-archive:%s/root/d.tar:app:1 | grep -q '\"A=1\"'", d);
    run(SKOPEO "copy docker-archive:%s/root/d.tar:app:1 oci:%s/copied-d:x", d, d);
    run("umoci unpack --rootless --image %s/copied-d:x %s/bundle 2>/dev/null", d, d);
    AUTO_FREE char *content = get_file(room, "bundle/rootfs/hello.txt");
    assert_string_equal(content, CONTENT);
    run("tar -tf %s/root/o.tar && python3 -m tarfile -l %s/root/o.tar", d, d);
    run("tar -tf %s/root/d.tar && python3 -m tarfile -l %s/root/d.tar", d, d);
}

// Both write into one layout; both images stay.
static void test_shared_layout(void **state)
{
    struct room *room = *state;
    const char *d = room->directory;
    make(room, LOCATION_OCI_LAYOUT, MEDIA_FAMILY_OCI, "root/l", "v1");
    make(room, LOCATION_OCI_ARCHIVE, MEDIA_FAMILY_OCI, "root/o.tar", "x");
    run(SKOPEO "copy oci-archive:%s/root/o.tar:x oci:%s/root/l:v2", d, d);
    make(room, LOCATION_OCI_LAYOUT, MEDIA_FAMILY_OCI, "root/l", "v3");
    assert_readable(room, LOCATION_OCI_LAYOUT, "root/l", "v1");
    assert_readable(room, LOCATION_OCI_LAYOUT, "root/l", "v2");
    assert_readable(room, LOCATION_OCI_LAYOUT, "root/l", "v3");
    run(SKOPEO "inspect oci:%s/root/l:v2", d);
}

static void test_skopeo_is_read(void **state)
{
    struct room *room = *state;
    const char *d = room->directory;
    make(room, LOCATION_OCI_LAYOUT, MEDIA_FAMILY_OCI, "root/l", "v1");
    run(SKOPEO "copy oci:%s/root/l:v1 oci:%s/root/l2:v1", d, d);
    run(SKOPEO "copy oci:%s/root/l:v1 oci-archive:%s/root/o.tar:v9", d, d);
    run(SKOPEO "copy oci:%s/root/l:v1 docker-archive:%s/root/d.tar:app:2", d, d);
    assert_readable(room, LOCATION_OCI_LAYOUT, "root/l2", "v1");
    assert_readable(room, LOCATION_OCI_ARCHIVE, "root/o.tar", "v9");
    assert_readable(room, LOCATION_DOCKER_ARCHIVE, "root/d.tar", "app:2");
    assert_readable(room, LOCATION_DOCKER_ARCHIVE, "root/d.tar", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOM(test_layout_is_read),
        WITH_ROOM(test_archives_are_read),
        WITH_ROOM(test_shared_layout),
        WITH_ROOM(test_skopeo_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
