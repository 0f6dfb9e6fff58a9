// SPDX-License-Identifier: Apache-2.0
#include "base_test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>

static char *at(void **state, const char *name)
{
    return mem_printf("%s/%s", (char *)*state, name);
}

static int count_entries(const char *path)
{
    DIR *dir = opendir(path);
    int count = 0;
    while (readdir(dir))
        count++;
    closedir(dir);
    return count - 2;
}

static int count_descriptors(void)
{
    return count_entries("/proc/self/fd");
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    return lstat(path, &st) ? 0 : st.st_mode & 07777;
}

static void test_make_directory(void **state)
{
    struct error err = ERROR_INIT;
    AUTO_FREE char *deep = at(state, "a//b/c//"), *c = at(state, "a/b/c"), *b = at(state, "a/b");
    mode_t before = umask(022);
    assert_works(&err, file_make_directory(deep, 0700, &err));
    umask(before);
    assert_int_equal(mode_of(c), 0700);
    assert_int_equal(mode_of(b), 0755);
    assert_works(&err, file_make_directory(deep, 0755, &err));
    assert_int_equal(mode_of(c), 0700); // used as it is
    assert_works(&err, file_make_directory("/", 0755, &err));
    AUTO_FREE char *file = at(state, "file"), *below = at(state, "file/x");
    assert_works(&err, file_publish(file, "", 0, 0600, &err));
    assert_fails(&err, ERR_INTERNAL, "cannot make the directory", file_make_directory(file, 0755, &err));
    assert_fails(&err, ERR_INTERNAL, "File exists", file_make_directory(below, 0755, &err));
    assert_fails(&err, ERR_PATH_NOT_FOUND, "No such file", file_make_directory("", 0755, &err));
}

static void test_publish_and_read(void **state)
{
    struct error err = ERROR_INIT;
    AUTO_FREE char *path = at(state, "file");
    mode_t before = umask(077);
    assert_works(&err, file_publish(path, "first", 5, 0644, &err));
    umask(before);
    assert_int_equal(mode_of(path), 0644); // whatever the umask
    assert_works(&err, file_publish(path, "sec\0nd", 6, 0600, &err));
    assert_int_equal(mode_of(path), 0600);
    size_t len;
    AUTO_FREE char *bytes = file_read(path, 6, &len, &err);
    assert_int_equal(len, 6);
    assert_memory_equal(bytes, "sec\0nd", 7);
    assert_int_equal(count_entries(*state), 1); // no temporary file is left
}

static void test_publish_replaces_a_link_not_its_target(void **state)
{
    struct error err = ERROR_INIT;
    AUTO_FREE char *target = at(state, "target"), *link = at(state, "link");
    assert_works(&err, file_publish(target, "old", 3, 0600, &err));
    assert_int_equal(symlink("target", link), 0);
    assert_works(&err, file_publish(link, "new", 3, 0600, &err));
    AUTO_FREE char *text = file_read(target, 10, NULL, &err);
    assert_string_equal(text, "old");
    struct stat st;
    assert_int_equal(lstat(link, &st), 0);
    assert_true(S_ISREG(st.st_mode));
}

static void test_publish_sweeps_what_a_killed_process_left(void **state)
{
    struct error err = ERROR_INIT;
    AUTO_FREE char *path = at(state, "f");
    AUTO_FREE char *left = at(state, ".f.tmp-1.0");
    AUTO_FREE char *used = at(state, ".f.tmp-2.0");
    AUTO_FREE char *other = at(state, ".fg");
    const char *const all[] = {left, used, other};
    for (size_t i = 0; i < 3; i++)
        assert_works(&err, file_publish(all[i], "x", 1, 0600, &err));
    AUTO_CLOSE int fd = open(used, O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    assert_works(&err, file_publish(path, "new", 3, 0600, &err));
    assert_int_equal(access(left, F_OK), -1);
    assert_int_equal(access(used, F_OK), 0);
    assert_int_equal(access(other, F_OK), 0);
}

static void test_failed_publish_leaves_the_old(void **state)
{
    struct error err = ERROR_INIT;
    AUTO_FREE char *path = at(state, "file"), *directory = at(state, "directory"), *missing = at(state, "no/file");
    assert_works(&err, file_publish(path, "old", 3, 0600, &err));
    struct rlimit saved, small = {.rlim_cur = 4, .rlim_max = RLIM_INFINITY};
    getrlimit(RLIMIT_FSIZE, &saved);
    small.rlim_max = saved.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small); // the fifth byte fails
    int result = file_publish(path, "too long", 8, 0600, &err);
    setrlimit(RLIMIT_FSIZE, &saved);
    assert_fails(&err, ERR_INTERNAL, "file: writing failed: File too large", result);
    AUTO_FREE char *text = file_read(path, 10, NULL, &err);
    assert_string_equal(text, "old");
    assert_int_equal(mkdir(directory, 0700), 0);
    assert_fails(&err, ERR_UNSUPPORTED_FILE, "directory: cannot move", file_publish(directory, "x", 1, 0600, &err));
    assert_fails(&err, ERR_PATH_NOT_FOUND, "cannot open the directory", file_publish(missing, "x", 1, 0600, &err));
    assert_int_equal(count_entries(*state), 2);
}

