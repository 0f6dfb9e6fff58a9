// SPDX-License-Identifier: Apache-2.0
//
// Trees that are made to be difficult: what cannot go into a layer is refused with its path and kind, what
// merely looks odd comes out as it is, and nothing hangs.
#include "layers/layers_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>

static char *deep_path(int levels, const char *name)
{
    struct strbuf path = STRBUF_INIT(1 << 20);
    for (int i = 0; i < levels; i++)
        strbuf_printf(&path, "%s/", name);
    return strbuf_take(&path);
}

static void make_deep(const struct fixture *fx, int levels, const char *name)
{
    fixture_directory(fx, "src", 0755);
    AUTO_FREE char *top = fixture_path(fx, "src");
    int at = open(top, O_PATH | O_DIRECTORY);
    for (int i = 0; i < levels; i++) {
        assert_int_equal(mkdirat(at, name, 0755), 0);
        int next = openat(at, name, O_PATH | O_DIRECTORY);
        close(at);
        at = next;
    }
    AUTO_CLOSE int fd = openat(at, "leaf", O_WRONLY | O_CREAT, 0644);
    assert_int_equal(write(fd, "leaf", 4), 4);
    close(at);
}

// --- refused
// -------------------------------------------------------------------------------------------------------

static void test_fifo(void **state)
{
    struct fixture *fx = *state;
    fixture_file(fx, "src/x", "x");
    AUTO_FREE char *path = fixture_path(fx, "src/pipe");
    assert_int_equal(mkfifo(path, 0644), 0);
    struct layer_entry *entry = fixture_copy(fx, "src", "/app");
    fixture_refuse(fx, ERR_UNSUPPORTED_FILE, "src/pipe is a FIFO");
    const char *const exclude[] = {"pipe", NULL};
    fixture_texts(&entry->exclude, &entry->n_exclude, exclude);
    fixture_expect(fx, "d 0755 0:0 0 app/\nf 0644 0:0 0 app/x 1 x\n");
}

static void test_fifo_as_source(void **state)
{
    struct fixture *fx = *state;
    AUTO_FREE char *path = fixture_path(fx, "pipe");
    assert_int_equal(mkfifo(path, 0644), 0);
    fixture_copy(fx, "pipe", "/app");
    fixture_refuse(fx, ERR_UNSUPPORTED_FILE, "is a FIFO");
    assert_string_equal(fx->err.pointer, "/layers/0/files/0");
}

static void test_socket(void **state)
{
    struct fixture *fx = *state;
    fixture_file(fx, "src/x", "x");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/src/sock", fx->dir);
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    fixture_copy(fx, "src", "/app");
    fixture_refuse(fx, ERR_UNSUPPORTED_FILE, "src/sock is a socket");
}

static void test_devices(void **state)
{
    struct fixture *fx = *state;
    assert_int_equal(roots_add(fx->roots, "/dev", &fx->err), 0);
    struct layer_entry *entry = fixture_copy(fx, "x", "/app");
    free(entry->from);
    entry->from = mem_strdup("/dev/null");
    fixture_refuse(fx, ERR_UNSUPPORTED_FILE, "/dev/null is a character device");
}

static void test_kernel_file_systems(void **state)
{
    struct fixture *fx = *state;
    assert_int_equal(roots_add(fx->roots, "/proc", &fx->err), 0);
    struct layer_entry *entry = fixture_copy(fx, "x", "/app");
    static const char *const paths[] = {"/proc/self", "/proc/sys", "/proc/version"};
    for (size_t i = 0; i < 3; i++) {
        free(entry->from);
        entry->from = mem_strdup(paths[i]);
        fixture_refuse(fx, ERR_UNSUPPORTED_FILE, "file system of the kernel");
    }
}

static void test_bad_names(void **state)
{
    struct fixture *fx = *state;
    static const struct {
        const char *name, *text;
    } cases[] = {{"src/.wh.motd", "begins with .wh."}, {"src/.wh..wh..opq", "begins with .wh."},
                 {"src/.wh.", "begins with .wh."},     {"src/bad\xff", "is not UTF-8"},
                 {"src/\xc0\xaf", "is not UTF-8"},     {"src/\xed\xa0\x80", "is not UTF-8"},
                 {"src/.wh.dir/x", "begins with .wh."}};
    fixture_copy(fx, "src", "/app");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = ERROR_INIT;
        AUTO_FREE char *src = fixture_path(fx, "src");
        file_remove_tree(AT_FDCWD, src, &err);
        error_clear(&err);
        fixture_file(fx, cases[i].name, "x");
        fixture_refuse(fx, ERR_UNSUPPORTED_FILE, cases[i].text);
        for (const char *c = fx->err.detail; *c; c++)
            assert_true((unsigned char)*c >= ' ' && *c != 0x7f);
    }
}

