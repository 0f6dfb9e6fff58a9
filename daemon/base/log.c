// SPDX-License-Identifier: Apache-2.0
//
// One write(2) or one datagram per line, so lines of several threads never mix. The journal's native
// protocol: fields as NAME=value lines; our values hold no newline because everything from outside was
// quoted.
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strbuf.h"

static _Atomic enum log_level current_level = LOG_LEVEL_INFO;
static int journal = -1;

// Is stderr the journal? JOURNAL_STREAM holds its device and inode (systemd.exec(5)).
static int stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;
    unsigned long device, inode;
    if (!stream || fstat(STDERR_FILENO, &st))
        return 0;
    char *end;
    device = strtoul(stream, &end, 10);
    if (*end != ':')
        return 0;
    inode = strtoul(end + 1, &end, 10);
    return !*end && device == st.st_dev && inode == st.st_ino;
}

static int connect_journal(void)
{
    static const struct sockaddr_un address = {.sun_family = AF_UNIX,
                                               .sun_path = "/run/systemd/journal/socket"};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address))) {
        close(fd);
        return -1;
    }
    return fd;
}

void log_init(enum log_level level)
{
    atomic_store(&current_level, level);
    if (journal < 0 && stderr_is_journal())
        journal = connect_journal();
}

enum log_level log_level_get(void)
{
    return atomic_load_explicit(&current_level, memory_order_relaxed);
}

static const char *level_name(enum log_level level)
{
    switch (level) {
    case LOG_LEVEL_ERROR:
        return "error";
    case LOG_LEVEL_WARNING:
        return "warning";
    case LOG_LEVEL_DEBUG:
        return "debug";
    default:
        return "info";
    }
}

static void compose(struct strbuf *line, enum log_level level, const char *job, const char *request,
                    const char *text)
{
    if (journal >= 0) {
        strbuf_printf(line, "MESSAGE=%s\nPRIORITY=%d\nSYSLOG_IDENTIFIER=drayd\n", text, level);
        if (job)
            strbuf_printf(line, "JOB_ID=%s\n", job);
        if (request)
            strbuf_printf(line, "REQUEST_ID=%s\n", request);
        return;
    }
    strbuf_printf(line, "drayd: %s: %s", level_name(level), text);
    if (job)
        strbuf_printf(line, " job=%s", job);
    if (request)
        strbuf_printf(line, " request=%s", request);
    strbuf_putc(line, '\n');
}

void log_write(enum log_level level, const char *job, const char *request, const char *format, ...)
{
    if (level > log_level_get())
        return;
    char text[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    for (char *c = text; *c; c++)
        if (*c == '\n')
            *c = ' ';
    CLEANUP(strbuf_free) struct strbuf line = STRBUF_INIT(8192);
    compose(&line, level, job, request, text);
    ssize_t ignored = journal >= 0 ? send(journal, line.data, line.len, MSG_NOSIGNAL)
                                   : write(STDERR_FILENO, line.data, line.len);
    (void)ignored; // there is nobody left to tell
}
