// SPDX-License-Identifier: Apache-2.0
//
// Archives as sources: what other tools wrote, old and new, and what nobody should have written.
#include <archive.h>
#include <archive_entry.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/strbuf.h"
#include "layout/image_store.h"
#include "layout/room.h"

#define VERSION "{\"imageLayoutVersion\":\"1.0.0\"}"
#define EMPTY_INDEX "{\"schemaVersion\":2,\"manifests\":[]}"

// gzip of "layer one" and zstd of the same, as `gzip -n` and `zstd` write them.
static const char gzip_layer[] = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x49\xac\x4c\x2d\x52\xc8\xcf"
                                 "\x4b\x05\x00\xac\x2d\xf2\x6b\x09\x00\x00\x00";

struct entry {
    const char *name;
    const char *text; // of a file
    const char *link; // of a link
    bool hard;
};

static void put_entry(struct archive *writer, const struct entry *e)
{
    struct archive_entry *entry = archive_entry_new();
    size_t len = e->text ? strlen(e->text) : 0;
    archive_entry_set_pathname(entry, e->name);
    archive_entry_set_filetype(entry, e->link && !e->hard ? AE_IFLNK : AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, (la_int64_t)len);
    if (e->link && e->hard)
        archive_entry_set_hardlink(entry, e->link);
    else if (e->link)
        archive_entry_set_symlink(entry, e->link);
    assert_int_equal(archive_write_header(writer, entry), ARCHIVE_OK);
    if (len > 0)
        assert_int_equal(archive_write_data(writer, e->text, len), len);
    archive_entry_free(entry);
}

enum packing { PLAIN, GZIP, ZSTD };

static void make_tar(const struct room *room, const char *name, const struct entry *entries,
                     enum packing packing)
{
    AUTO_FREE char *path = path_in(room, name);
    struct archive *writer = archive_write_new();
    archive_write_set_format_pax_restricted(writer);
    if (packing == GZIP)
        archive_write_add_filter_gzip(writer);
    if (packing == ZSTD)
        archive_write_add_filter_zstd(writer);
    assert_int_equal(archive_write_open_filename(writer, path), ARCHIVE_OK);
    for (; entries->name; entries++)
        put_entry(writer, entries);
    assert_int_equal(archive_write_close(writer), ARCHIVE_OK);
    archive_write_free(writer);
}

static struct image_store *open_with(const struct room *room, enum location_kind kind, const char *name,
                                     const struct archive_spool *spool, struct error *err)
{
    struct location location = {.kind = kind, .path = path_in(room, name)};
    struct image_store *store = image_store_open(room->roots, &location, spool, NULL, err);
    location_clear(&location);
    return store;
}

static struct image_store *open_store(const struct room *room, enum location_kind kind, const char *name,
                                      struct error *err)
{
    return open_with(room, kind, name, NULL, err);
}

static char *digest_text(const char *text)
{
    struct digest digest;
    digest_of(&digest, DIGEST_SHA256, text, strlen(text));
    return mem_strdup(digest.text);
}

// A config whose diff_ids are those of the texts (NULL-terminated).
static char *config_of(const char *const *layers)
{
    struct strbuf text = STRBUF_INIT(1 << 16);
    strbuf_puts(
        &text, "{\"architecture\":\"amd64\",\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[");
    for (size_t i = 0; layers[i]; i++) {
        AUTO_FREE char *digest = digest_text(layers[i]);
        strbuf_printf(&text, "%s\"%s\"", i ? "," : "", digest);
    }
    strbuf_puts(&text, "]}}");
    return strbuf_take(&text);
}

static void assert_reads(struct image_store *store, const struct digest *digest, const char *bytes,
                         size_t len)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    char buffer[4096];
    struct reader_at *reader = image_store_blob_open(store, digest, &err);
    if (!reader)
        fail_msg("%s", err.detail);
    assert_int_equal(reader_at_read(reader, buffer, sizeof buffer, 0, &err), len);
    assert_memory_equal(buffer, bytes, len);
    reader_at_close(reader);
}