static void test_read_limits(void **state)
{
    struct error err = ERROR_INIT;
    AUTO_FREE char *path = at(state, "file"), *missing = at(state, "miss\033ing"), *pipe_path = at(state, "pipe");
    assert_works(&err, file_publish(path, "12345", 5, 0600, &err));
    AUTO_FREE char *exact = file_read(path, 5, NULL, &err);
    assert_string_equal(exact, "12345");
    assert_fails(&err, ERR_TOO_LARGE, "more than 4 bytes", !file_read(path, 4, NULL, &err));
    assert_fails(&err, ERR_PATH_NOT_FOUND, "miss?ing: No such file", !file_read(missing, 4, NULL, &err));
    assert_fails(&err, ERR_UNSUPPORTED_FILE, "is not a regular file", !file_read(*state, 4, NULL, &err));
    assert_int_equal(mkfifo(pipe_path, 0600), 0); // would block for ever if opened carelessly
    assert_fails(&err, ERR_UNSUPPORTED_FILE, "is not a regular file", !file_read(pipe_path, 4, NULL, &err));
}

// Files of /proc say they have no bytes.
static void test_read_of_unknown_size(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    size_t len;
    AUTO_FREE char *text = file_read("/proc/self/maps", 1 << 20, &len, &err);
    assert_true(len > 100);
    assert_int_equal(strlen(text), len);
    assert_non_null(strstr(text, "[stack]"));
    assert_fails(&err, ERR_TOO_LARGE, "more than 100 bytes", !file_read("/proc/self/maps", 100, NULL, &err));
}

static void test_remove_tree(void **state)
{
    struct error err = ERROR_INIT;
    AUTO_FREE char *deep = at(state, "tree/a/b"), *file = at(state, "tree/a/file"), *link = at(state, "tree/link");
    AUTO_FREE char *outside = at(state, "outside"), *kept = at(state, "outside/kept"), *tree = at(state, "tree");
    assert_works(&err, file_make_directory(deep, 0755, &err));
    assert_works(&err, file_make_directory(outside, 0755, &err));
    assert_works(&err, file_publish(file, "x", 1, 0600, &err));
    assert_works(&err, file_publish(kept, "x", 1, 0600, &err));
    assert_int_equal(symlink("../outside", link), 0);
    AUTO_CLOSE int dirfd = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int before = count_descriptors();
    assert_works(&err, file_remove_tree(dirfd, "tree", &err));
    assert_int_equal(access(tree, F_OK), -1);
    assert_int_equal(access(kept, F_OK), 0);
    assert_works(&err, file_remove_tree(dirfd, "tree", &err)); // none is fine
    assert_works(&err, file_remove_tree(dirfd, "outside/kept", &err)); // a file too
    assert_int_equal(access(kept, F_OK), -1);
    assert_int_equal(count_descriptors(), before);
}

static int make_deeper(int dirfd)
{
    int child = mkdirat(dirfd, "d", 0755) ? -1 : openat(dirfd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    close(dirfd);
    return child;
}

// Too deep is refused, and what was opened on the way is closed.
static void test_remove_depth_is_bounded(void **state)
{
    struct error err = ERROR_INIT;
    int before = count_descriptors();
    int fd = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < 300; i++)
        fd = make_deeper(fd);
    close(fd);
    AUTO_FREE char *top = at(state, "d"), *moved = at(state, "moved");
    AUTO_CLOSE int dirfd = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_fails(&err, ERR_INTERNAL, "nested deeper", file_remove_tree(dirfd, "d", &err));
    assert_int_equal(count_descriptors(), before + 1);
    // For the teardown: cut the tree in two.
    AUTO_FREE char *half = mem_strdup(top);
    for (int i = 0; i < 150; i++) {
        char *longer = mem_printf("%s/d", half);
        free(half);
        half = longer;
    }
    assert_int_equal(rename(half, moved), 0);
}

static void test_write_all(void **state)
{
    struct error err = ERROR_INIT;
    AUTO_FREE char *path = at(state, "file");
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_works(&err, file_write_all(fd, "", 0, &err));
    assert_fails(&err, ERR_INTERNAL, "writing failed: Bad file", file_write_all(fd, "x", 1, &err));
    assert_fails(&err, ERR_INTERNAL, "flushing a directory to disk failed", file_fsync_directory(-1, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        directory_test(test_make_directory),
        directory_test(test_publish_and_read),
        directory_test(test_publish_replaces_a_link_not_its_target),
        directory_test(test_publish_sweeps_what_a_killed_process_left),
        directory_test(test_failed_publish_leaves_the_old),
        directory_test(test_read_limits),
        cmocka_unit_test(test_read_of_unknown_size),
        directory_test(test_remove_tree),
        directory_test(test_remove_depth_is_bounded),
        directory_test(test_write_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
