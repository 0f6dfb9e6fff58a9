// SPDX-License-Identifier: Apache-2.0
//
// Tars as sources: what comes out of good ones in each compression, and what becomes of bad ones.
#include "layers/layers_fixture.h"

#include <zlib.h>

#include "base/stream.h"

// --- making tars
// ---------------------------------------------------------------------------------------------------

struct tar {
    struct archive *archive;
    struct archive_entry *entry;
    struct strbuf bytes;
};

static la_ssize_t append(struct archive *archive, void *context, const void *bytes, size_t len)
{
    (void)archive;
    assert_int_equal(strbuf_append(context, bytes, len), 0);
    return (la_ssize_t)len;
}

static void tar_begin(struct tar *tar, int (*filter)(struct archive *))
{
    setlocale(LC_CTYPE, "C.UTF-8");
    tar->bytes = STRBUF_INIT(64 << 20);
    tar->archive = archive_write_new();
    tar->entry = archive_entry_new();
    archive_write_set_format_pax_restricted(tar->archive);
    archive_write_set_bytes_in_last_block(tar->archive, 1);
    if (filter)
        assert_int_equal(filter(tar->archive), ARCHIVE_OK);
    assert_int_equal(archive_write_open(tar->archive, &tar->bytes, NULL, append, NULL), ARCHIVE_OK);
}

static void tar_put(struct tar *tar, const char *path, unsigned type, mode_t mode, const char *text)
{
    archive_entry_clear(tar->entry);
    archive_entry_copy_pathname(tar->entry, path);
    archive_entry_set_mode(tar->entry, mode);
    archive_entry_set_filetype(tar->entry, type);
    archive_entry_set_uid(tar->entry, 500);
    archive_entry_set_mtime(tar->entry, 12345, 0);
    if (type == AE_IFLNK)
        archive_entry_copy_symlink(tar->entry, text);
    else
        archive_entry_set_size(tar->entry, text ? (la_int64_t)strlen(text) : 0);
    if (type == AE_IFREG && strcmp(path, "x") == 0)
        archive_entry_xattr_add_entry(tar->entry, "user.one", "1", 1),
            archive_entry_xattr_add_entry(tar->entry, "user.two", "2", 1);
    assert_int_equal(archive_write_header(tar->archive, tar->entry), ARCHIVE_OK);
    if (type == AE_IFREG && text)
        assert_int_equal(archive_write_data(tar->archive, text, strlen(text)), strlen(text));
}

static void tar_put_hard_link(struct tar *tar, const char *path, const char *target)
{
    archive_entry_clear(tar->entry);
    archive_entry_copy_pathname(tar->entry, path);
    archive_entry_set_mode(tar->entry, AE_IFREG | 0644);
    archive_entry_copy_hardlink(tar->entry, target);
    assert_int_equal(archive_write_header(tar->archive, tar->entry), ARCHIVE_OK);
}

static void tar_end(struct tar *tar, const struct fixture *fx, const char *path)
{
    archive_write_close(tar->archive);
    archive_write_free(tar->archive);
    archive_entry_free(tar->entry);
    if (path)
        fixture_bytes(fx, path, tar->bytes.data, tar->bytes.len, 0644);
    strbuf_free(&tar->bytes);
}

static struct layer_entry *add_tar(struct fixture *fx, const char *path, const char *to)
{
    return fixture_entry(fx, LAYER_TAR, path, to);
}

// One header of ustar, for what libarchive would not write.
static void raw_header(char ret[512], const char *path, char type, const char *target, unsigned size)
{
    memset(ret, 0, 512);
    memcpy(ret, path, strlen(path));
    sprintf(ret + 100, "%07o", 0644u);
    sprintf(ret + 108, "%07o", 0u);
    sprintf(ret + 116, "%07o", 0u);
    sprintf(ret + 124, "%011o", size);
    sprintf(ret + 136, "%011o", 0u);
    memset(ret + 148, ' ', 8);
    ret[156] = type;
    strcpy(ret + 157, target);
    memcpy(ret + 257, "ustar\00000", 8);
    unsigned sum = 0;
    for (int i = 0; i < 512; i++)
        sum += (unsigned char)ret[i];
    sprintf(ret + 148, "%06o", sum);
}