static void resolve(struct image_store *store, const char *name, struct manifest *ret)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct descriptor found;
    if (image_store_resolve(store, name, NULL, &found, &err) < 0)
        fail_msg("%s", err.detail);
    assert_int_equal(image_store_manifest(store, &found, ret, &err), 0);
    descriptor_clear(&found);
}

// What `docker save` before version 25 wrote: layers in directories, equal ones as links, an "empty_layer"
// config.
static void test_docker_legacy_links(void **state)
{
    struct room *room = *state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    static const char *const layers[] = {"layer one", "layer two", "layer one", "layer two", NULL};
    AUTO_FREE char *config = config_of(layers);
    const struct entry entries[] = {
        {.name = "aaaa/layer.tar", .text = "layer one"},
        {.name = "aaaa/VERSION", .text = "1.0"},
        {.name = "bbbb/layer.tar", .text = "layer two"},
        {.name = "cccc/layer.tar", .link = "../aaaa/layer.tar"},
        {.name = "dddd/layer.tar", .link = "bbbb/layer.tar", .hard = true},
        {.name = "c.json", .text = config},
        {.name = "manifest.json",
         .text = "[{\"Config\":\"c.json\",\"RepoTags\":[\"busybox:1\"],\"Layers\":[\"aaaa/layer.tar\",\"bbbb/"
                 "layer.tar\","
                 "\"cccc/layer.tar\",\"dddd/layer.tar\"]}]"},
        {0},
    };
    struct manifest m;
    make_tar(room, "root/d.tar", entries, PLAIN);
    struct image_store *store = open_store(room, LOCATION_DOCKER_ARCHIVE, "root/d.tar", &err);
    if (!store)
        fail_msg("%s", err.detail);
    resolve(store, NULL, &m);
    assert_string_equal(m.media_type, MEDIA_DOCKER_MANIFEST);
    assert_string_equal(m.config.media_type, MEDIA_DOCKER_CONFIG);
    assert_int_equal(m.n_layers, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(m.layers[i].media_type, MEDIA_DOCKER_LAYER);
        assert_reads(store, &m.layers[i].digest, layers[i], 9);
        assert_int_equal(image_store_blob_size(store, &m.layers[i].digest), 9);
    }
    assert_reads(store, &m.config.digest, config, strlen(config));
    manifest_clear(&m);
    resolve(store, "docker.io/library/busybox:1", &m); // as written and as meant
    manifest_clear(&m);
    image_store_close(store);
}

// Compressed layers are what they are; their digest is that of the bytes that lie there.
static void test_docker_compressed_layers(void **state)
{
    struct room *room = *state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    static const char *const layers[] = {"layer one", "layer two", NULL};
    AUTO_FREE char *config = config_of(layers);
    AUTO_FREE char *path = path_in(room, "root/d.tar");
    const struct entry first[] = {
        {.name = "./c.json", .text = config},
        {.name = "./manifest.json",
         .text = "[{\"Config\":\"c.json\",\"RepoTags\":null,\"Layers\":[\"1.tar.gz\",\"2.tar.zst\"]}]"},
        {0},
    };
    struct archive *writer = archive_write_new();
    struct archive_entry *entry = archive_entry_new();
    archive_write_set_format_ustar(writer);
    archive_write_open_filename(writer, path);
    for (size_t i = 0; first[i].name; i++)
        put_entry(writer, &first[i]);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_pathname(entry, "1.tar.gz");
    archive_entry_set_size(entry, sizeof gzip_layer - 1);
    archive_write_header(writer, entry);
    archive_write_data(writer, gzip_layer, sizeof gzip_layer - 1);
    archive_entry_set_pathname(entry, "2.tar.zst");
    archive_entry_set_size(entry, 8);
    archive_write_header(writer, entry);
    archive_write_data(writer, "\x28\xb5\x2f\xfd\x00\x01\x02\x03", 8);
    archive_entry_free(entry);
    archive_write_close(writer);
    archive_write_free(writer);
    struct manifest m;
    struct digest gzip_digest;
    digest_of(&gzip_digest, DIGEST_SHA256, gzip_layer, sizeof gzip_layer - 1);
    struct image_store *store = open_store(room, LOCATION_DOCKER_ARCHIVE, "root/d.tar", &err);
    if (!store)
        fail_msg("%s", err.detail);
    resolve(store, NULL, &m);
    assert_string_equal(m.media_type, MEDIA_OCI_MANIFEST); // zstd is OCI's only
    assert_string_equal(m.config.media_type, MEDIA_OCI_CONFIG);
    assert_string_equal(m.layers[0].media_type, MEDIA_OCI_LAYER_GZIP);
    assert_string_equal(m.layers[1].media_type, MEDIA_OCI_LAYER_ZSTD);
    assert_true(digest_equal(&m.layers[0].digest, &gzip_digest));
    assert_reads(store, &gzip_digest, gzip_layer, sizeof gzip_layer - 1);
    manifest_clear(&m);
    image_store_close(store);
}

