// SPDX-License-Identifier: Apache-2.0
//
// Running credential helpers. Called by credentials under a single flight per (helper, server). What must
// hold: whoever was started is dead and reaped when helper_get returns, and the group is killed before its
// leader is reaped, while its number cannot have been given to anybody else.
#include "credentials/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/monitor.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "credentials/credential_key.h"

enum { SERVER_MAX = 1024, ENVIRONMENT_MAX = 256, POLL_SLICE_MS = 100 };

extern char **environ;

bool helper_name_valid(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t len = strlen(name);
    return len >= 1 && len <= 64 && strspn(name, allowed) == len && name[0] != '.' && name[0] != '_' &&
           name[0] != '-';
}

static int fail(const struct helper_run *run, struct error *err, const char *what)
{
    error_set(err, ERR_REGISTRY_AUTH, "The credential helper docker-credential-%s %s", run->name, what);
    error_hint(err,
               "Run `echo %s | docker-credential-%s get` as the daemon's user, or correct the credential "
               "configuration that names the helper",
               run->server, run->name);
    return -1;
}

// --- finding the program

static char *find_program(const struct helper_run *run)
{
    for (const char *at = run->directories; *at;) {
        size_t len = strcspn(at, ":");
        if (len && *at == '/') {
            char *path = mem_printf("%.*s/docker-credential-%s", (int)len, at, run->name);
            struct stat st;
            if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0)
                return path;
            free(path);
        }
        at += len + (at[len] == ':');
    }
    return NULL;
}

// --- the environment: what helpers of known vendors need to find their own configuration, and nothing else

static bool variable_allowed(const char *variable)
{
    static const char *const names[] = {"HOME=",
                                        "USER=",
                                        "LOGNAME=",
                                        "LANG=",
                                        "TMPDIR=",
                                        "XDG_RUNTIME_DIR=",
                                        "XDG_CONFIG_HOME=",
                                        "XDG_CACHE_HOME=",
                                        "XDG_DATA_HOME=",
                                        "DBUS_SESSION_BUS_ADDRESS=",
                                        "GNUPGHOME=",
                                        "PASSWORD_STORE_DIR=",
                                        "SSL_CERT_FILE=",
                                        "SSL_CERT_DIR=",
                                        "AWS_",
                                        "AZURE_",
                                        "CLOUDSDK_",
                                        "GOOGLE_APPLICATION_CREDENTIALS=",
                                        "ECR_"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_starts(variable, names[i]))
            return true;
    return false;
}

static void choose_environment(char *ret[ENVIRONMENT_MAX + 2])
{
    static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    size_t n = 0;
    ret[n++] = path;
    for (char **variable = environ; *variable && n < ENVIRONMENT_MAX; variable++)
        if (variable_allowed(*variable))
            ret[n++] = *variable;
    ret[n] = NULL;
}

// --- starting

struct process {
    pid_t pid;
    int pidfd;
    int output;
};

// The server's name is far smaller than a pipe holds: it is written before the program starts, so a helper
// that never reads cannot hold us up.
static int make_input(const char *server, struct error *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_set_errno(err, errno, "A pipe for a credential helper cannot be made");
    ssize_t n = write(ends[1], server, strlen(server));
    int failure = n < 0 ? errno : 0;
    close(ends[1]);
    if (failure) {
        close(ends[0]);
        return error_set_errno(err, failure, "The input of a credential helper cannot be written");
    }
    return ends[0];
}

static int spawn(const char *program, int input, int output, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setpgroup(&attributes, 0);
    sigset_t signals;
    sigfillset(&signals);
    posix_spawnattr_setsigdefault(&attributes, &signals);
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes, &signals);
    char get[] = "get";
    char *const arguments[] = {(char *)program, get, NULL};
    char *environment[ENVIRONMENT_MAX + 2];
    choose_environment(environment);
    int failure = posix_spawn(ret_pid, program, &actions, &attributes, arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return failure;
}

static int start(const struct helper_run *run, const char *program, struct process *ret, struct error *err)
{
    AUTO_CLOSE int input = make_input(run->server, err);
    if (input < 0)
        return -1;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_set_errno(err, errno, "A pipe for a credential helper cannot be made");
    int failure = spawn(program, input, ends[1], &ret->pid);
    close(ends[1]);
    if (failure) {
        close(ends[0]);
        return fail(run, err, "could not be started: it is not a program that this machine can run");
    }
    ret->output = ends[0];
    fcntl(ret->output, F_SETFL, O_NONBLOCK);
    ret->pidfd = (int)syscall(SYS_pidfd_open, ret->pid, 0);
    return 0;
}

// --- watching

// Reads what is there. 1 more may come, 0 end of output, -1 too much.
static int drain(int fd, struct strbuf *output)
{
    char buffer[4096];
    for (;;) {
        ssize_t n = read(fd, buffer, sizeof buffer);
        if (n > 0 && strbuf_append(output, buffer, (size_t)n) < 0)
            return -1;
        if (n == 0)
            return 0;
        if (n < 0 && errno != EINTR) {
            explicit_bzero(buffer, sizeof buffer);
            return errno == EAGAIN ? 1 : 0;
        }
    }
}

// Has the leader ended? It stays unreaped.
static bool ended(const struct process *process)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ? errno != EINTR
                                                                                     : info.si_pid != 0;
}