// --- good ones
// -----------------------------------------------------------------------------------------------------

static const char GOOD[] = "d 0755 0:0 0 srv/\n"
                           "d 0755 0:0 0 srv/d/\n"
                           "f 0755 0:0 0 srv/d/tool 4 tool\n"
                           "h srv/hard => srv/d/tool\n"
                           "l 0777 0:0 0 srv/l -> /anywhere\n"
                           "f 0644 0:0 0 srv/x 3 new user.one=1\n"
                           "f 0644 0:0 0 srv/\xe2\x98\xba 0\n";

static void put_good(struct tar *tar)
{
    tar_put(tar, "./", AE_IFDIR, 0700, NULL);
    tar_put(tar, "./d/tool", AE_IFREG, 0700, "tool");
    tar_put(tar, "./d/", AE_IFDIR, 0711, NULL);
    tar_put_hard_link(tar, "hard", "d/tool");
    tar_put(tar, "l", AE_IFLNK, 0777, "/anywhere");
    tar_put(tar, "x", AE_IFREG, 0644, "old one");
    tar_put(tar, "\xe2\x98\xba", AE_IFREG, 0600, "");
    tar_put(tar, "x", AE_IFREG, 0644, "new");
}

static void test_compressions(void **state)
{
    struct fixture *fx = *state;
    static int (*const filters[])(struct archive *) = {NULL,
                                                       archive_write_add_filter_gzip,
                                                       archive_write_add_filter_bzip2,
                                                       archive_write_add_filter_xz,
                                                       archive_write_add_filter_zstd,
                                                       archive_write_add_filter_lz4};
    const char *const names[] = {"user.one", "user.absent", NULL};
    struct layer_entry *entry = add_tar(fx, "t.tar", "/srv");
    fixture_texts(&entry->xattrs, &entry->n_xattrs, names);
    struct digest first = {0};
    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
        struct tar tar;
        tar_begin(&tar, filters[i]);
        put_good(&tar);
        tar_end(&tar, fx, "t.tar");
        fixture_expect(fx, GOOD);
        if (i == 0)
            first = fx->result.digest;
        assert_true(digest_equal(&first, &fx->result.digest));
    }
}

static void test_context(void **state)
{
    struct fixture *fx = *state;
    struct tar tar;
    tar_begin(&tar, archive_write_add_filter_zstd);
    put_good(&tar);
    assert_int_equal(archive_write_close(tar.archive), ARCHIVE_OK);
    struct layer_entry *entry = fixture_entry(fx, LAYER_CONTEXT, NULL, "/srv");
    const char *const names[] = {"user.one", NULL};
    fixture_texts(&entry->xattrs, &entry->n_xattrs, names);
    digest_of(&entry->context, DIGEST_SHA256, tar.bytes.data, tar.bytes.len);
    entry->context_reader = reader_at_bytes(tar.bytes.data, tar.bytes.len);
    fixture_expect(fx, GOOD);
    struct digest before;
    bool stable;
    assert_int_equal(layer_fingerprint(&fx->spec, fx->roots, NULL, NULL, &before, &stable, &fx->err), 0);
    assert_true(digest_equal(&before, &fx->result.fingerprint));
    assert_true(stable && fx->result.stable);
    reader_at_close(entry->context_reader);
    entry->context_reader = NULL;
    fixture_refuse(fx, ERR_NOT_FOUND, "the context sha256:");
    tar_end(&tar, fx, NULL);
}