#define CONFIG0 "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}"

static const struct {
    const char *manifest_json;
    const char *config;
    enum error_code at_open;
    enum error_code at_resolve;
} bad_docker[] = {
    {"", CONFIG0, ERR_REGISTRY_PROTOCOL, 0},
    {"{}", CONFIG0, ERR_REGISTRY_PROTOCOL, 0},
    {"[1]", CONFIG0, ERR_REGISTRY_PROTOCOL, 0},
    {"[{}]", CONFIG0, ERR_REGISTRY_PROTOCOL, 0},
    {"[{\"Config\":1,\"Layers\":[]}]", CONFIG0, ERR_REGISTRY_PROTOCOL, 0},
    {"[{\"Config\":\"c.json\",\"Layers\":{}}]", CONFIG0, ERR_REGISTRY_PROTOCOL, 0},
    {"[{\"Config\":\"c.json\",\"Layers\":[1]}]", CONFIG0, ERR_REGISTRY_PROTOCOL, 0},
    {"[{\"Config\":\"c.json\",\"RepoTags\":\"x\",\"Layers\":[]}]", CONFIG0, ERR_REGISTRY_PROTOCOL, 0},
    {"[{\"Config\":\"c.json\",\"Config\":\"d.json\",\"Layers\":[]}]", CONFIG0, ERR_REGISTRY_PROTOCOL, 0},
    {"[]", CONFIG0, 0, ERR_IMAGE_NOT_FOUND},
    {"[{\"Config\":\"c.json\",\"RepoTags\":[\"\"]},{\"Config\":\"c.json\",\"RepoTags\":[\"\"]}]", CONFIG0, 0,
     ERR_IMAGE_NOT_FOUND},
    {"[{\"Config\":\"c.json\",\"Layers\":[]},{\"Config\":\"c.json\",\"Layers\":[]}]", CONFIG0, 0,
     ERR_IMAGE_NOT_FOUND},
    {"[{\"Config\":\"absent.json\",\"Layers\":[]}]", CONFIG0, 0, ERR_PATH_NOT_FOUND},
    {"[{\"Config\":\"../../etc/passwd\",\"Layers\":[]}]", CONFIG0, 0, ERR_PATH_NOT_FOUND},
    {"[{\"Config\":\"/etc/passwd\",\"Layers\":[]}]", CONFIG0, 0, ERR_PATH_NOT_FOUND},
    {"[{\"Config\":\"c.json\",\"Layers\":[]}]", "not JSON", 0, ERR_REGISTRY_PROTOCOL},
    {"[{\"Config\":\"c.json\",\"Layers\":[\"c.json\"]}]", CONFIG0, 0,
     ERR_REGISTRY_PROTOCOL}, // more layers than diff_ids
    {"[{\"Config\":\"c.json\",\"Layers\":[\"absent\"]}]",
     "{\"rootfs\":{\"diff_ids\":[\"sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb\"]"
     "}}",
     0, ERR_PATH_NOT_FOUND},
    {"[{\"Config\":\"c.json\",\"Layers\":[\"loop\"]}]",
     "{\"rootfs\":{\"diff_ids\":[\"sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb\"]"
     "}}",
     0, ERR_PATH_NOT_FOUND},
    {"[{\"Config\":\"c.json\",\"Layers\":[\"out\"]}]",
     "{\"rootfs\":{\"diff_ids\":[\"sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb\"]"
     "}}",
     0, ERR_PATH_NOT_FOUND},
    {"[{\"Config\":\"c.json\",\"Layers\":[\"xz\"]}]",
     "{\"rootfs\":{\"diff_ids\":[\"sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb\"]"
     "}}",
     0, ERR_MANIFEST_UNSUPPORTED},
};