// Until the helper itself has ended; a child it left behind may hold the output open for ever.
static int watch(const struct helper_run *run, struct process *process, const struct monitor *monitor,
                 struct strbuf *output, struct error *err)
{
    int64_t deadline_ms = clock_ms() + run->deadline_ms;
    struct pollfd fds[2] = {{.fd = process->output, .events = POLLIN},
                            {.fd = process->pidfd, .events = POLLIN}};
    while (!ended(process)) {
        int64_t left_ms = deadline_ms - clock_ms();
        if (left_ms <= 0)
            return fail(run, err, "did not answer in time and was stopped");
        if (monitor_check(monitor, err) < 0)
            return -1;
        poll(fds, 2, left_ms < POLL_SLICE_MS ? (int)left_ms : POLL_SLICE_MS);
        int more = fds[0].fd >= 0 ? drain(process->output, output) : 0;
        if (more < 0)
            return fail(run, err, "answered with more than 64 KiB and was stopped");
        if (more == 0)
            fds[0].fd = -1;
    }
    if (drain(process->output, output) < 0)
        return fail(run, err, "answered with more than 64 KiB");
    return 0;
}

// Kills the whole group, reaps the leader and gives its status.
static int finish(struct process *process)
{
    int status = -1;
    kill(-process->pid, SIGKILL);
    while (waitpid(process->pid, &status, 0) < 0 && errno == EINTR)
        ;
    close(process->output);
    if (process->pidfd >= 0)
        close(process->pidfd);
    return status;
}

// --- the answer

static bool not_found_text(const char *output, size_t len)
{
    static const char text[] = "credentials not found in native keychain";
    while (len && strchr(" \r\n\t", output[len - 1]))
        len--;
    return len == sizeof text - 1 && memcmp(output, text, len) == 0;
}

static bool same_server(const char *asked, const char *answered)
{
    if (!answered || !*answered)
        return true; // many simple helpers leave it out
    struct credential_key a, b;
    bool same = credential_key_parse(&a, asked);
    same = credential_key_parse(&b, answered) && same && str_equal(a.host, b.host);
    credential_key_clear(&a);
    credential_key_clear(&b);
    return same;
}

static int read_answer(const struct helper_run *run, const json_t *root, struct credential **ret,
                       struct error *err)
{
    const char *username = json_get_string(root, "Username");
    const char *secret = json_get_string(root, "Secret");
    if (!json_is_object(root) || !username || !secret)
        return fail(run, err, "answered with something other than {ServerURL, Username, Secret}");
    if (!same_server(run->server, json_get_string(root, "ServerURL")))
        return fail(run, err, "answered for another server than the one it was asked for");
    if (!*username && !*secret)
        return 0;
    if (!*secret)
        return fail(run, err, "answered with an empty secret");
    AUTO_FREE char *source = mem_printf("helper %s", run->name);
    *ret = credential_from_login(username, secret_new(secret), source);
    return 1;
}

int helper_answer_parse(const struct helper_run *run, int exit_status, const char *output, size_t len,
                        struct credential **ret, struct error *err)
{
    if (exit_status != 0)
        return not_found_text(output, len) ? 0 : fail(run, err, "failed");
    CLEANUP(error_clear) struct error why = ERROR_INIT;
    AUTO_JSON json_t *root = json_parse(output, len, &json_limits_small, &why);
    return read_answer(run, root, ret, err);
}

static int judge(const struct helper_run *run, int status, struct strbuf *output, struct credential **ret,
                 struct error *err)
{
    if (status == -1 || WIFSIGNALED(status))
        return fail(run, err, "was ended by a signal");
    return helper_answer_parse(run, WEXITSTATUS(status), strbuf_text(output), output->len, ret, err);
}

static int check(const struct helper_run *run, struct error *err)
{
    if (!helper_name_valid(run->name)) {
        AUTO_FREE char *name = str_quote(run->name, 80);
        error_set(err, ERR_REGISTRY_AUTH, "\"%s\" is not the name of a credential helper", name);
        error_hint(
            err, "credsStore and credHelpers take the part of the program's name behind docker-credential-, "
                 "in lower case");
        return -1;
    }
    size_t len = strlen(run->server);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)run->server[i] <= ' ' || run->server[i] == 0x7f)
            return error_set(err, ERR_REGISTRY_AUTH, "A credential key has blanks or control characters");
    if (len > SERVER_MAX)
        return error_set(err, ERR_REGISTRY_AUTH, "A credential key is longer than %d bytes", SERVER_MAX);
    return 0;
}

int helper_get(const struct helper_run *run, const struct monitor *monitor, struct credential **ret,
               struct error *err)
{
    if (check(run, err) < 0)
        return -1;
    AUTO_FREE char *program = find_program(run);
    if (!program) {
        error_set(err, ERR_REGISTRY_AUTH, "The credential helper docker-credential-%s was not found",
                  run->name);
        error_hint(err, "Install it, executable, in one of %s, or correct the credential configuration",
                   run->directories);
        return -1;
    }
    struct process process = {0};
    if (start(run, program, &process, err) < 0)
        return -1;
    struct strbuf output = STRBUF_INIT(HELPER_OUTPUT_MAX);
    int watched = watch(run, &process, monitor, &output, err);
    int status = finish(&process);
    int found = watched < 0 ? -1 : judge(run, status, &output, ret, err);
    strbuf_wipe(&output);
    return found;
}