static void test_too_long_path(void **state)
{
    struct fixture *fx = *state;
    make_deep(fx, 2100, "d");
    fixture_copy(fx, "src", "/app");
    fixture_refuse(fx, ERR_UNSUPPORTED_FILE, "longer than 4096 bytes");
}

static void test_bad_targets(void **state)
{
    struct fixture *fx = *state;
    AUTO_FREE char *name = mem_alloc(5001);
    memset(name, 'x', 5000);
    name[0] = '/';
    name[5000] = '\0';
    const char *bad[] = {"",      "app",    "../x",       "/../x", "/a/../b",
                         "/a/..", "/.wh.x", "/a/.wh.b/c", "/\xff", name};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(layer_path_check(bad[i], &fx->err), -1);
        assert_int_equal(fx->err.code, ERR_INVALID_REQUEST);
        error_clear(&fx->err);
    }
    assert_int_equal(layer_path_check("/", &fx->err), 0);
    assert_int_equal(layer_path_check("/a..b/...", &fx->err), 0);
    fixture_inline(fx, "/", "x");
    fixture_refuse(fx, ERR_INVALID_REQUEST, "root directory");
}

static void test_missing_and_outside(void **state)
{
    struct fixture *fx = *state;
    struct layer_entry *entry = fixture_copy(fx, "gone", "/app");
    fixture_refuse(fx, ERR_PATH_NOT_FOUND, "gone");
    free(entry->from);
    entry->from = mem_strdup("/etc/passwd");
    fixture_refuse(fx, ERR_PATH_NOT_ALLOWED, "/etc/passwd");
    free(entry->from);
    fixture_link(fx, "out", "/etc");
    entry->from = fixture_path(fx, "out");
    fixture_refuse(fx, ERR_PATH_NOT_ALLOWED, "out");
    free(entry->from);
    fixture_link(fx, "up", "../../etc");
    entry->from = fixture_path(fx, "up/passwd");
    fixture_refuse(fx, ERR_PATH_NOT_ALLOWED, "up/passwd");
}

// Not readable for the caller, though for root: a root daemon takes the rights of another user for the test.
static void test_unreadable(void **state)
{
    struct fixture *fx = *state;
    fixture_bytes(fx, "src/secret", "s", 1, 0000);
    fixture_copy(fx, "src", "/app");
    assert_int_equal(chmod(fx->dir, 0755), 0);
    struct layer_caller caller = {.apply = geteuid() == 0, .uid = 65534, .gid = 65534};
    struct memory_sink memory = {.sink.ops = &MEMORY_SINK, .buf = &fx->blob};
    assert_int_equal(
        layer_pack(&fx->spec, fx->roots, &caller, fx->lanes, &memory.sink, NULL, &fx->result, &fx->err), -1);
    assert_int_equal(fx->err.code, ERR_FORBIDDEN);
    assert_non_null(strstr(fx->err.detail, "src/secret"));
    assert_int_equal(geteuid() == 0, access("/proc/1/environ", R_OK) == 0);
}

// --- odd but fine
// --------------------------------------------------------------------------------------------------

static void test_odd_names(void **state)
{
    struct fixture *fx = *state;
    static const char *const names[] = {
        "-rf", "a b", "a\nb",        "a\\b",         "a\"b", "a'b", "x ",        " x",
        "...", "..x", "con\x01trol", "\xe2\x98\xba", "wh.x", "*",   "PaxHeader", "a;rm -rf x"};
    AUTO_FREE char *longest = mem_alloc(256);
    memset(longest, 'n', 255);
    longest[255] = '\0';
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        AUTO_FREE char *path = mem_printf("src/%s", names[i]);
        fixture_file(fx, path, names[i]);
    }
    AUTO_FREE char *path = mem_printf("src/%s", longest);
    fixture_file(fx, path, "long");
    fixture_copy(fx, "src", "/app");
    assert_int_equal(fixture_pack(fx), 0);
    const char *listing = fixture_list(fx);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        AUTO_FREE char *line = mem_printf("app/%s %zu %s\n", names[i], strlen(names[i]), names[i]);
        if (!strstr(listing, line))
            fail_msg("%s is not there:\n%s", line, listing);
    }
    AUTO_FREE char *line = mem_printf("app/%s 4 long\n", longest);
    assert_non_null(strstr(listing, line));
}

