// SPDX-License-Identifier: Apache-2.0
//
// Credential helpers, well-behaved and not: each is a shell script in a directory of the test.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/monitor.h"
#include "base/str.h"
#include "credentials/helper.h"

enum { DEADLINE_MS = 1500 };

static char directory[] = "/tmp/helpers.XXXXXX";
static const char canary[] = "canary-5ecret";

static void write_helper(const char *name, const char *script)
{
    AUTO_FREE char *path = mem_printf("%s/docker-credential-%s", directory, name);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fprintf(out, "#!/bin/sh\n%s\n", script);
    fclose(out);
    chmod(path, 0755);
}

static int run_with(const char *name, const char *server, struct credential **ret, struct error *err)
{
    AUTO_FREE char *directories = mem_printf("relative:/nonexistent:%s", directory);
    struct helper_run run = {
        .name = name, .directories = directories, .server = server, .deadline_ms = DEADLINE_MS};
    *ret = NULL;
    *err = ERROR_INIT;
    return helper_get(&run, NULL, ret, err);
}

static void expect_failure(const char *name, const char *text)
{
    struct credential *credential;
    struct error err;
    int64_t begin_ms = clock_ms();
    assert_int_equal(run_with(name, "r.example", &credential, &err), -1);
    assert_true(clock_ms() - begin_ms < 10 * DEADLINE_MS);
    assert_null(credential);
    assert_int_equal(err.code, ERR_REGISTRY_AUTH);
    if (!strstr(err.detail, text))
        fail_msg("%s: %s", name, err.detail);
    assert_null(strstr(err.detail, canary));
    assert_null(strstr(err.hint ? err.hint : "", canary));
    error_clear(&err);
    // Everything that was started is reaped.
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void expect_login(const char *name, const char *server)
{
    struct credential *credential;
    struct error err;
    assert_int_equal(run_with(name, server, &credential, &err), 1);
    assert_int_equal(credential->kind, CREDENTIAL_PASSWORD);
    assert_string_equal(credential->username, "u");
    assert_string_equal(secret_reveal(credential->secret), canary);
    AUTO_FREE char *source = mem_printf("helper %s", name);
    assert_string_equal(credential->source, source);
    credential_unref(credential);
}

static void good(void **state)
{
    (void)state;
    struct credential *credential;
    struct error err;
    write_helper(
        "good",
        "read -r server || :; [ \"$1\" = get ] || exit 9\n"
        "printf '{\"ServerURL\":\"%s\",\"Username\":\"u\",\"Secret\":\"canary-5ecret\"}' \"$server\"");
    expect_login("good", "r.example");
    expect_login("good", "https://index.docker.io/v1/");
    write_helper("token", "echo '{\"Username\":\"<token>\",\"Secret\":\"canary-5ecret\"}'");
    assert_int_equal(run_with("token", "r.example", &credential, &err), 1);
    assert_int_equal(credential->kind, CREDENTIAL_IDENTITY_TOKEN);
    credential_unref(credential);
    write_helper("notfound", "echo 'credentials not found in native keychain'; exit 1");
    assert_int_equal(run_with("notfound", "r.example", &credential, &err), 0);
    write_helper("nothing", "echo '{\"ServerURL\":\"\",\"Username\":\"\",\"Secret\":\"\"}'");
    assert_int_equal(run_with("nothing", "r.example", &credential, &err), 0);
}

static void absent(void **state)
{
    (void)state;
    expect_failure("absent", "was not found");
}

static void not_executable(void **state)
{
    (void)state;
    write_helper("noexec", "exit 0");
    AUTO_FREE char *path = mem_printf("%s/docker-credential-noexec", directory);
    chmod(path, 0644);
    expect_failure("noexec", "was not found");
    // Executable, but not a program.
    write_helper("garbage-file", "");
    AUTO_FREE char *junk = mem_printf("%s/docker-credential-garbage-file", directory);
    FILE *out = fopen(junk, "w");
    fputs("\x7f"
          "ELF not really",
          out);
    fclose(out);
    expect_failure("garbage-file", "could not be started");
}

static void exit_one(void **state)
{
    (void)state;
    write_helper("exit1", "echo 'canary-5ecret: some reason'; exit 1");
    expect_failure("exit1", "failed");
}

static void exit_zero_empty(void **state)
{
    (void)state;
    write_helper("empty", "exit 0");
    expect_failure("empty", "something other");
}

static void garbage(void **state)
{
    (void)state;
    write_helper("garbage", "echo 'canary-5ecret }{'");
    expect_failure("garbage", "something other");
    write_helper("array", "echo '[\"canary-5ecret\"]'");
    expect_failure("array", "something other");
    write_helper("nosecret", "echo '{\"Username\":\"u\",\"Secret\":\"\"}'");
    expect_failure("nosecret", "empty secret");
}

static void endless_output(void **state)
{
    (void)state;
    write_helper("endless", "exec cat /dev/zero");
    expect_failure("endless", "more than 64 KiB");
}

static void never_reads(void **state)
{
    (void)state;
    write_helper("deaf", "exec <&-\necho '{\"Username\":\"u\",\"Secret\":\"canary-5ecret\"}'");
    expect_login("deaf", "r.example");
}

static void never_exits(void **state)
{
    (void)state;
    write_helper("hang", "exec sleep 1000");
    expect_failure("hang", "in time");
}

// Kill of the group reaches what the helper started, too.
static void grandchild_holds_output(void **state)
{
    (void)state;
    AUTO_FREE char *script = mem_printf("sleep 1000 & echo $! > %s/grandchild\n"
                                        "echo '{\"Username\":\"u\",\"Secret\":\"canary-5ecret\"}'",
                                        directory);
    write_helper("fork", script);
    int64_t begin_ms = clock_ms();
    expect_login("fork", "r.example");
    assert_true(clock_ms() - begin_ms < 1000 * 1000);
    AUTO_FREE char *path = mem_printf("%s/grandchild", directory);
    FILE *in = fopen(path, "r");
    int pid = 0;
    assert_int_equal(fscanf(in, "%d", &pid), 1);
    fclose(in);
    char stat_path[64], state_letter = 'Z';
    for (int i = 0; i < 200; i++) { // until it is gone or a zombie of init
        snprintf(stat_path, sizeof stat_path, "/proc/%d/stat", pid);
        FILE *stat_file = fopen(stat_path, "r");
        if (!stat_file)
            return;
        if (fscanf(stat_file, "%*d (%*[^)]) %c", &state_letter) != 1)
            state_letter = 'Z';
        fclose(stat_file);
        if (state_letter == 'Z')
            return;
        usleep(10000);
    }
    fail_msg("the grandchild lives on");
}

static void ignores_sigterm(void **state)
{
    (void)state;
    write_helper("stubborn", "trap '' TERM INT HUP\nwhile :; do sleep 0.05; done");
    expect_failure("stubborn", "in time");
}

static void secret_on_stderr(void **state)
{
    (void)state;
    write_helper("stderr", "echo canary-5ecret >&2; exit 3");
    expect_failure("stderr", "failed");
}

static void slow_but_in_time(void **state)
{
    (void)state;
    write_helper("slow", "sleep 0.5; echo '{\"Username\":\"u\",\"Secret\":\"canary-5ecret\"}'");
    expect_login("slow", "r.example");
}

static void wrong_server(void **state)
{
    (void)state;
    write_helper("wrong",
                 "echo '{\"ServerURL\":\"evil.example\",\"Username\":\"u\",\"Secret\":\"canary-5ecret\"}'");
    expect_failure("wrong", "another server");
}

static void invalid_utf8(void **state)
{
    (void)state;
    write_helper("utf8", "printf '{\"Username\":\"u\",\"Secret\":\"\\377\\376\"}'");
    expect_failure("utf8", "something other");
}

static void crashes(void **state)
{
    (void)state;
    write_helper("crash", "kill -SEGV $$");
    expect_failure("crash", "signal");
}

static void not_found_on_stderr(void **state)
{
    (void)state;
    write_helper("nf-stderr", "echo 'credentials not found in native keychain' >&2; exit 1");
    expect_failure("nf-stderr", "failed");
    write_helper("nf-more", "echo 'error: credentials not found in native keychain'; exit 1");
    expect_failure("nf-more", "failed");
    write_helper("nf-zero", "echo 'credentials not found in native keychain'");
    expect_failure("nf-zero", "something other");
}

static void names(void **state)
{
    (void)state;
    static const char *const bad[] = {"",  "../../tmp/x", "a;b", "-x",   ".x",      "_x",
                                      "A", "a b",         "a/b", "a\nb", "\xc3\xa4"};
    static const char *const well[] = {"a", "0", "ecr-login", "osxkeychain", "a.b_c-d", "secretservice"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(helper_name_valid(bad[i]));
        expect_failure(bad[i], "is not the name");
    }
    for (size_t i = 0; i < sizeof well / sizeof *well; i++)
        assert_true(helper_name_valid(well[i]));
    char longest[1025];
    memset(longest, 'a', 1024);
    longest[1024] = '\0';
    assert_false(helper_name_valid(longest));
    longest[64] = '\0';
    assert_true(helper_name_valid(longest));
}

static void servers(void **state)
{
    (void)state;
    struct credential *credential;
    struct error err;
    static const char *const bad[] = {"a\nb", "a\rb", "a b", "a\x7f"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(run_with("good", bad[i], &credential, &err), -1);
        assert_int_equal(err.code, ERR_REGISTRY_AUTH);
        error_clear(&err);
    }
}

// No descriptor of ours, no variable but the listed ones, a process group of its own, and never the caller's
// PATH.
static void clean_surroundings(void **state)
{
    (void)state;
    int leaked = open("/etc/passwd", O_RDONLY);
    assert_int_equal(fcntl(leaked, F_SETFD, 0), 0);
    setenv("LEAKED_SECRET", canary, 1);
    setenv("DOCKER_AUTH_CONFIG", canary, 1);
    setenv("AWS_PROFILE", "p", 1);
    AUTO_FREE char *script = mem_printf("env > %s/env; ls /proc/self/fd > %s/fds\n"
                                        "echo '{\"Username\":\"u\",\"Secret\":\"canary-5ecret\"}'",
                                        directory, directory);
    write_helper("look", script);
    expect_login("look", "r.example");
    close(leaked);
    unsetenv("LEAKED_SECRET");
    unsetenv("DOCKER_AUTH_CONFIG");
    AUTO_FREE char *command = mem_printf("! grep -q canary %s/env && grep -q '^AWS_PROFILE=p$' %s/env && "
                                         "[ $(wc -l < %s/fds) -le 4 ]",
                                         directory, directory, directory);
    assert_int_equal(system(command), 0);
    setenv("PATH", directory, 1);
    struct helper_run run = {
        .name = "good", .directories = "/nonexistent", .server = "r", .deadline_ms = 1000};
    struct credential *credential = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(helper_get(&run, NULL, &credential, &err), -1);
    assert_non_null(strstr(err.detail, "was not found"));
    error_clear(&err);
    setenv("PATH", "/usr/bin:/bin", 1);
}

static void cancelled(void **state)
{
    (void)state;
    struct monitor monitor = {0};
    atomic_store(&monitor.cancelled, true);
    struct helper_run run = {.name = "hang", .directories = directory, .server = "r", .deadline_ms = 100000};
    struct credential *credential = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(helper_get(&run, &monitor, &credential, &err), -1);
    assert_int_equal(err.code, ERR_CANCELLED);
    error_clear(&err);
}

static int make_directory(void **state)
{
    (void)state;
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
    (void)state;
    AUTO_FREE char *command = mem_printf("rm -rf %s", directory);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good),
        cmocka_unit_test(absent),
        cmocka_unit_test(not_executable),
        cmocka_unit_test(exit_one),
        cmocka_unit_test(exit_zero_empty),
        cmocka_unit_test(garbage),
        cmocka_unit_test(endless_output),
        cmocka_unit_test(never_reads),
        cmocka_unit_test(never_exits),
        cmocka_unit_test(grandchild_holds_output),
        cmocka_unit_test(ignores_sigterm),
        cmocka_unit_test(secret_on_stderr),
        cmocka_unit_test(slow_but_in_time),
        cmocka_unit_test(wrong_server),
        cmocka_unit_test(invalid_utf8),
        cmocka_unit_test(crashes),
        cmocka_unit_test(not_found_on_stderr),
        cmocka_unit_test(names),
        cmocka_unit_test(servers),
        cmocka_unit_test(clean_surroundings),
        cmocka_unit_test(cancelled),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
