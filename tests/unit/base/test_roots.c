// SPDX-License-Identifier: Apache-2.0
#include "base_test.h"

#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

// DIR/root is the root; DIR/link-to-root names it too; DIR/secret lies outside.
struct house {
    char *directory, *root;
    struct roots *roots;
    struct error err;
};

static char *in(const struct house *h, const char *name)
{
    return mem_printf("%s/%s", h->directory, name);
}

static void put(struct house *h, const char *name, const char *text)
{
    AUTO_FREE char *path = in(h, name);
    assert_works(&h->err, file_publish(path, text, strlen(text), 0644, &h->err));
}

static void link_at(struct house *h, const char *name, const char *target)
{
    AUTO_FREE char *path = in(h, name);
    assert_int_equal(symlink(target, path), 0);
}

static int house_setup(void **state)
{
    struct house *h = mem_new(struct house);
    h->err = ERROR_INIT;
    if (directory_setup((void **)&h->directory))
        return -1;
    h->root = in(h, "root");
    AUTO_FREE char *sub = in(h, "root/sub");
    file_make_directory(sub, 0755, &h->err);
    put(h, "root/file", "inside");
    put(h, "root/sub/file", "deeper");
    put(h, "secret", "canary");
    link_at(h, "link-to-root", "root");
    h->roots = roots_new("build root", "--build-root");
    *state = h;
    return roots_add(h->roots, h->root, &h->err);
}

static int house_teardown(void **state)
{
    struct house *h = *state;
    roots_free(h->roots);
    free(h->root);
    int result = directory_teardown((void **)&h->directory);
    free(h);
    return result;
}

#define house_test(function) cmocka_unit_test_setup_teardown(function, house_setup, house_teardown)

static void assert_opens(struct house *h, const char *name, const char *text)
{
    AUTO_FREE char *path = in(h, name);
    AUTO_CLOSE int fd = roots_open(h->roots, path, O_RDONLY, 0, &h->err);
    char buffer[32] = "";
    if (fd < 0)
        fail_msg("%s", h->err.detail);
    assert_true(read(fd, buffer, sizeof(buffer) - 1) >= 0);
    assert_string_equal(buffer, text);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void assert_shut(struct house *h, const char *name, enum error_code code, const char *detail)
{
    AUTO_FREE char *path = in(h, name);
    assert_fails(&h->err, code, detail, roots_open(h->roots, path, O_RDONLY, 0, &h->err) < 0);
}

static void test_opens_inside(void **state)
{
    struct house *h = *state;
    assert_opens(h, "root/file", "inside");
    assert_opens(h, "root/sub/file", "deeper");
    assert_opens(h, "root//sub/./file", "deeper");
    assert_opens(h, "./root/./file", "inside");
    AUTO_CLOSE int fd = roots_open(h->roots, h->root, O_RDONLY | O_DIRECTORY, 0, &h->err);
    assert_true(fd >= 0);
    AUTO_CLOSE int path_fd = roots_open(h->roots, h->root, O_PATH | O_DIRECTORY, 0, &h->err);
    assert_true(path_fd >= 0);
}

static void test_check_is_lexical(void **state)
{
    struct house *h = *state;
    static const char *const bad[] = {"root/../secret", "root/sub/..", "root/../root/file", ".."};
    static const char *const outside[] = {"secret", "root2/file", "roo", ""};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        AUTO_FREE char *path = in(h, bad[i]);
        assert_fails(&h->err, ERR_PATH_NOT_ALLOWED, "without \"..\"", roots_check(h->roots, path, &h->err));
    }
    for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
        AUTO_FREE char *path = in(h, outside[i]);
        assert_fails(&h->err, ERR_PATH_NOT_ALLOWED, h->root, roots_check(h->roots, path, &h->err));
        assert_fails(&h->err, ERR_PATH_NOT_ALLOWED, "outside", roots_open(h->roots, path, O_RDONLY, 0, &h->err) < 0);
    }
    assert_fails(&h->err, ERR_PATH_NOT_ALLOWED, "absolute path", roots_check(h->roots, "root/file", &h->err));
    assert_fails(&h->err, ERR_PATH_NOT_ALLOWED, "absolute path", roots_check(h->roots, "", &h->err));
    AUTO_FREE char *dots = in(h, "root/..x/...");
    assert_works(&h->err, roots_check(h->roots, dots, &h->err)); // names that only look like it
}