// Deeper than there are descriptors for open directories, and longer than ustar can say.
static void test_deep_tree(void **state)
{
    struct fixture *fx = *state;
    make_deep(fx, 1500, "d");
    fixture_copy(fx, "src", "/app");
    assert_int_equal(fixture_pack(fx), 0);
    AUTO_FREE char *path = deep_path(1500, "d");
    AUTO_FREE char *line = mem_printf("f 0644 0:0 0 app/%sleaf 4 leaf\n", path);
    assert_non_null(strstr(fixture_list(fx), line));
    assert_int_equal(fx->result.files, 1502);
}

static void test_long_names_and_links(void **state)
{
    struct fixture *fx = *state;
    AUTO_FREE char *folder = deep_path(30, "directory-name");
    AUTO_FREE char *target = mem_printf("%sx", folder);
    AUTO_FREE char *path = mem_printf("src/%sfile", folder);
    fixture_file(fx, path, "content");
    fixture_link(fx, "src/l", target);
    fixture_copy(fx, "src", "/app");
    assert_int_equal(fixture_pack(fx), 0);
    AUTO_FREE char *line = mem_printf("app/%sfile 7 content\n", folder);
    AUTO_FREE char *link = mem_printf("app/l -> %s\n", target);
    assert_non_null(strstr(fixture_list(fx), line));
    assert_non_null(strstr(fixture_list(fx), link));
}

static void test_links_are_kept_as_they_are(void **state)
{
    struct fixture *fx = *state;
    fixture_link(fx, "src/loop", "loop");
    fixture_link(fx, "src/out", "../../../etc/shadow");
    fixture_link(fx, "src/gone", "nowhere");
    fixture_link(fx, "src/proc", "/proc/self/fd/3");
    fixture_copy(fx, "src", "/app");
    fixture_expect(fx, "d 0755 0:0 0 app/\n"
                       "l 0777 0:0 0 app/gone -> nowhere\n"
                       "l 0777 0:0 0 app/loop -> loop\n"
                       "l 0777 0:0 0 app/out -> ../../../etc/shadow\n"
                       "l 0777 0:0 0 app/proc -> /proc/self/fd/3\n");
}

static void test_from_through_links_inside_the_root(void **state)
{
    struct fixture *fx = *state;
    fixture_file(fx, "real/x", "x");
    fixture_link(fx, "link", "real");
    fixture_link(fx, "file", "link/x");
    fixture_copy(fx, "link", "/app");
    fixture_copy(fx, "file", "/f");
    fixture_expect(fx, "d 0755 0:0 0 app/\nf 0644 0:0 0 app/x 1 x\nf 0644 0:0 0 f 1 x\n");
}

static void test_follow(void **state)
{
    struct fixture *fx = *state;
    fixture_file(fx, "other/deep/y", "y");
    fixture_file(fx, "src/x", "x");
    fixture_link(fx, "src/rel", "../other");
    fixture_link(fx, "src/twice", "rel/deep/y");
    AUTO_FREE char *absolute = fixture_path(fx, "other/deep");
    fixture_link(fx, "src/abs", absolute);
    fixture_copy(fx, "src", "/app")->symlinks = LAYER_SYMLINKS_FOLLOW;
    fixture_expect(fx, "d 0755 0:0 0 app/\n"
                       "d 0755 0:0 0 app/abs/\n"
                       "f 0644 0:0 0 app/abs/y 1 y\n"
                       "d 0755 0:0 0 app/rel/\n"
                       "d 0755 0:0 0 app/rel/deep/\n"
                       "f 0644 0:0 0 app/rel/deep/y 1 y\n"
                       "f 0644 0:0 0 app/twice 1 y\n"
                       "f 0644 0:0 0 app/x 1 x\n");
}

