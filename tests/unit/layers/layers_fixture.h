// SPDX-License-Identifier: Apache-2.0
//
// A tree under a temporary build root, a spec over it, and the layer that comes out, as a listing of one line
// per entry:
//
//     d 0755 0:0 0 app/
//     f 0644 0:0 0 app/x 5 hello
//     l 0777 0:0 0 app/y -> x
//     h app/z => app/x
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "layers/lanes.h"
#include "layers/layer.h"

enum { FIXTURE_BLOB_MAX = 256 << 20, FIXTURE_ENTRIES_MAX = 64 };

struct fixture {
    char dir[64];
    struct roots *roots;
    struct lanes *lanes;
    struct layer_spec spec;
    struct layer_result result;
    struct error err;
    struct strbuf blob;
    struct strbuf listing;
};

struct memory_sink {
    struct sink sink;
    struct strbuf *buf;
};

static inline int memory_write(struct sink *sink, const void *bytes, size_t len, struct error *err)
{
    struct memory_sink *memory = (struct memory_sink *)sink;
    return strbuf_append(memory->buf, bytes, len) < 0
               ? error_set(err, ERR_NO_SPACE, "the test's buffer is full")
               : 0;
}

static const struct sink_ops MEMORY_SINK = {.write = memory_write};

static inline void fixture_init(struct fixture *fx, size_t lanes)
{
    *fx = (struct fixture){
        .err = ERROR_INIT, .blob = STRBUF_INIT(FIXTURE_BLOB_MAX), .listing = STRBUF_INIT(16 << 20)};
    strcpy(fx->dir, "/tmp/dray-layers-XXXXXX");
    assert_non_null(mkdtemp(fx->dir));
    fx->roots = roots_new("build root", "--build-root");
    assert_int_equal(roots_add(fx->roots, fx->dir, &fx->err), 0);
    fx->lanes = lanes_new(lanes, &fx->err);
    assert_non_null(fx->lanes);
    fx->spec.entries = mem_calloc(FIXTURE_ENTRIES_MAX, sizeof(struct layer_entry));
    fx->spec.level = LAYER_LEVEL_FAST;
}

static inline void fixture_fini(struct fixture *fx)
{
    layer_spec_clear(&fx->spec);
    layer_result_clear(&fx->result);
    lanes_free(fx->lanes);
    roots_free(fx->roots);
    strbuf_free(&fx->blob);
    strbuf_free(&fx->listing);
    error_clear(&fx->err);
    file_remove_tree(AT_FDCWD, fx->dir, &fx->err);
    error_clear(&fx->err);
}

static inline char *fixture_path(const struct fixture *fx, const char *path)
{
    return mem_printf("%s/%s", fx->dir, path);
}

static inline void fixture_parents(const struct fixture *fx, const char *path)
{
    AUTO_FREE char *full = fixture_path(fx, path);
    char *slash = strrchr(full, '/');
    *slash = '\0';
    struct error err = ERROR_INIT;
    assert_int_equal(file_make_directory(full, 0755, &err), 0);
}

static inline void fixture_bytes(const struct fixture *fx, const char *path, const void *bytes, size_t len,
                                 mode_t mode)
{
    fixture_parents(fx, path);
    AUTO_FREE char *full = fixture_path(fx, path);
    AUTO_CLOSE int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    assert_int_equal(fchmod(fd, mode), 0);
}

static inline void fixture_file(const struct fixture *fx, const char *path, const char *text)
{
    fixture_bytes(fx, path, text, strlen(text), 0644);
}

static inline void fixture_link(const struct fixture *fx, const char *path, const char *target)
{
    fixture_parents(fx, path);
    AUTO_FREE char *full = fixture_path(fx, path);
    assert_int_equal(symlink(target, full), 0);
}

static inline void fixture_directory(const struct fixture *fx, const char *path, mode_t mode)
{
    fixture_parents(fx, path);
    AUTO_FREE char *full = fixture_path(fx, path);
    assert_true(mkdir(full, 0700) == 0 || errno == EEXIST);
    assert_int_equal(chmod(full, mode), 0);
}

// The texts are copied; from is relative to the fixture's directory.
static inline struct layer_entry *fixture_entry(struct fixture *fx, enum layer_entry_type type,
                                                const char *from, const char *to)
{
    assert_true(fx->spec.n_entries < FIXTURE_ENTRIES_MAX);
    struct layer_entry *entry = &fx->spec.entries[fx->spec.n_entries];
    entry->type = type;
    entry->from = from ? fixture_path(fx, from) : NULL;
    entry->to = mem_strdup(to);
    entry->pointer = mem_printf("/layers/0/files/%zu", fx->spec.n_entries++);
    return entry;
}

static inline struct layer_entry *fixture_copy(struct fixture *fx, const char *from, const char *to)
{
    return fixture_entry(fx, LAYER_COPY, from, to);
}

