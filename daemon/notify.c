// SPDX-License-Identifier: Apache-2.0
#include "notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"

void notify_send(const char *format, ...)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof(address.sun_path))
        return;
    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@')
        address.sun_path[0] = '\0'; // abstract name
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&address, len);
    close(fd);
}

int notify_listen_fds(void)
{
    int64_t pid = 0, count = 0;
    if (!str_to_int64(getenv("LISTEN_PID"), 1, INT32_MAX, &pid) || pid != getpid() ||
        !str_to_int64(getenv("LISTEN_FDS"), 1, 64, &count))
        count = 0;
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return (int)count;
}

int64_t notify_watchdog_ms(void)
{
    int64_t pid = 0, limit_us = 0;
    const char *of = getenv("WATCHDOG_PID");
    if (of && (!str_to_int64(of, 1, INT32_MAX, &pid) || pid != getpid()))
        return 0;
    if (!str_to_int64(getenv("WATCHDOG_USEC"), 1, INT64_MAX / 2, &limit_us))
        return 0;
    return limit_us / 2000 ? limit_us / 2000 : 1;
}