static void test_follow_refuses(void **state)
{
    struct fixture *fx = *state;
    static const struct {
        const char *target;
        enum error_code code;
    } cases[] = {{"/etc/passwd", ERR_PATH_NOT_ALLOWED},
                 {"../../../etc/passwd", ERR_PATH_NOT_ALLOWED},
                 {"nowhere", ERR_PATH_NOT_FOUND},
                 {"../src", ERR_UNSUPPORTED_FILE},
                 {".", ERR_UNSUPPORTED_FILE},
                 {"../pipe", ERR_UNSUPPORTED_FILE},
                 {"/proc/self/root/etc", ERR_PATH_NOT_ALLOWED}};
    AUTO_FREE char *pipe_path = fixture_path(fx, "pipe");
    assert_int_equal(mkfifo(pipe_path, 0644), 0);
    AUTO_FREE char *link = fixture_path(fx, "src/link");
    fixture_copy(fx, "src", "/app")->symlinks = LAYER_SYMLINKS_FOLLOW;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unlink(link);
        fixture_link(fx, "src/link", cases[i].target);
        fixture_refuse(fx, cases[i].code, "src/link");
    }
}

// A directory of many names, more than one buffer of getdents64.
static void test_wide_directory(void **state)
{
    struct fixture *fx = *state;
    for (int i = 0; i < 3000; i++) {
        AUTO_FREE char *path = mem_printf("src/file-with-a-long-name-%06d", i);
        fixture_file(fx, path, "");
    }
    fixture_copy(fx, "src", "/app");
    assert_int_equal(fixture_pack(fx), 0);
    assert_int_equal(fx->result.files, 3001);
}

// Holes come out as zeros, between data, at the beginning and at the end; the same as a file of real zeros.
static void test_sparse_file(void **state)
{
    struct fixture *fx = *state;
    enum { SIZE = 40 << 20, PIECE = 70000 };
    static const off_t places[] = {0, 5 << 20, (20 << 20) + 123, SIZE - PIECE - 9 * 4096};
    AUTO_FREE char *dense = mem_calloc(1, SIZE);
    for (int first = 0; first < 2; first++) {
        fixture_file(fx, "src/file", "");
        AUTO_FREE char *path = fixture_path(fx, "src/file");
        AUTO_CLOSE int fd = open(path, O_RDWR);
        assert_int_equal(ftruncate(fd, SIZE), 0);
        memset(dense, 0, SIZE);
        for (size_t i = (size_t)first; i < 4; i++) {
            memset(dense + places[i], 'a' + (int)i, PIECE);
            assert_int_equal(pwrite(fd, dense + places[i], PIECE, places[i]), PIECE);
        }
        struct layer_entry *entry = fixture_copy(fx, "src", "/app");
        assert_int_equal(fixture_pack(fx), 0);
        struct digest sparse = fx->result.digest;
        fixture_bytes(fx, "src/file", dense, SIZE, 0644);
        assert_int_equal(fixture_pack(fx), 0);
        assert_string_equal(sparse.text, fx->result.digest.text);
        assert_int_equal(fx->result.tar_size, 512 + 512 + SIZE + 1024);
        free(entry->from);
        free(entry->to);
        free(entry->pointer);
        fx->spec.n_entries = 0;
    }
}

// --- files that change
// ---------------------------------------------------------------------------------------------

struct meddler {
    struct sink sink;
    char *path;
    void (*meddle)(const char *path);
    bool done;
};

static int meddle_once(struct sink *sink, const void *bytes, size_t len, struct error *err)
{
    (void)bytes, (void)len, (void)err;
    struct meddler *meddler = (struct meddler *)sink;
    if (!meddler->done)
        meddler->meddle(meddler->path);
    meddler->done = true;
    return 0;
}

static void shrink(const char *path)
{
    assert_int_equal(truncate(path, 100), 0);
}

static void grow(const char *path)
{
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, "more", 4), 4);
}

static void touch(const char *path)
{
    assert_int_equal(utimensat(AT_FDCWD, path, NULL, 0), 0);
}