static inline struct layer_entry *fixture_inline(struct fixture *fx, const char *to, const char *text)
{
    struct layer_entry *entry = fixture_entry(fx, LAYER_FILE, NULL, to);
    entry->data_len = strlen(text);
    entry->data = mem_strdup(text);
    return entry;
}

static inline void fixture_texts(char ***ret, size_t *ret_count, const char *const *texts)
{
    size_t count = 0;
    while (texts[count])
        count++;
    *ret = mem_calloc(count + 1, sizeof(**ret));
    for (size_t i = 0; i < count; i++)
        (*ret)[i] = mem_strdup(texts[i]);
    *ret_count = count;
}

static inline void list_data(struct archive *archive, struct strbuf *listing)
{
    char data[81];
    la_ssize_t got = archive_read_data(archive, data, sizeof(data) - 1);
    assert_true(got >= 0);
    data[got] = '\0';
    strbuf_printf(listing, " %s", data);
}

static inline void list_entry(struct archive *archive, struct archive_entry *entry, struct strbuf *listing)
{
    const char *path = archive_entry_pathname_utf8(entry);
    if (archive_entry_hardlink(entry)) {
        strbuf_printf(listing, "h %s => %s\n", path, archive_entry_hardlink(entry));
        return;
    }
    unsigned type = archive_entry_filetype(entry);
    strbuf_printf(listing, "%c %04o %lld:%lld %lld %s",
                  type == AE_IFDIR   ? 'd'
                  : type == AE_IFLNK ? 'l'
                  : type == AE_IFCHR ? 'c'
                                     : 'f',
                  archive_entry_perm(entry), (long long)archive_entry_uid(entry),
                  (long long)archive_entry_gid(entry), (long long)archive_entry_mtime(entry), path);
    if (type == AE_IFLNK)
        strbuf_printf(listing, " -> %s", archive_entry_symlink_utf8(entry));
    if (type == AE_IFREG)
        strbuf_printf(listing, " %lld", (long long)archive_entry_size(entry));
    if (type == AE_IFREG && archive_entry_size(entry) > 0 && archive_entry_size(entry) <= 80)
        list_data(archive, listing);
    const char *name;
    const void *value;
    size_t len;
    archive_entry_xattr_reset(entry);
    while (archive_entry_xattr_next(entry, &name, &value, &len) == ARCHIVE_OK)
        strbuf_printf(listing, " %s=%.*s", name, (int)len, (const char *)value);
    strbuf_putc(listing, '\n');
}

static inline const char *fixture_list(struct fixture *fx)
{
    strbuf_reset(&fx->listing);
    setlocale(LC_CTYPE, "C.UTF-8");
    struct archive *archive = archive_read_new();
    archive_read_support_filter_all(archive);
    archive_read_support_format_tar(archive);
    archive_read_support_format_empty(archive);
    assert_int_equal(archive_read_open_memory(archive, fx->blob.data, fx->blob.len), ARCHIVE_OK);
    struct archive_entry *entry;
    int status;
    while ((status = archive_read_next_header(archive, &entry)) == ARCHIVE_OK)
        list_entry(archive, entry, &fx->listing);
    assert_int_equal(status, ARCHIVE_EOF);
    archive_read_free(archive);
    return strbuf_text(&fx->listing);
}

static inline int fixture_pack(struct fixture *fx)
{
    struct memory_sink memory = {.sink.ops = &MEMORY_SINK, .buf = &fx->blob};
    strbuf_reset(&fx->blob);
    error_clear(&fx->err);
    layer_result_clear(&fx->result);
    return layer_pack(&fx->spec, fx->roots, NULL, fx->lanes, &memory.sink, NULL, &fx->result, &fx->err);
}

// Packs and compares the listing.
static inline void fixture_expect(struct fixture *fx, const char *listing)
{
    if (fixture_pack(fx) < 0)
        fail_msg("%s", fx->err.detail);
    assert_string_equal(fixture_list(fx), listing);
    struct digest digest;
    digest_of(&digest, DIGEST_SHA256, fx->blob.data, fx->blob.len);
    assert_true(digest_equal(&digest, &fx->result.digest));
    assert_int_equal(fx->result.size, fx->blob.len);
}

// Packs and expects this failure, with the text somewhere in its detail.
static inline void fixture_refuse(struct fixture *fx, enum error_code code, const char *text)
{
    assert_int_equal(fixture_pack(fx), -1);
    if (fx->err.code != code || !strstr(fx->err.detail, text))
        fail_msg("%s: %s", error_wire(fx->err.code), fx->err.detail);
}

static inline int fixture_setup(void **state)
{
    struct fixture *fx = mem_new(struct fixture);
    fixture_init(fx, 2);
    *state = fx;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    fixture_fini(*state);
    free(*state);
    return 0;
}

#define fixture_test(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)