static void test_root_by_another_name(void **state)
{
    struct house *h = *state;
    AUTO_FREE char *link = in(h, "link-to-root/");
    struct roots *roots = roots_new("build root", "--build-root");
    assert_works(&h->err, roots_add(roots, link, &h->err));
    assert_int_equal(roots_count(roots), 1);
    assert_true(strstr(roots_path(roots, 0), "/link-to-root"));
    AUTO_FREE char *given = in(h, "link-to-root/file"), *resolved = in(h, "root/file");
    assert_works(&h->err, roots_check(roots, given, &h->err));
    assert_works(&h->err, roots_check(roots, resolved, &h->err));
    roots_free(roots);
    roots_free(NULL);
}

static void test_links(void **state)
{
    struct house *h = *state;
    AUTO_FREE char *absolute = in(h, "root/sub"), *out = in(h, "secret"), *there = in(h, "root/new");
    link_at(h, "root/relative", "sub/file");
    link_at(h, "root/absolute", absolute);
    link_at(h, "root/detour", "../link-to-root/file"); // leaves and comes back
    link_at(h, "root/out", "../secret");
    link_at(h, "root/out-absolute", out);
    link_at(h, "root/out-directory", h->directory);
    link_at(h, "root/loop", "loop");
    link_at(h, "root/magic", "/proc/self/root");
    link_at(h, "root/gone", there);
    assert_opens(h, "root/relative", "deeper");
    assert_opens(h, "root/absolute/file", "deeper");
    assert_opens(h, "root/detour", "inside");
    assert_shut(h, "root/out", ERR_PATH_NOT_ALLOWED, "leads out of its root");
    assert_shut(h, "root/out-absolute", ERR_PATH_NOT_ALLOWED, "leads out of its root");
    assert_shut(h, "root/out-directory/secret", ERR_PATH_NOT_ALLOWED, "leads out of its root");
    assert_shut(h, "root/loop", ERR_PATH_NOT_FOUND, "symbolic links");
    assert_shut(h, "root/magic/etc", ERR_PATH_NOT_ALLOWED, "leads out of its root");
    assert_shut(h, "root/gone", ERR_PATH_NOT_ALLOWED, "leads out of its root");
}

static void test_nofollow(void **state)
{
    struct house *h = *state;
    AUTO_FREE char *absolute = in(h, "root/sub"), *file = in(h, "root/sub/file");
    link_at(h, "root/directory", absolute);
    link_at(h, "root/sub/link", file);
    AUTO_FREE char *path = in(h, "root/directory/link");
    AUTO_CLOSE int fd = roots_open(h->roots, path, O_PATH | O_NOFOLLOW, 0, &h->err);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_true(S_ISLNK(st.st_mode)); // the way is followed, its end is not
}

static void test_widest_root_wins(void **state)
{
    struct house *h = *state;
    AUTO_FREE char *sub = in(h, "root/sub");
    struct roots *roots = roots_new("build root", "--build-root");
    assert_works(&h->err, roots_add(roots, sub, &h->err));
    assert_works(&h->err, roots_add(roots, h->root, &h->err));
    link_at(h, "root/sub/up", "../file");
    AUTO_FREE char *path = in(h, "root/sub/up");
    AUTO_CLOSE int fd = roots_open(roots, path, O_RDONLY, 0, &h->err);
    assert_true(fd >= 0);
    roots_free(roots);
}

static void test_everything_root(void **state)
{
    struct house *h = *state;
    struct roots *roots = roots_new("build root", "--build-root");
    assert_works(&h->err, roots_add(roots, "/", &h->err));
    AUTO_FREE char *doubled = mem_printf("/%s/secret", h->directory);
    AUTO_CLOSE int fd = roots_open(roots, doubled, O_RDONLY, 0, &h->err);
    assert_true(fd >= 0);
    AUTO_CLOSE int top = roots_open(roots, "/", O_RDONLY | O_DIRECTORY, 0, &h->err);
    assert_true(top >= 0);
    roots_free(roots);
}

static void test_renamed_root_stays(void **state)
{
    struct house *h = *state;
    AUTO_FREE char *moved = in(h, "moved");
    assert_int_equal(rename(h->root, moved), 0);
    link_at(h, "root", ".."); // what now bears the name is not what was allowed
    assert_opens(h, "root/file", "inside");
}