// Same size, and the old time stamp put back: only ctime tells.
static void overwrite(const char *path)
{
    struct stat st;
    AUTO_CLOSE int fd = open(path, O_WRONLY);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(pwrite(fd, "x", 1, 0), 1);
    const struct timespec times[] = {st.st_atim, st.st_mtim};
    assert_int_equal(futimens(fd, times), 0);
}

// The file is larger than all blocks in flight, so the first bytes reach the sink while it is still being
// read.
static void test_changes_while_read(void **state)
{
    struct fixture *fx = *state;
    static void (*const ways[])(const char *) = {shrink, grow, touch, overwrite};
    AUTO_FREE char *path = fixture_path(fx, "src/big");
    fixture_copy(fx, "src", "/app");
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        AUTO_FREE char *bytes = mem_calloc(1, 16 << 20);
        fixture_bytes(fx, "src/big", bytes, 16 << 20, 0644);
        const struct timespec old[] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};
        assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
        struct meddler meddler = {
            .sink.ops = &(struct sink_ops){.write = meddle_once}, .path = path, .meddle = ways[i]};
        assert_int_equal(
            layer_pack(&fx->spec, fx->roots, NULL, fx->lanes, &meddler.sink, NULL, &fx->result, &fx->err),
            -1);
        assert_true(meddler.done);
        assert_int_equal(fx->err.code, ERR_SOURCE_CHANGED);
        assert_non_null(strstr(fx->err.detail, "src/big"));
        error_clear(&fx->err);
    }
}

// --- the race
// ------------------------------------------------------------------------------------------------------

static const char SECRET[] = "CANARY-7f3a9c-do-not-leak";

// Deeper than the walk keeps directories open: what lies below is opened by a path of several names, each of
// which may have become a link.
enum { RACE_DEPTH = 60 };

struct attacker {
    const struct fixture *fx;
    char deep[256]; // a directory at that depth
    atomic_bool stop;
    atomic_long swaps;
    pthread_mutex_t truce; // held while two swaps put something away and back
};

static int open_below(const struct fixture *fx, const char *path)
{
    AUTO_FREE char *full = fixture_path(fx, path);
    int fd = open(full, O_PATH | O_DIRECTORY);
    assert_true(fd >= 0);
    return fd;
}

static void exchange(struct attacker *attacker, int dirfd, const char *name, int links, const char *link)
{
    assert_int_equal(renameat2(dirfd, name, links, link, RENAME_EXCHANGE), 0);
    atomic_fetch_add(&attacker->swaps, 1);
}

static void *attack(void *argument)
{
    struct attacker *attacker = argument;
    AUTO_CLOSE int top = open_below(attacker->fx, "src"), deep = open_below(attacker->fx, attacker->deep),
                   links = open_below(attacker->fx, "links");
    static const char *const pairs[][2] = {{"deep", "out"}, {"file", "file"},   {"deep", "hidden"},
                                           {"dir", "dir"},  {"deep", "hidden"}, {"dir2/inner", "inner"}};
    for (unsigned i = 0; !atomic_load(&attacker->stop); i++) {
        const char *const *pair = pairs[i % 6];
        bool is_deep = strcmp(pair[0], "deep") == 0;
        pthread_mutex_lock(&attacker->truce);
        for (int twice = 0; twice < 2; twice++) {
            exchange(attacker, is_deep ? deep : top, is_deep ? "x" : pair[0], links, pair[1]);
            for (unsigned wait = i * 2654435761u % 3000; wait > 0; wait--)
                atomic_load(&attacker->stop);
        }
        pthread_mutex_unlock(&attacker->truce);
        if (i % 16 == 15)
            sched_yield();
    }
    return NULL;
}

static void put_secret(const char *path)
{
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT, 0644);
    assert_int_equal(write(fd, SECRET, strlen(SECRET)), strlen(SECRET));
}