static void test_merge_with_other_sources(void **state)
{
    struct fixture *fx = *state;
    struct tar tar;
    tar_begin(&tar, NULL);
    tar_put(&tar, "a", AE_IFREG, 0644, "tar");
    tar_put(&tar, "b", AE_IFREG, 0644, "tar");
    tar_put(&tar, "c/d", AE_IFREG, 0644, "tar");
    tar_end(&tar, fx, "t.tar");
    fixture_file(fx, "src/a", "disk");
    fixture_file(fx, "src/c", "disk");
    fixture_copy(fx, "src", "/");
    add_tar(fx, "t.tar", "/");
    fixture_inline(fx, "/b", "inline");
    struct layer_entry *keep = add_tar(fx, "t.tar", "/second");
    keep->uid = 9;
    keep->mode = mem_strdup("keep");
    fixture_expect(fx, "f 0644 0:0 0 a 3 tar\n"
                       "f 0644 0:0 0 b 6 inline\n"
                       "d 0755 0:0 0 c/\n"
                       "f 0644 0:0 0 c/.wh..wh..opq 0\n"
                       "f 0644 0:0 0 c/d 3 tar\n"
                       "f 0644 9:0 0 second/a 3 tar\n"
                       "f 0644 9:0 0 second/b 3 tar\n"
                       "f 0644 9:0 0 second/c/d 3 tar\n");
}

static void test_empty_tar(void **state)
{
    struct fixture *fx = *state;
    char zeros[10240] = {0};
    fixture_bytes(fx, "t.tar", zeros, sizeof(zeros), 0644);
    add_tar(fx, "t.tar", "/srv");
    fixture_expect(fx, "");
}

// --- bad ones
// ------------------------------------------------------------------------------------------------------

static void test_bad_members(void **state)
{
    struct fixture *fx = *state;
    static const struct {
        const char *path;
        char type;
        const char *target, *text;
    } cases[] = {
        {"/etc/passwd", '0', "", "absolute"},
        {"../x", '0', "", "\"..\""},
        {"a/../../x", '0', "", "\"..\""},
        {"a/..", '5', "", "\"..\""},
        {".wh.x", '0', "", ".wh."},
        {"a/.wh..wh..opq", '0', "", ".wh."},
        {"dev", '3', "", "device"},
        {"dev", '4', "", "device"},
        {"fifo", '6', "", "FIFO"},
        {"bad\xff", '0', "", "UTF-8"},
        {"", '0', "", "no name"},
        {"hard", '1', "/etc/passwd", "hard link"},
        {"hard", '1', "../../etc/passwd", "hard link"},
        {"hard", '1', "hard", "hard link"},
        {"hard", '1', "later", "hard link"},
        {"l", '2', "\xff", "UTF-8"},
    };
    add_tar(fx, "t.tar", "/srv");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char bytes[512 * 3] = {0};
        raw_header(bytes, cases[i].path, cases[i].type, cases[i].target, 0);
        fixture_bytes(fx, "t.tar", bytes, sizeof(bytes), 0644);
        fixture_refuse(fx, ERR_UNSUPPORTED_FILE, cases[i].text);
        assert_string_equal(fx->err.pointer, "/layers/0/files/0");
    }
}

// A member below a link would land where the link leads.
static void test_members_through_members(void **state)
{
    struct fixture *fx = *state;
    static const struct {
        const char *first, *second;
        char first_type, second_type;
    } cases[] = {{"a", "a/passwd", '2', '0'}, {"a", "a/b/c", '2', '0'}, {"a/b", "a", '0', '2'},
                 {"a", "a/b", '0', '0'},      {"a/b", "a", '0', '0'},   {"a", "a/d", '2', '5'}};
    add_tar(fx, "t.tar", "/srv");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char bytes[512 * 4] = {0};
        raw_header(bytes, cases[i].first, cases[i].first_type, "/etc", 0);
        raw_header(bytes + 512, cases[i].second, cases[i].second_type, "/etc", 0);
        fixture_bytes(fx, "t.tar", bytes, sizeof(bytes), 0644);
        fixture_refuse(fx, ERR_UNSUPPORTED_FILE, "lies below a member");
    }
}

static void test_not_a_tar(void **state)
{
    struct fixture *fx = *state;
    add_tar(fx, "t.tar", "/srv");
    fixture_file(fx, "t.tar", "this is no tar at all, but a text of some length that says so");
    fixture_refuse(fx, ERR_UNSUPPORTED_FILE, "is not a tar");
    fixture_file(fx, "t.tar", "");
    fixture_refuse(fx, ERR_UNSUPPORTED_FILE, "is not a tar");
    fixture_bytes(fx, "t.tar", "\x1f\x8b\x08\x00garbage", 11, 0644);
    fixture_refuse(fx, ERR_UNSUPPORTED_FILE, "is not a tar");
    AUTO_FREE char *path = fixture_path(fx, "t.tar");
    unlink(path);
    fixture_refuse(fx, ERR_PATH_NOT_FOUND, "t.tar");
    assert_int_equal(mkdir(path, 0755), 0);
    fixture_refuse(fx, ERR_UNSUPPORTED_FILE, "directory");
}