static void test_docker_bad(void **state)
{
    struct room *room = *state;
    for (size_t i = 0; i < sizeof bad_docker / sizeof bad_docker[0]; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        struct descriptor found;
        const struct entry entries[] = {
            {.name = "c.json", .text = bad_docker[i].config},
            {.name = "xz",
             .text = "\xfd"
                     "7zXZ"},
            {.name = "loop", .link = "pool"},
            {.name = "pool", .link = "loop"},
            {.name = "out", .link = "../../../etc/passwd"},
            {.name = "manifest.json", .text = bad_docker[i].manifest_json},
            {0},
        };
        make_tar(room, "root/d.tar", entries, PLAIN);
        struct image_store *store = open_store(room, LOCATION_DOCKER_ARCHIVE, "root/d.tar", &err);
        if (!store != (bad_docker[i].at_open != 0))
            fail_msg("case %zu: %s", i, err.detail ? err.detail : "was opened");
        if (store && image_store_resolve(store, NULL, NULL, &found, &err) == 0)
            fail_msg("case %zu was resolved", i);
        if (err.code != (store ? bad_docker[i].at_resolve : bad_docker[i].at_open))
            fail_msg("case %zu: %s", i, err.detail);
        assert_non_null(strstr(err.detail, "root/d.tar"));
        image_store_close(store);
    }
}

// One format for the other: the hint says which.
static void test_mixed_up(void **state)
{
    struct room *room = *state;
    static const struct entry docker[] = {{.name = "manifest.json", .text = "[]"}, {0}};
    static const struct entry oci[] = {
        {.name = "oci-layout", .text = VERSION}, {.name = "index.json", .text = EMPTY_INDEX}, {0}};
    static const struct entry ancient[] = {{.name = "repositories", .text = "{}"}, {0}};
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    make_tar(room, "root/d.tar", docker, PLAIN);
    make_tar(room, "root/o.tar", oci, PLAIN);
    make_tar(room, "root/a.tar", ancient, PLAIN);
    assert_null(open_store(room, LOCATION_OCI_ARCHIVE, "root/d.tar", &err));
    assert_int_equal(err.code, ERR_REGISTRY_PROTOCOL);
    assert_non_null(strstr(err.hint, "docker-archive:"));
    error_clear(&err);
    assert_null(open_store(room, LOCATION_DOCKER_ARCHIVE, "root/o.tar", &err));
    assert_int_equal(err.code, ERR_REGISTRY_PROTOCOL);
    assert_non_null(strstr(err.hint, "oci-archive:"));
    error_clear(&err);
    assert_null(open_store(room, LOCATION_DOCKER_ARCHIVE, "root/a.tar", &err));
    assert_int_equal(err.code, ERR_MANIFEST_UNSUPPORTED);
}