static void make_race_tree(struct attacker *attacker, const char *secrets, const char *secret_file)
{
    const struct fixture *fx = attacker->fx;
    fixture_file(fx, "src/file", "harmless");
    fixture_file(fx, "src/dir/secret", "harmless");
    fixture_file(fx, "src/dir2/inner/secret", "harmless");
    strcpy(attacker->deep, "src/deep");
    for (int i = 0; i < RACE_DEPTH; i++)
        strcat(attacker->deep, "/d");
    fixture_link(fx, "links/file", secret_file);
    fixture_link(fx, "links/dir", secrets);
    fixture_link(fx, "links/inner", secrets);
    fixture_link(fx, "links/out", secrets);
    fixture_link(fx, "links/hidden", "hidden"); // in the tree, but left out of the layer
    for (int i = 0; i < 60; i++) {              // time for a swap between one name and the next
        AUTO_FREE char *harmless = mem_printf("%s/x/%02d", attacker->deep, i);
        AUTO_FREE char *hidden = mem_printf("%s/hidden/%02d", attacker->deep, i);
        AUTO_FREE char *outside = mem_printf("%s/%02d", secrets, i);
        fixture_file(fx, harmless, "harmless");
        fixture_file(fx, hidden, SECRET);
        put_secret(outside);
    }
}

static long wanted_swaps(void)
{
    const char *full = getenv("DRAY_RACE_SWAPS");
    return full ? atol(full) : 10000;
}

static void pack_once(struct fixture *fx, struct attacker *attacker, bool truce, long *packed, long *failed)
{
    if (truce)
        pthread_mutex_lock(&attacker->truce);
    *(fixture_pack(fx) == 0 ? packed : failed) += 1;
    if (truce)
        pthread_mutex_unlock(&attacker->truce);
}

// The links' texts go into the layer, what they lead to never does; a layer that was given up counts, too.
static bool race(struct fixture *fx, struct attacker *attacker)
{
    enum { LAYERS = 300 };
    long packed = 0, failed = 0;
    bool leaked = false;
    for (int i = 0; !leaked && (atomic_load(&attacker->swaps) < wanted_swaps() || i < LAYERS); i++) {
        pack_once(fx, attacker, i % 8 == 7, &packed, &failed);
        leaked = fx->blob.len > 0 && memmem(fx->blob.data, fx->blob.len, SECRET, strlen(SECRET));
    }
    print_message("%ld swaps, %ld layers, %ld given up\n", atomic_load(&attacker->swaps), packed, failed);
    return leaked || packed == 0;
}

static void run_race(struct fixture *fx, enum layer_symlinks symlinks)
{
    char secrets[] = "/tmp/dray-secret-XXXXXX";
    assert_non_null(mkdtemp(secrets));
    AUTO_FREE char *secret_file = mem_printf("%s/secret", secrets);
    put_secret(secret_file);
    struct attacker attacker = {.fx = fx, .truce = PTHREAD_MUTEX_INITIALIZER};
    make_race_tree(&attacker, secrets, secret_file);
    const char *const exclude[] = {symlinks == LAYER_SYMLINKS_KEEP ? "**/hidden" : "**/deep", NULL};
    struct layer_entry *entry = fixture_copy(fx, "src", "/app");
    entry->symlinks = symlinks;
    fixture_texts(&entry->exclude, &entry->n_exclude, exclude);
    fx->spec.algorithm = LAYER_NONE;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, attack, &attacker), 0);
    bool failed = race(fx, &attacker);
    atomic_store(&attacker.stop, true);
    pthread_join(thread, NULL);
    assert_false(failed);
    struct error err = ERROR_INIT;
    file_remove_tree(AT_FDCWD, secrets, &err);
    error_clear(&err);
}

static void test_race_keep(void **state)
{
    run_race(*state, LAYER_SYMLINKS_KEEP);
}

static void test_race_follow(void **state)
{
    run_race(*state, LAYER_SYMLINKS_FOLLOW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_fifo),
        fixture_test(test_fifo_as_source),
        fixture_test(test_socket),
        fixture_test(test_devices),
        fixture_test(test_kernel_file_systems),
        fixture_test(test_bad_names),
        fixture_test(test_too_long_path),
        fixture_test(test_bad_targets),
        fixture_test(test_missing_and_outside),
        fixture_test(test_unreadable),
        fixture_test(test_odd_names),
        fixture_test(test_deep_tree),
        fixture_test(test_long_names_and_links),
        fixture_test(test_links_are_kept_as_they_are),
        fixture_test(test_from_through_links_inside_the_root),
        fixture_test(test_follow),
        fixture_test(test_follow_refuses),
        fixture_test(test_wide_directory),
        fixture_test(test_sparse_file),
        fixture_test(test_changes_while_read),
        fixture_test(test_race_keep),
        fixture_test(test_race_follow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