static void test_truncated(void **state)
{
    struct fixture *fx = *state;
    struct tar tar;
    tar_begin(&tar, archive_write_add_filter_gzip);
    tar_put(&tar, "a", AE_IFREG, 0644,
            "some text that is long enough to be compressed a little, a little, a little");
    archive_write_close(tar.archive);
    add_tar(fx, "t.tar", "/srv");
    for (size_t cut = 30; cut < tar.bytes.len - 40; cut += 17) {
        fixture_bytes(fx, "t.tar", tar.bytes.data, cut, 0644);
        assert_int_equal(fixture_pack(fx), -1);
        assert_int_equal(fx->err.code, ERR_UNSUPPORTED_FILE);
    }
    tar_end(&tar, fx, NULL);
    char bytes[512 * 2];
    raw_header(bytes, "a", '0', "", 100000);
    fixture_bytes(fx, "t.tar", bytes, sizeof(bytes), 0644);
    fixture_refuse(fx, ERR_UNSUPPORTED_FILE, "is damaged");
}

// The member says at once how large it is, so nothing is unpacked.
static void test_bomb(void **state)
{
    struct fixture *fx = *state;
    char block[4096] = {0};
    raw_header(block, "zeros", '0', "", 0);
    snprintf(block + 124, 12, "%011llo", 4ULL << 30);
    memset(block + 148, ' ', 8);
    unsigned sum = 0;
    for (int i = 0; i < 512; i++)
        sum += (unsigned char)block[i];
    sprintf(block + 148, "%06o", sum);
    AUTO_FREE char *path = fixture_path(fx, "t.tar");
    gzFile file = gzopen(path, "wb");
    for (int i = 0; i < 1024; i++) {
        assert_int_equal(gzwrite(file, block, sizeof(block)), sizeof(block));
        memset(block, 0, sizeof(block));
    }
    assert_int_equal(gzclose(file), Z_OK);
    add_tar(fx, "t.tar", "/srv");
    fixture_refuse(fx, ERR_TOO_LARGE, "more than the limit");
}

static void test_spool(void **state)
{
    struct fixture *fx = *state;
    struct tar tar;
    tar_begin(&tar, NULL);
    tar_put(&tar, "x", AE_IFREG, 0644, "content");
    tar_end(&tar, fx, "t.tar");
    add_tar(fx, "t.tar", "/srv");
    AUTO_FREE char *path = fixture_path(fx, "spool");
    assert_int_equal(mkdir(path, 0700), 0);
    AUTO_CLOSE int directory = open(path, O_RDONLY | O_DIRECTORY);
    fx->spec.spool_dirfd = directory;
    fixture_expect(fx, "f 0644 0:0 0 srv/x 7 content\n");
    // It is the daemon's, whoever asks.
    assert_int_equal(chmod(fx->dir, 0755), 0);
    struct layer_caller caller = {.apply = geteuid() == 0, .uid = 65534, .gid = 65534};
    struct memory_sink memory = {.sink.ops = &MEMORY_SINK, .buf = &fx->blob};
    layer_result_clear(&fx->result);
    assert_int_equal(
        layer_pack(&fx->spec, fx->roots, &caller, fx->lanes, &memory.sink, NULL, &fx->result, &fx->err), 0);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(fixture_pack(fx), -1);
    assert_non_null(strstr(fx->err.detail, "making a spool file in the spool directory"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_compressions),
        fixture_test(test_context),
        fixture_test(test_merge_with_other_sources),
        fixture_test(test_empty_tar),
        fixture_test(test_bad_members),
        fixture_test(test_members_through_members),
        fixture_test(test_not_a_tar),
        fixture_test(test_truncated),
        fixture_test(test_bomb),
        fixture_test(test_spool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