static void test_open_parent(void **state)
{
    struct house *h = *state;
    AUTO_FREE char *path = in(h, "root/sub/new"), *top = in(h, "root/new"), *missing = in(h, "root/no/new");
    AUTO_FREE char *slash = in(h, "root/sub/"), *dot = in(h, "root/sub/."), *out = in(h, "root/out/new");
    AUTO_FREE char *absolute = in(h, "root/sub");
    const char *name = NULL;
    AUTO_CLOSE int fd = roots_open_parent(h->roots, path, &name, &h->err);
    assert_ptr_equal(name, path + strlen(path) - 3);
    assert_int_equal(faccessat(fd, "file", F_OK, 0), 0);
    AUTO_CLOSE int top_fd = roots_open_parent(h->roots, top, &name, &h->err);
    assert_int_equal(faccessat(top_fd, "sub", F_OK, 0), 0);
    link_at(h, "root/absolute", absolute);
    AUTO_FREE char *through = in(h, "root/absolute/new");
    AUTO_CLOSE int linked = roots_open_parent(h->roots, through, &name, &h->err);
    assert_int_equal(faccessat(linked, "file", F_OK, 0), 0);
    link_at(h, "root/out", "..");
    struct error *err = &h->err;
    assert_fails(err, ERR_PATH_NOT_ALLOWED, "leads out", roots_open_parent(h->roots, out, &name, err) < 0);
    assert_fails(err, ERR_PATH_NOT_FOUND, "No such file", roots_open_parent(h->roots, missing, &name, err) < 0);
    assert_fails(err, ERR_PATH_NOT_ALLOWED, "names a directory", roots_open_parent(h->roots, slash, &name, err) < 0);
    assert_fails(err, ERR_PATH_NOT_ALLOWED, "names a directory", roots_open_parent(h->roots, dot, &name, err) < 0);
    assert_fails(err, ERR_PATH_NOT_ALLOWED, "names a directory", roots_open_parent(h->roots, h->root, &name, err) < 0);
}

static void test_makes_files(void **state)
{
    struct house *h = *state;
    AUTO_FREE char *path = in(h, "root/made");
    mode_t before = umask(022);
    AUTO_CLOSE int fd = roots_open(h->roots, path, O_WRONLY | O_CREAT | O_EXCL, 0640, &h->err);
    AUTO_CLOSE int nameless = roots_open(h->roots, h->root, O_WRONLY | O_TMPFILE, 0600, &h->err);
    umask(before);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_true(nameless >= 0);
}

static void test_unusual_files(void **state)
{
    struct house *h = *state;
    AUTO_FREE char *fifo = in(h, "root/fifo"), *shut = in(h, "root/file");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    AUTO_CLOSE int fd = roots_open(h->roots, fifo, O_RDONLY, 0, &h->err); // must not block
    assert_true(fd >= 0);
    AUTO_CLOSE int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", h->root);
    assert_int_equal(bind(sock, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_shut(h, "root/s", ERR_UNSUPPORTED_FILE, "No such device");
    assert_int_equal(chmod(h->directory, 0755), 0);
    assert_int_equal(chmod(shut, 0), 0);
    int before = setfsuid(geteuid() ? geteuid() : 65534); // root may read everything, so step down
    assert_shut(h, "root/file", ERR_FORBIDDEN, "may not be opened by the user");
    setfsuid((uid_t)before);
}

static void test_no_roots(void **state)
{
    struct house *h = *state;
    struct roots *none = roots_new("output root", "--output-root");
    assert_int_equal(roots_check(none, "/srv/\033x", &h->err), -1);
    assert_int_equal(h->err.code, ERR_PATH_NOT_ALLOWED);
    assert_string_equal(h->err.detail, "/srv/?x cannot be used: no output root is configured");
    assert_non_null(strstr(h->err.hint, "--output-root"));
    error_clear(&h->err);
    AUTO_FREE char *file = in(h, "secret");
    assert_fails(&h->err, ERR_INVALID_REQUEST, "absolute", roots_add(none, "srv", &h->err));
    assert_fails(&h->err, ERR_PATH_NOT_FOUND, "cannot be opened", roots_add(none, file, &h->err));
    assert_int_equal(roots_count(none), 0);
    roots_free(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        house_test(test_opens_inside),     house_test(test_check_is_lexical),   house_test(test_root_by_another_name),
        house_test(test_links),            house_test(test_nofollow),           house_test(test_widest_root_wins),
        house_test(test_everything_root),  house_test(test_renamed_root_stays), house_test(test_open_parent),
        house_test(test_makes_files),      house_test(test_unusual_files),      house_test(test_no_roots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