static void test_not_archives(void **state)
{
    struct room *room = *state;
    AUTO_FREE char *fifo = path_in(room, "root/fifo");
    AUTO_FREE char *link = path_in(room, "root/link");
    AUTO_FREE char *secret = path_in(room, "secret.tar");
    static const struct entry entries[] = {
        {.name = "oci-layout", .text = VERSION}, {.name = "index.json", .text = EMPTY_INDEX}, {0}};
    put_file(room, "root/empty", "");
    put_file(room, "root/text", "This is not an archive, however long it may be, and whatever it is called.");
    make_directory(room, "root/directory");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    make_tar(room, "secret.tar", entries, PLAIN);
    assert_int_equal(symlink(secret, link), 0);
    static const struct {
        const char *name;
        enum error_code code;
    } cases[] = {
        {"root/absent", ERR_PATH_NOT_FOUND},  {"root/empty", ERR_REGISTRY_PROTOCOL},
        {"root/text", ERR_REGISTRY_PROTOCOL}, {"root/directory", ERR_REGISTRY_PROTOCOL},
        {"root/fifo", ERR_REGISTRY_PROTOCOL}, {"root/link", ERR_PATH_NOT_ALLOWED},
        {"secret.tar", ERR_PATH_NOT_ALLOWED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        assert_null(open_store(room, LOCATION_OCI_ARCHIVE, cases[i].name, &err));
        if (err.code != cases[i].code)
            fail_msg("%s: %s", cases[i].name, err.detail);
    }
}

// Cut at every 512th byte and beside it: never more than is there, never a crash.
static void test_cut_short(void **state)
{
    struct room *room = *state;
    CLEANUP(error_clear) struct error whole = ERROR_INIT;
    static const char *const layers[] = {"layer one", NULL};
    AUTO_FREE char *config = config_of(layers);
    AUTO_FREE char *path = path_in(room, "root/d.tar");
    AUTO_FREE char *large = mem_alloc(3001);
    memset(large, 'x', 3000);
    large[3000] = '\0';
    const struct entry entries[] = {
        {.name = "manifest.json", .text = "[{\"Config\":\"c.json\",\"Layers\":[\"l.tar\"]}]"},
        {.name = "c.json", .text = config},
        {.name = "large", .text = large},
        {.name = "l.tar", .text = "layer one"},
        {0},
    };
    make_tar(room, "root/d.tar", entries, PLAIN);
    struct image_store *store = open_store(room, LOCATION_DOCKER_ARCHIVE, "root/d.tar", &whole);
    struct manifest m;
    resolve(store, NULL, &m);
    manifest_clear(&m);
    image_store_close(store);
    for (off_t size = 512 * 11; size > 0; size -= 256) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        struct descriptor found;
        assert_int_equal(truncate(path, size), 0);
        store = open_store(room, LOCATION_DOCKER_ARCHIVE, "root/d.tar", &err);
        if (store && image_store_resolve(store, NULL, NULL, &found, &err) == 0)
            fail_msg("cut at %ld it was resolved", (long)size);
        assert_true(err.code == ERR_REGISTRY_PROTOCOL || err.code == ERR_PATH_NOT_FOUND);
        image_store_close(store);
    }
}

// Readers of tar choose differently between two files of one name.
static void test_twice(void **state)
{
    struct room *room = *state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    static const struct entry entries[] = {
        {.name = "oci-layout", .text = VERSION},
        {.name = "index.json", .text = EMPTY_INDEX},
        {.name = "./x/../index.json", .text = "{\"schemaVersion\":2,\"manifests\":[],\"other\":1}"},
        {0},
    };
    make_tar(room, "root/o.tar", entries, PLAIN);
    assert_null(open_store(room, LOCATION_OCI_ARCHIVE, "root/o.tar", &err));
    assert_int_equal(err.code, ERR_REGISTRY_PROTOCOL);
    assert_non_null(strstr(err.detail, "index.json"));
}

static void test_oci_manifest_verified(void **state)
{
    struct room *room = *state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    AUTO_FREE char *digest = digest_text("right");
    AUTO_FREE char *name = mem_printf("blobs/sha256/%s", digest + 7);
    AUTO_FREE char *index = mem_printf(
        "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":5}]}",
        MEDIA_OCI_MANIFEST, digest);
    const struct entry entries[] = {{.name = "oci-layout", .text = VERSION},
                                    {.name = "index.json", .text = index},
                                    {.name = name, .text = "wrong"},
                                    {0}};
    struct descriptor found;
    struct manifest m;
    make_tar(room, "root/o.tar", entries, PLAIN);
    struct image_store *store = open_store(room, LOCATION_OCI_ARCHIVE, "root/o.tar", &err);
    assert_non_null(store);
    assert_int_equal(image_store_resolve(store, NULL, NULL, &found, &err), 0);
    assert_int_equal(image_store_manifest(store, &found, &m, &err), -1);
    assert_int_equal(err.code, ERR_DIGEST_MISMATCH);
    descriptor_clear(&found);
    image_store_close(store);
}

static void test_blob_unknown(void **state)
{
    struct room *room = *state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    static const struct entry entries[] = {
        {.name = "oci-layout", .text = VERSION}, {.name = "index.json", .text = EMPTY_INDEX}, {0}};
    struct digest digest;
    digest_of(&digest, DIGEST_SHA256, "x", 1);
    make_tar(room, "root/o.tar", entries, PLAIN);
    struct image_store *store = open_store(room, LOCATION_OCI_ARCHIVE, "root/o.tar", &err);
    assert_int_equal(image_store_blob_size(store, &digest), -1);
    assert_null(image_store_blob_open(store, &digest, &err));
    assert_int_equal(err.code, ERR_BLOB_UNKNOWN);
    image_store_close(store);
}

// `docker save | gzip`: unpacked into the spool, which is left empty, or refused where there is none.
static void test_compressed_archive(void **state)
{
    struct room *room = *state;
    static const struct entry entries[] = {
        {.name = "oci-layout", .text = VERSION}, {.name = "index.json", .text = EMPTY_INDEX}, {0}};
    make_directory(room, "spool");
    AUTO_FREE char *spool_path = path_in(room, "spool");
    AUTO_CLOSE int dirfd = open(spool_path, O_RDONLY | O_DIRECTORY);
    const struct archive_spool spool = {.dirfd = dirfd, .bytes_max = 1 << 20};
    for (enum packing packing = GZIP; packing <= ZSTD; packing++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        make_tar(room, "root/o.tar", entries, packing);
        assert_null(open_with(room, LOCATION_OCI_ARCHIVE, "root/o.tar", NULL, &err));
        assert_int_equal(err.code, ERR_REGISTRY_PROTOCOL);
        assert_non_null(err.hint);
        error_clear(&err);
        struct image_store *store = open_with(room, LOCATION_OCI_ARCHIVE, "root/o.tar", &spool, &err);
        if (!store)
            fail_msg("%s", err.detail);
        image_store_close(store);
        assert_int_equal(count_entries(room, "spool"), 0);
    }
}

static void test_bomb(void **state)
{
    struct room *room = *state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    AUTO_FREE char *zeros = mem_alloc((2 << 20) + 1);
    memset(zeros, '0', 2 << 20);
    zeros[2 << 20] = '\0';
    const struct entry entries[] = {
        {.name = "oci-layout", .text = VERSION}, {.name = "x", .text = zeros}, {0}};
    make_directory(room, "spool");
    AUTO_FREE char *spool_path = path_in(room, "spool");
    AUTO_CLOSE int dirfd = open(spool_path, O_RDONLY | O_DIRECTORY);
    const struct archive_spool spool = {.dirfd = dirfd, .bytes_max = 1 << 20};
    make_tar(room, "root/o.tar", entries, GZIP);
    assert_null(open_with(room, LOCATION_OCI_ARCHIVE, "root/o.tar", &spool, &err));
    assert_int_equal(err.code, ERR_TOO_LARGE);
    assert_int_equal(count_entries(room, "spool"), 0);
}

static void test_cancelled(void **state)
{
    struct room *room = *state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    static const struct entry entries[] = {{.name = "oci-layout", .text = VERSION}, {0}};
    struct monitor monitor = {.cancelled = true};
    struct location location = {.kind = LOCATION_OCI_ARCHIVE, .path = path_in(room, "root/o.tar")};
    make_tar(room, "root/o.tar", entries, PLAIN);
    assert_null(image_store_open(room->roots, &location, NULL, &monitor, &err));
    assert_int_equal(err.code, ERR_CANCELLED);
    location_clear(&location);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOM(test_docker_legacy_links),
        WITH_ROOM(test_docker_compressed_layers),
        WITH_ROOM(test_docker_bad),
        WITH_ROOM(test_mixed_up),
        WITH_ROOM(test_not_archives),
        WITH_ROOM(test_cut_short),
        WITH_ROOM(test_twice),
        WITH_ROOM(test_oci_manifest_verified),
        WITH_ROOM(test_blob_unknown),
        WITH_ROOM(test_compressed_archive),
        WITH_ROOM(test_bomb),
        WITH_ROOM(test_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
